"""
Who a JSON Web Token speaks for.

Two families, told apart by the algorithm and each with its own keys from the settings: HS256 from a
backend that shares ``SERVICE_JWT_SECRET``, and the signatures of identity providers (``accounts.issuers``),
told apart by who they say they are. What a token says of itself only chooses between them: it cannot bring
a key, or mix a key of one with the rules of another.
"""

import re
from base64 import urlsafe_b64decode
from datetime import datetime
from decimal import Decimal
from typing import Any

import jwt
from django.conf import settings

from accounts import issuers
from accounts.claims import Claims
from accounts.errors import InvalidToken, MalformedJson, MissingClaims, TokenExpired, TokenNotActive, Unauthenticated
from accounts.identities import Identity, is_id
from accounts.issuers import Issuer
from accounts.parsers import parse_json

MAX_LENGTH = 8 * 1024
LEEWAY_SECONDS = 5
#: Base64url without padding, and without bits that stand for nothing: one text for one meaning.
PART = r"((?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?)"
SHAPE = re.compile(rf"{PART}\.{PART}\.{PART}")
SERVICE = "HS256"


def verify(token: str, *, now: datetime) -> Identity:
    """
    Return who ``token`` speaks for.

    Reads the network only where ``needs_network`` says so.

    :raises Unauthenticated: with the code that the second original gives each case
    :raises SessionPending: if its user has not finished signing in
    """
    if not (settings.SERVICE_JWT_SECRET or issuers.configured()):
        raise Unauthenticated
    header, hearsay = unverified(token)
    if header["alg"] == SERVICE:
        return _of_service(token, now)
    if header["alg"] not in issuers.ALGORITHMS:
        raise InvalidToken
    return _of_issuer(token, header, hearsay, now)


def needs_network(token: str, *, now: datetime) -> bool:
    """Whether ``verify`` would ask an identity provider for its keys, which may take seconds."""
    if not any(issuer.uses_network for issuer in issuers.configured().values()):
        return False
    try:
        header, hearsay = unverified(token)
    except InvalidToken:
        return False
    issuer = _issuer_of(hearsay)
    return issuer is not None and issuer.wants_refresh(header.get("kid"), header["alg"], now=now)


def unverified(token: str) -> tuple[dict[str, Any], Claims]:
    """
    Return what a token says in its header and its claims, before anything of it is believed.

    :raises InvalidToken: if it is no token, could be read in two ways, or asks for an extension
    """
    shape = SHAPE.fullmatch(token) if len(token) <= MAX_LENGTH else None
    if shape is None:
        raise InvalidToken
    header, claims = _object(shape[1]), _object(shape[2])
    if not isinstance(header.get("alg"), str) or "crit" in header or "b64" in header:
        raise InvalidToken
    return header, claims


def _object(part: str) -> dict[str, Any]:
    try:
        value = parse_json(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (MalformedJson, ValueError):
        raise InvalidToken from None
    if not isinstance(value, dict):
        raise InvalidToken
    return value


def _of_service(token: str, now: datetime) -> Identity:
    if not settings.SERVICE_JWT_SECRET:
        raise Unauthenticated
    claims = _verified(token, settings.SERVICE_JWT_SECRET, SERVICE)
    _check_times(claims, now)
    external_id = claims.get("userId") or claims.get("sub")
    if not isinstance(external_id, str) or not external_id.strip():
        raise MissingClaims
    if not is_id(external_id):
        raise InvalidToken
    return Identity(external_id)


def _of_issuer(token: str, header: dict[str, Any], hearsay: Claims, now: datetime) -> Identity:
    if not issuers.configured():
        raise Unauthenticated
    issuer = _issuer_of(hearsay)
    if issuer is None or not issuer.accepts(header):
        raise InvalidToken
    key = issuer.key(header.get("kid"), header["alg"], now=now)
    if key is None:
        raise InvalidToken
    claims = _verified(token, key, header["alg"])
    _check_times(claims, now, required=issuer.required_times)
    return issuer.read(claims)


def _issuer_of(hearsay: Claims) -> Issuer | None:
    name = hearsay.get("iss")
    return issuers.configured().get(name) if isinstance(name, str) else None


def _verified(token: str, key: Any, algorithm: str) -> Claims:
    """Return the claims of a token that ``key`` has signed. They are the bytes that were read before."""
    try:
        jwt.PyJWS().decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidToken from None
    return unverified(token)[1]


def _check_times(claims: Claims, now: datetime, *, required: tuple[str, ...] = ()) -> None:
    """Instants are checked here and not by PyJWT, which reads its own clock and accepts them as text."""
    at: dict[str, float] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None and name not in required:
            continue
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not -(2**53) < value < 2**53:
            raise InvalidToken
        at[name] = float(value)
    seconds = now.timestamp()
    if at.get("exp", seconds) <= seconds - LEEWAY_SECONDS:
        raise TokenExpired
    if max(at.get("nbf", seconds), at.get("iat", seconds)) > seconds + LEEWAY_SECONDS:
        raise TokenNotActive
