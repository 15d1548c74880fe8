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

from accounts import addresses, keys, throttling, tokens
from accounts.errors import (
    CustomerNotFound,
    InvalidApiKey,
    InvalidAuthHeader,
    InvalidToken,
    MissingToken,
    Unauthenticated,
    WrongProxySecret,
)
from accounts.identities import Identity, is_id
from accounts.models import User
from accounts.principals import Principal, principal_of_key, principal_of_person

HEADERS = frozenset(
    {"authorization", "x-api-key", "x-user-id", "x-proxy-secret", "x-customer-id", "x-end-user", "x-forwarded-for"}
)
RAW_HEADERS = {name.encode(): name for name in HEADERS}
META_HEADERS = {name: "HTTP_" + name.upper().replace("-", "_") for name in HEADERS}
CUSTOMER_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
CHALLENGE = 'Bearer realm="prepaid"'
#: As much of a key as names it without being it.
NAME_LENGTH = len(keys.PREFIX) + len("live_") + 8


@dataclass(frozen=True, slots=True)
class Credential:
    """
    Who asks, before the database is asked: the digest of an API key, or a person at the identity provider.

    ``customer_id`` is whom they choose to act for, if they say so; ``address`` where they ask from, as far as
    that is known; ``end_user`` which of their own users they say it is for.
    """

    key_digest: str = ""
    person: Identity | None = None
    customer_id: int | None = None
    address: str = ""
    end_user: str = ""


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
    return replace(
        _of_headers(headers, peer, now),
        customer_id=_chosen_customer(headers.get("x-customer-id")),
        address=_address(headers, peer),
        end_user=headers.get("x-end-user", ""),
    )


def read_attempt(headers: Mapping[str, str], peer: str) -> throttling.Attempt:
    """Return who was tried and from where, of headers whose credential has failed: the key by its first characters."""
    _, _, text = headers.get("authorization", "").partition(" ")
    text = text.strip() or headers.get("x-api-key", "").strip()
    return throttling.Attempt(_account(text), _address(headers, peer))


def _account(text: str) -> str:
    if text.startswith(keys.PREFIX):
        return f"key:{text[:NAME_LENGTH]}"
    try:
        claims = tokens.unverified(text)[1]
    except InvalidToken:
        return ""
    named = claims.get("userId") or claims.get("sub")
    return f"user:{claims.get('iss', '')}:{named}" if isinstance(named, str) else ""


def _address(headers: Mapping[str, str], peer: str) -> str:
    return addresses.client_address(peer, headers.get("x-forwarded-for", ""), settings.TRUSTED_HOPS)


def _of_headers(headers: Mapping[str, str], peer: str, now: datetime) -> Credential:
    authorization = headers.get("authorization")
    if authorization is not None:
        return _of_bearer(authorization, now)
    key = headers.get("x-api-key")
    if key is not None:
        return _of_key(key.strip())
    user_id = headers.get("x-user-id")
    if user_id is not None and _is_trusted_network(peer):
        if not _is_proxy_secret(headers.get("x-proxy-secret", "")):
            raise WrongProxySecret
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


def _is_trusted_network(peer: str) -> bool:
    """Whether a proxy that the operator named may speak from ``peer``, if it knows the secret too."""
    return bool(settings.TRUSTED_PROXY_SECRET) and addresses.is_within(peer, settings.TRUSTED_PROXY_NETWORKS)


def _is_proxy_secret(text: str) -> bool:
    return hmac.compare_digest(text.encode(), settings.TRUSTED_PROXY_SECRET.encode())


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
        peer = request.META.get("REMOTE_ADDR", "")
        try:
            principal = self.principal_of(read_credential(headers, peer, now=now), now)
        except throttling.GUESSES as error:
            raise throttling.answer_to(error, read_attempt(headers, peer), now=now) from None
        return principal.user or AnonymousUser(), principal

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def principal_of(self, credential: Credential, now: datetime) -> Principal:
        return resolve(credential, now=now)
