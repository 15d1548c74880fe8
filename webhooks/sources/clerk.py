"""Clerk: people. It tells who they are, and never what they have."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from accounts import profiles
from accounts.claims import CLERK_USER
from webhooks.errors import InvalidEvent
from webhooks.sources.base import Handler, Payload, is_text
from webhooks.sources.standard import StandardWebhooks

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Instants are in milliseconds; some of Clerk's examples are in seconds. No number is both.
FIRST_IN_MILLISECONDS = 10**11
LAST = 10**13


def keep_user(payload: Payload, *, now: datetime) -> str:
    """Handle ``user.created`` and ``user.updated``, which both tell the whole of the user."""
    data = _data(payload)
    return profiles.keep_profile(
        _user_id(data),
        email=primary_address(data),
        name=" ".join(part for part in (_text(data, "first_name"), _text(data, "last_name")) if part),
        updated_at=_told_at(payload, data),
    )


def forget_user(payload: Payload, *, now: datetime) -> str:
    return profiles.forget_user(_user_id(_data(payload)), now=now)


class Clerk(StandardWebhooks):
    name = "clerk"
    secrets_setting = "CLERK_WEBHOOK_SECRETS"
    handlers: ClassVar[dict[str, Handler]] = {
        "user.created": keep_user,
        "user.updated": keep_user,
        "user.deleted": forget_user,
    }


def primary_address(data: Payload) -> str:
    """Return the address that is both primary and verified; empty if there is none."""
    primary, addresses = data.get("primary_email_address_id"), data.get("email_addresses")
    for address in addresses if isinstance(addresses, list) else []:
        if isinstance(address, dict) and primary and address.get("id") == primary:
            verification = address.get("verification")
            if isinstance(verification, dict) and verification.get("status") == "verified":
                return _text(address, "email_address")
    return ""


def _data(payload: Payload) -> Payload:
    data = payload.get("data")
    if not isinstance(data, dict):
        raise InvalidEvent("The event has no data.")
    return data


def _user_id(data: Payload) -> str:
    # Checked, because whatever else stands there (a payer, an organization) would become a person.
    user_id = data.get("id")
    if not isinstance(user_id, str) or not is_text(user_id, CLERK_USER):
        raise InvalidEvent("The event names no user.")
    return user_id


def _text(data: Payload, name: str) -> str:
    value = data.get(name)
    return value.strip() if isinstance(value, str) else ""


def _told_at(payload: Payload, data: Payload) -> datetime:
    """Return when this was true, which decides between two events about one user."""
    for value in (data.get("updated_at"), payload.get("timestamp")):
        if (at := _instant(value)) is not None:
            return at
    raise InvalidEvent("The event does not say when it happened.")


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < LAST:
        return None
    return EPOCH + timedelta(milliseconds=value if value >= FIRST_IN_MILLISECONDS else value * 1000)
