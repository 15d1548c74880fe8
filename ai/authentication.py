"""Who calls the gateway, by the same rules as the REST API and without blocking the event loop."""

from django.utils import timezone

from accounts import throttling
from accounts.authentication import Credential, credential_headers, needs_network, read_attempt, read_credential
from accounts.errors import PrepaidError
from ai.http import Scope
from ai.threads import in_database, in_thread


async def authenticate(scope: Scope) -> Credential:
    """
    Return who asks; whether they may is decided by the database, in the admission batch.

    :raises Unauthenticated: if there is no credential, or it cannot be good
    """
    headers = credential_headers(scope["headers"])
    now = timezone.now()
    peer = _peer(scope)
    if needs_network(headers, now=now):
        return await in_thread(read_credential, headers, peer, now=now)
    return read_credential(headers, peer, now=now)


async def throttled(error: PrepaidError, scope: Scope) -> PrepaidError:
    """Return what to answer to a request that ``error`` refuses: that, or that too many guesses came before it."""
    if not isinstance(error, throttling.GUESSES):
        return error
    attempt = read_attempt(credential_headers(scope["headers"]), _peer(scope))
    return await in_database(throttling.answer_to, error, attempt, now=timezone.now())


def _peer(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""
