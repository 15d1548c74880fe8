"""Who calls the gateway, by the same rules as the REST API and without blocking the event loop."""

from django.utils import timezone

from accounts.authentication import Credential, credential_headers, needs_network, read_credential
from ai.http import Scope
from ai.threads import in_thread


async def authenticate(scope: Scope) -> Credential:
    """
    Return who asks; whether they may is decided by the database, in the admission batch.

    :raises Unauthenticated: if there is no credential, or it cannot be good
    """
    headers = credential_headers(scope["headers"])
    now = timezone.now()
    peer = scope["client"][0] if scope.get("client") else ""
    if needs_network(headers, now=now):
        return await in_thread(read_credential, headers, peer, now=now)
    return read_credential(headers, peer, now=now)
