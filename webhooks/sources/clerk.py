"""Clerk: people and teams. It tells who they are and who belongs together, and never what they have."""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from accounts import directory, profiles
from webhooks import clerk_objects
from webhooks.clerk_objects import ended_at, part, team_id, told_at, user_id
from webhooks.sources.base import Handler, Payload
from webhooks.sources.standard import StandardWebhooks


def keeping(keep: Callable[[Payload, datetime], str]) -> Handler:
    """Return the handler of events that tell the whole of a thing, which ``keep`` keeps."""

    def handle(payload: Payload, *, now: datetime) -> str:
        data = part(payload, "data")
        return keep(data, told_at(payload, data))

    return handle


def forget_user(payload: Payload, *, now: datetime) -> str:
    return profiles.forget_user(user_id(part(payload, "data"), "id"), now=now)


def end_team(payload: Payload, *, now: datetime) -> str:
    return directory.end_team(team_id(part(payload, "data"), "id"), now=now)


def end_membership(payload: Payload, *, now: datetime) -> str:
    return clerk_objects.end_membership(part(payload, "data"), ended_at(payload))


def keep_invited_team(payload: Payload, *, now: datetime) -> str:
    """An invitation makes its team known, and nobody a member: that has events of its own."""
    directory.provision_team(team_id(part(payload, "data"), "organization_id"))
    return "team known; a membership is told by its own event"


class Clerk(StandardWebhooks):
    name = "clerk"
    secrets_setting = "CLERK_WEBHOOK_SECRETS"
    handlers: ClassVar[dict[str, Handler]] = {
        "user.created": keeping(clerk_objects.keep_user),
        "user.updated": keeping(clerk_objects.keep_user),
        "user.deleted": forget_user,
        "organization.created": keeping(clerk_objects.keep_team),
        "organization.updated": keeping(clerk_objects.keep_team),
        "organization.deleted": end_team,
        "organizationMembership.created": keeping(clerk_objects.keep_membership),
        "organizationMembership.updated": keeping(clerk_objects.keep_membership),
        "organizationMembership.deleted": end_membership,
        "organizationInvitation.created": keep_invited_team,
        "organizationInvitation.accepted": keep_invited_team,
        "organizationInvitation.revoked": keep_invited_team,
    }
