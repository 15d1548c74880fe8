"""
Who a JSON Web Token speaks for.

Two families, told apart by the algorithm and each with its own key from the settings:
HS256 from a backend that shares ``SERVICE_JWT_SECRET``, RS256 from Clerk. A header only
chooses between the two; it cannot bring a key or mix a key of one with the rules of the other.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings
from jwt.algorithms import RSAAlgorithm

from accounts.errors import InvalidToken, MissingClaims, TokenExpired, TokenNotActive, Unauthenticated
from accounts.keyset import KeySet, PublicKey

MAX_LENGTH = 8 * 1024
LEEWAY_SECONDS = 5
SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
CLERK_USER = re.compile(r"user_[A-Za-z0-9]{10,64}")
MAX_EXTERNAL_ID = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """The user's id at the identity provider; ``impersonated`` when somebody else acts in their name."""

    external_id: str
    impersonated: bool = False


def verify(token: str, *, now: datetime) -> Identity:
    """
    Return who ``token`` speaks for.

    Reads the network only where ``needs_network`` says so.

    :raises Unauthenticated: with the code that the second original gives each case
    """
    if not (settings.SERVICE_JWT_SECRET or clerk_is_configured()):
        raise Unauthenticated
    header = unverified_header(token)
    match header.get("alg"):
        case "HS256":
            return _of_service(token, now)
        case "RS256":
            return _of_clerk(token, header.get("kid"), now)
    raise InvalidToken


def needs_network(token: str, *, now: datetime) -> bool:
    """Whether ``verify`` would ask Clerk for its keys, which may take seconds."""
    if settings.CLERK_JWT_KEY or not clerk_is_configured():
        return False
    try:
        header = unverified_header(token)
    except InvalidToken:
        return False
    return header.get("alg") == "RS256" and clerk_keys(settings.CLERK_JWKS_URL).wants_refresh(
        header.get("kid"), now=now
    )


def clerk_is_configured() -> bool:
    return bool(settings.CLERK_ISSUER and (settings.CLERK_JWT_KEY or settings.CLERK_JWKS_URL))


def unverified_header(token: str) -> dict[str, Any]:
    if len(token) > MAX_LENGTH or SHAPE.fullmatch(token) is None:
        raise InvalidToken
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidToken from None


def _of_service(token: str, now: datetime) -> Identity:
    if not settings.SERVICE_JWT_SECRET:
        raise Unauthenticated
    claims = _claims(token, settings.SERVICE_JWT_SECRET, "HS256")
    _check_times(claims, now)
    external_id = claims.get("userId") or claims.get("sub")
    if not isinstance(external_id, str) or not external_id.strip():
        raise MissingClaims
    if len(external_id) > MAX_EXTERNAL_ID or not external_id.isprintable():
        raise InvalidToken
    return Identity(external_id)


def _of_clerk(token: str, kid: object, now: datetime) -> Identity:
    if not clerk_is_configured():
        raise Unauthenticated
    key = _clerk_key(kid, now)
    if key is None:
        raise InvalidToken
    claims = _claims(token, key, "RS256")
    if claims.get("iss") != settings.CLERK_ISSUER:
        raise InvalidToken
    _check_times(claims, now, required=("exp", "nbf", "iat"))
    if "azp" in claims and claims["azp"] not in settings.CLERK_AUTHORIZED_PARTIES:
        raise InvalidToken
    if claims.get("sts") == "pending":
        raise InvalidToken
    subject = claims.get("sub")
    if not subject:
        raise MissingClaims
    if not isinstance(subject, str) or CLERK_USER.fullmatch(subject) is None:
        raise InvalidToken
    return Identity(subject, impersonated="act" in claims)


def _clerk_key(kid: object, now: datetime) -> PublicKey | None:
    if settings.CLERK_JWT_KEY:
        return _parsed(settings.CLERK_JWT_KEY)
    return clerk_keys(settings.CLERK_JWKS_URL).get(kid, now=now)


@lru_cache(maxsize=2)
def _parsed(pem: str) -> PublicKey:
    return RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)  # type: ignore[return-value]


@lru_cache(maxsize=2)
def clerk_keys(url: str) -> KeySet:
    """The process's copy of the keys at ``url``."""
    return KeySet(url)


def _claims(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            options={
                "verify_signature": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidToken from None


def _check_times(claims: dict[str, Any], now: datetime, *, required: tuple[str, ...] = ()) -> None:
    """Instants are checked here and not by PyJWT, which reads its own clock and accepts them as text."""
    at: dict[str, float] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None and name not in required:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
            raise InvalidToken
        at[name] = value
    seconds = now.timestamp()
    if at.get("exp", seconds) <= seconds - LEEWAY_SECONDS:
        raise TokenExpired
    if max(at.get("nbf", seconds), at.get("iat", seconds)) > seconds + LEEWAY_SECONDS:
        raise TokenNotActive
