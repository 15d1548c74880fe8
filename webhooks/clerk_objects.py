"""Clerk's objects, as its webhooks and its Backend API give them alike: what they say, and how it is kept."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts import directory, profiles
from accounts.claims import CLERK_TEAM, CLERK_USER
from accounts.identities import MAX_EXTERNAL_ID, role_word
from webhooks.errors import InvalidEvent
from webhooks.sources.base import Payload, is_text

CLERK_MEMBERSHIP = re.compile(rf"[A-Za-z0-9_]{{1,{MAX_EXTERNAL_ID}}}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Instants are in milliseconds; some of Clerk's examples are in seconds. No number is both.
FIRST_IN_MILLISECONDS = 10**11
LAST = 10**13
MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


def keep_user(user: Payload, at: datetime) -> str:
    """Keep the name and the address of a user."""
    name = " ".join(part for part in (text(user, "first_name"), text(user, "last_name")) if part)
    return profiles.keep_profile(user_id(user, "id"), email=primary_address(user), name=name, updated_at=at)


def keep_team(organization: Payload, at: datetime) -> str:
    """Keep the name of an organization."""
    return directory.keep_team(team_id(organization, "id"), name=text(organization, "name"), updated_at=at)


def keep_membership(membership: Payload, at: datetime) -> str:
    """Keep who is in which organization, and as what. What it says about the organization itself is kept too."""
    organization = part(membership, "organization")
    if (known_at := instant(organization.get("updated_at"))) is not None:
        keep_team(organization, known_at)
    return directory.keep_membership(
        team_id(organization, "id"),
        user_id(part(membership, "public_user_data"), "user_id"),
        word=role_word(membership.get("role")),
        told_at=at,
        external_id=membership_id(membership),
    )


def end_membership(membership: Payload, at: datetime) -> str:
    """End a membership. ``at`` is in no second before the one in which it ended."""
    return directory.end_membership(
        team_id(part(membership, "organization"), "id"),
        user_id(part(membership, "public_user_data"), "user_id"),
        ended_at=at,
        external_id=membership_id(membership),
    )


def primary_address(user: Payload) -> str:
    """Return the address that is both primary and verified; empty if there is none."""
    primary, addresses = user.get("primary_email_address_id"), user.get("email_addresses")
    for address in addresses if isinstance(addresses, list) else []:
        if isinstance(address, dict) and primary and address.get("id") == primary:
            verification = address.get("verification")
            if isinstance(verification, dict) and verification.get("status") == "verified":
                return text(address, "email_address")
    return ""


def part(whole: Payload, name: str) -> Payload:
    """:raises InvalidEvent: if ``whole`` has no object called ``name``"""
    value = whole.get(name)
    if not isinstance(value, dict):
        raise InvalidEvent(f"The event has no {name}.")
    return value


def user_id(whole: Payload, name: str) -> str:
    # Checked, because whatever else stands there (a payer, an organization) would become a person.
    value = whole.get(name)
    if not isinstance(value, str) or not is_text(value, CLERK_USER):
        raise InvalidEvent("The event names no user.")
    return value


def team_id(whole: Payload, name: str) -> str:
    value = whole.get(name)
    if not isinstance(value, str) or not is_text(value, CLERK_TEAM):
        raise InvalidEvent("The event names no organization.")
    return value


def membership_id(membership: Payload) -> str:
    value = membership.get("id")
    if not isinstance(value, str) or not is_text(value, CLERK_MEMBERSHIP):
        raise InvalidEvent("The event names no membership.")
    return value


def text(whole: Payload, name: str) -> str:
    value = whole.get(name)
    return value.strip() if isinstance(value, str) else ""


def told_at(payload: Payload, thing: Payload) -> datetime:
    """Return when what an event says was true, which decides between two events about one thing."""
    for value in (thing.get("updated_at"), payload.get("timestamp")):
        if (at := instant(value)) is not None:
            return at
    raise InvalidEvent("The event does not say when it happened.")


def ended_at(payload: Payload) -> datetime:
    """
    Return when an event says that something ended: when it was sent, for the thing itself may say when it last changed.

    Of a time in whole seconds it is the end of the second: whatever was true before is older.
    """
    at, sent = instant(payload.get("timestamp")), payload.get("timestamp")
    if at is None or not isinstance(sent, int):
        raise InvalidEvent("The event does not say when it happened.")
    return at if sent >= FIRST_IN_MILLISECONDS else at + SECOND - MILLISECOND


def instant(value: Any) -> datetime | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < LAST:
        return None
    return EPOCH + timedelta(milliseconds=value if value >= FIRST_IN_MILLISECONDS else value * 1000)
