"""
From the headers of a request to who asks.

``read_credential`` is the one set of rules. It looks nothing up in the database: the
gateway resolves the credential in its admission batch, ``CredentialAuthentication``
resolves it for the REST API. Sessions are for the admin alone.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import addresses, keys, tokens
from accounts.errors import CustomerNotFound, InvalidApiKey, InvalidAuthHeader, MissingToken, Unauthenticated
from accounts.identities import Identity, is_id
from accounts.models import User
from accounts.principals import Principal, principal_of_key, principal_of_person

HEADERS = frozenset({"authorization", "x-api-key", "x-user-id", "x-proxy-secret", "x-customer-id", "x-forwarded-for"})
RAW_HEADERS = {name.encode(): name for name in HEADERS}
META_HEADERS = {name: "HTTP_" + name.upper().replace("-", "_") for name in HEADERS}
CUSTOMER_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
CHALLENGE = 'Bearer realm="prepaid"'


@dataclass(frozen=True, slots=True)
class Credential:
    """
    Who asks, before the database is asked: the digest of an API key, or a person at the identity provider.

    ``customer_id`` is whom they choose to act for, if they say so; ``address`` where they ask from, as far as
    that is known.
    """

    key_digest: str = ""
    person: Identity | None = None
    customer_id: int | None = None
    address: str = ""


def credential_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what ``read_credential`` reads of an ASGI request's headers; repeated ones joined with a comma."""
    headers: dict[str, str] = {}
    for raw_name, value in raw:
        name = RAW_HEADERS.get(raw_name)
        if name is not None:
            text = value.decode("latin-1")
            headers[name] = f"{headers[name]},{text}" if name in headers else text
    return headers


def read_credential(headers: Mapping[str, str], peer: str, *, now: datetime) -> Credential:
    """
    Return who asks. ``headers`` have lower-case names; ``peer`` is the address that the connection came from.

    ``Authorization`` wins over every other header: if it is bad, that is an error even
    though another would do. May read the network, for as long as seconds, if
    ``needs_network``; otherwise it costs microseconds.

    :raises Unauthenticated: if there is no credential or it cannot be good
    :raises CustomerNotFound: if ``X-Customer-Id`` can be nobody's
    """
    credential = _of_headers(headers, peer, now)
    hops = headers.get("x-forwarded-for", "")
    return replace(
        credential,
        customer_id=_chosen_customer(headers.get("x-customer-id")),
        address=addresses.client_address(peer, hops, settings.TRUSTED_HOPS),
    )


def _of_headers(headers: Mapping[str, str], peer: str, now: datetime) -> Credential:
    authorization = headers.get("authorization")
    if authorization is not None:
        return _of_bearer(authorization, now)
    key = headers.get("x-api-key")
    if key is not None:
        return _of_key(key.strip())
    user_id = headers.get("x-user-id")
    if user_id is not None and _is_trusted_proxy(peer, headers.get("x-proxy-secret", "")):
        return _of_forwarded(user_id.strip())
    raise Unauthenticated


def _chosen_customer(text: str | None) -> int | None:
    if text is None:
        return None
    if not CUSTOMER_ID.fullmatch(text):
        raise CustomerNotFound
    return int(text)


def needs_network(headers: Mapping[str, str], *, now: datetime) -> bool:
    """Whether ``read_credential`` would read the network, and so must not run on an event loop."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or token.startswith(keys.PREFIX):
        return False
    return tokens.needs_network(token, now=now)


def _of_bearer(authorization: str, now: datetime) -> Credential:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidAuthHeader
    token = token.strip()
    if not token:
        raise MissingToken
    if token.startswith(keys.PREFIX):
        return _of_key(token)
    return Credential(person=tokens.verify(token, now=now))


def _of_key(key: str) -> Credential:
    if not keys.is_well_formed(key):
        raise InvalidApiKey
    return Credential(key_digest=keys.digest(key, pepper=settings.API_KEY_PEPPER))


def _of_forwarded(user_id: str) -> Credential:
    if not is_id(user_id) or "," in user_id or not user_id.isascii():
        raise Unauthenticated
    return Credential(person=Identity(user_id))


def _is_trusted_proxy(peer: str, secret: str) -> bool:
    """Whether a proxy that the operator named speaks: both its address and its secret must be right."""
    if not settings.TRUSTED_PROXY_NETWORKS or not settings.TRUSTED_PROXY_SECRET:
        return False
    if not hmac.compare_digest(secret.encode(), settings.TRUSTED_PROXY_SECRET.encode()):
        return False
    return addresses.is_within(peer, settings.TRUSTED_PROXY_NETWORKS)


def resolve(credential: Credential, *, now: datetime) -> Principal:
    """
    Ask the database who ``credential`` is.

    :raises PrepaidError: if they are unknown, or may do nothing now, or nothing for whom they chose
    """
    if credential.person is not None:
        return principal_of_person(credential.person, customer_id=credential.customer_id)
    return principal_of_key(
        credential.key_digest, customer_id=credential.customer_id, address=credential.address, now=now
    )


class CredentialAuthentication(BaseAuthentication):
    """``request.auth`` is the ``Principal``; ``request.user`` the person, anonymous behind a key that nobody made."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, Principal]:
        now = timezone.now()
        headers = {name: request.META[key] for name, key in META_HEADERS.items() if key in request.META}
        credential = read_credential(headers, request.META.get("REMOTE_ADDR", ""), now=now)
        principal = self.principal_of(credential, now)
        return principal.user or AnonymousUser(), principal

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def principal_of(self, credential: Credential, now: datetime) -> Principal:
        return resolve(credential, now=now)
