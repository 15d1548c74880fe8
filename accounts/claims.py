"""What the claims of a verified token mean: Clerk's, and those of any other issuer as configured. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from accounts.errors import InvalidToken, MissingClaims, SessionPending
from accounts.identities import MAX_IMPERSONATOR, Identity, is_id, role_word
from accounts.texts import plain

Claims = dict[str, Any]
#: The name of a claim, or the names on the way to one.
Path = tuple[str, ...]

CLERK_USER = re.compile(r"user_[A-Za-z0-9]{10,64}")
CLERK_TEAM = re.compile(r"org_[A-Za-z0-9]{10,64}")
MAX_NAME = 200
MAX_EMAIL = 254


@dataclass(frozen=True, slots=True)
class ClerkRules:
    """``parties`` are the origins whose sessions are accepted; native apps have none unless ``azp`` is required."""

    parties: tuple[str, ...]
    azp_is_required: bool = False

    def read(self, claims: Claims) -> Identity:
        """
        Return who a session of Clerk speaks for, version 1 or 2.

        :raises SessionPending: if the user has not finished signing in
        """
        if ("azp" in claims or self.azp_is_required) and not _is_one_of(claims.get("azp"), self.parties):
            raise InvalidToken
        status = claims.get("sts", "active")
        if status == "pending":
            raise SessionPending
        subject = claims.get("sub")
        if not subject:
            raise MissingClaims
        if status != "active" or not isinstance(subject, str) or CLERK_USER.fullmatch(subject) is None:
            raise InvalidToken
        team_id, role = _clerk_team(claims)
        return Identity(subject, team_id, role, impersonator=impersonator(claims), told_at=told_at(claims))


def _clerk_team(claims: Claims) -> tuple[str, str]:
    chosen = claims.get("o")
    if chosen is None:
        chosen = {"id": claims.get("org_id"), "rol": claims.get("org_role")}
        if chosen["id"] is None:
            return "", ""
    if not isinstance(chosen, dict) or not isinstance(chosen.get("id"), str):
        raise InvalidToken
    if CLERK_TEAM.fullmatch(chosen["id"]) is None:
        raise InvalidToken
    return chosen["id"], role_word(chosen.get("rol"))


@dataclass(frozen=True, slots=True)
class OidcRules:
    """Which claims of an issuer's tokens say what. Ids are kept behind ``prefix``, so that no two issuers meet."""

    prefix: str
    audiences: tuple[str, ...]
    parties: tuple[str, ...] = ()
    user: Path = ("sub",)
    email: Path = ("email",)
    email_verified: Path = ("email_verified",)
    trusts_email: bool = False
    name: Path = ("name",)
    organization: Path = ()
    role: Path = ()

    def read(self, claims: Claims) -> Identity:
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not any(_is_one_of(text, self.audiences) for text in named):
            raise InvalidToken
        if self.parties and not _is_one_of(claims.get("azp", claims.get("client_id")), self.parties):
            raise InvalidToken
        user = at(claims, self.user)
        if not user:
            raise MissingClaims
        if not is_id(user, prefix=self.prefix):
            raise InvalidToken
        team = at(claims, self.organization) if self.organization else None
        if team not in (None, "") and not is_id(team, prefix=self.prefix):
            raise InvalidToken
        return Identity(
            self.prefix + user,
            self.prefix + team if team else "",
            role_word(at(claims, self.role)) if team and self.role else "",
            impersonator=impersonator(claims),
            email=self._email(claims),
            name=_text(at(claims, self.name), MAX_NAME),
            told_at=told_at(claims),
        )

    def _email(self, claims: Claims) -> str:
        email = _text(at(claims, self.email), MAX_EMAIL + 1)
        is_verified = self.trusts_email or at(claims, self.email_verified) is True
        return email if is_verified and len(email) <= MAX_EMAIL and "@" in email else ""


def at(claims: Claims, path: Path) -> Any:
    """Return the claim at ``path``; None if there is none."""
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def impersonator(claims: Claims) -> str:
    """Return who acts in the subject's name, by the claim ``act``; empty if they act themselves."""
    if "act" not in claims:
        return ""
    act = claims["act"]
    subject = act.get("sub") if isinstance(act, dict) else None
    return subject[:MAX_IMPERSONATOR] if isinstance(subject, str) and is_id(subject) else "somebody"


def told_at(claims: Claims) -> datetime:
    return datetime.fromtimestamp(float(claims["iat"]), UTC)


def _is_one_of(value: object, allowed: Collection[str]) -> bool:
    return isinstance(value, str) and value in allowed


def _text(value: object, length: int) -> str:
    return plain(value).strip()[:length] if isinstance(value, str) else ""
