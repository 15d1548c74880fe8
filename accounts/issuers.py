"""The identity providers that are believed: Clerk, and whatever ``OIDC_ISSUERS`` names."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import RSAAlgorithm

from accounts.claims import Claims, ClerkRules, OidcRules
from accounts.identities import Identity
from accounts.keyset import ALGORITHMS, KeySet, PublicKey

__all__ = ["ALGORITHMS", "Issuer", "configured"]

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
PLAIN = frozenset({"JWT"})
#: Access tokens of RFC 9068 besides. What an issuer signs for other ends (log-out, introspection) has other types.
PLAIN_OR_ACCESS = frozenset({"JWT", "AT+JWT", "APPLICATION/AT+JWT"})


@dataclass(frozen=True, slots=True)
class Issuer:
    """One identity provider: its name in tokens, its keys, and how its claims are read."""

    issuer: str
    rules: ClerkRules | OidcRules
    algorithms: frozenset[str]
    types: frozenset[str]
    required_times: tuple[str, ...]
    pem: str = ""
    #: Without it, and without a PEM, the issuer's own discovery document says where.
    jwks_url: str = ""

    @property
    def uses_network(self) -> bool:
        return not self.pem

    def accepts(self, header: Mapping[str, Any]) -> bool:
        """Whether tokens with this algorithm and of this type are the issuer's."""
        kind = header.get("typ", "JWT")
        return header["alg"] in self.algorithms and isinstance(kind, str) and kind.upper() in self.types

    def key(self, kid: object, algorithm: str, *, now: datetime) -> PublicKey | None:
        if self.pem:
            return _parsed(self.pem)
        return _keys(self.issuer, self.jwks_url).get(kid, algorithm, now=now)

    def wants_refresh(self, kid: object, algorithm: str, *, now: datetime) -> bool:
        """Whether ``key`` would use the network."""
        if self.pem or algorithm not in self.algorithms:
            return False
        return _keys(self.issuer, self.jwks_url).wants_refresh(kid, algorithm, now=now)

    def read(self, claims: Claims) -> Identity:
        return self.rules.read(claims)


def configured() -> Mapping[str, Issuer]:
    """
    Return the issuers by their names in tokens.

    :raises ImproperlyConfigured: if ``OIDC_ISSUERS`` says something else than issuers
    """
    return _configured(
        settings.CLERK_ISSUER,
        settings.CLERK_JWT_KEY,
        settings.CLERK_JWKS_URL,
        tuple(settings.CLERK_AUTHORIZED_PARTIES),
        settings.CLERK_REQUIRE_AZP,
        json.dumps(settings.OIDC_ISSUERS) if settings.OIDC_ISSUERS else "",
    )


@lru_cache(maxsize=8)
def _configured(
    issuer: str, pem: str, jwks_url: str, parties: tuple[str, ...], azp_is_required: bool, others: str
) -> Mapping[str, Issuer]:
    found = {}
    if issuer and (pem or jwks_url):
        rules = ClerkRules(parties, azp_is_required)
        found[issuer] = Issuer(
            issuer, rules, frozenset({"RS256"}), PLAIN, ("exp", "nbf", "iat"), pem=pem, jwks_url=jwks_url
        )
    for name, terms in (json.loads(others) if others else {}).items():
        other = of_terms(name, terms)
        if other.issuer in found:
            raise ImproperlyConfigured(f"{name}: {other.issuer} is configured twice.")
        found[other.issuer] = other
    return found


def of_terms(name: str, terms: Any) -> Issuer:
    """
    Return the issuer that one entry of ``OIDC_ISSUERS`` describes.

    :raises ImproperlyConfigured: naming what is missing, unknown or wrong
    """
    if NAME.fullmatch(name) is None:
        raise ImproperlyConfigured(f"{name!r}: a name is a lower-case word.")
    if not isinstance(terms, dict):
        raise ImproperlyConfigured(f"{name}: describe the issuer as an object.")
    read = _Terms(name, dict(terms))
    issuer = Issuer(
        issuer=read.text("issuer"),
        rules=OidcRules(
            prefix=f"{name}:",
            audiences=read.texts("audience"),
            parties=read.texts("authorized_parties", ()),
            user=read.texts("user_claim", ("sub",)),
            email=read.texts("email_claim", ("email",)),
            email_verified=read.texts("email_verified_claim", ("email_verified",)),
            trusts_email=read.flag("trust_email"),
            name=read.texts("name_claim", ("name",)),
            organization=read.texts("organization_claim", ()),
            role=read.texts("role_claim", ()),
        ),
        algorithms=frozenset(read.texts("algorithms", ("RS256",))),
        types=PLAIN_OR_ACCESS,
        required_times=("exp", "iat"),
        jwks_url=read.text("jwks_url", ""),
    )
    if unknown := sorted(read.terms):
        raise ImproperlyConfigured(f"{name}: {unknown[0]} is not known.")
    if beyond := sorted(issuer.algorithms - ALGORITHMS):
        raise ImproperlyConfigured(f"{name}: {beyond[0]} is not one of {', '.join(sorted(ALGORITHMS))}.")
    return issuer


class _Terms:
    """What one entry says, taken out piece by piece; what is left at the end nobody knows."""

    def __init__(self, name: str, terms: dict[str, Any]) -> None:
        self.name = name
        self.terms = terms

    def text(self, key: str, default: str | None = None) -> str:
        value = self.terms.pop(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise ImproperlyConfigured(f"{self.name}: {key} is missing or no text.")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A text, or several: alternatives, or the names on the way to a nested claim."""
        value = self.terms.pop(key, default)
        found = (value,) if isinstance(value, str) else value
        if not isinstance(found, list | tuple) or not all(isinstance(text, str) and text for text in found):
            raise ImproperlyConfigured(f"{self.name}: {key} is missing, or neither a text nor a list of texts.")
        if default != () and not found:
            raise ImproperlyConfigured(f"{self.name}: {key} is empty.")
        return tuple(found)

    def flag(self, key: str) -> bool:
        value = self.terms.pop(key, False)
        if not isinstance(value, bool):
            raise ImproperlyConfigured(f"{self.name}: {key} is true or false.")
        return value


@lru_cache(maxsize=4)
def _parsed(pem: str) -> PublicKey:
    return RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)  # type: ignore[return-value]


@lru_cache(maxsize=32)
def _keys(issuer: str, jwks_url: str) -> KeySet:
    """The process's copy of the issuer's keys."""
    return KeySet(jwks_url, issuer=issuer)
