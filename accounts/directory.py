"""
What an identity provider tells about teams and who is in them, in whatever order it arrives.

Newer news replaces older, and what has ended stays ended: a team for good, a membership until newer
news or a newer token brings the person back. Nobody's credits are touched here; the books of a team
that is gone stay.
"""

from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.identities import Identity
from accounts.models import Customer, FormerMembership, Membership
from accounts.provisioning import provision_user
from accounts.roles import Role
from accounts.teams.customers import close_locked
from accounts.texts import plain

MAX_NAME = 200
#: Who did it, in audit entries.
ACTOR = "identity provider"


class Outcome(StrEnum):
    TEAM_KEPT = "team kept"
    TEAM_CLOSED = "team closed and its members removed"
    TEAM_GONE = "nothing changed: the team is closed"
    MEMBER_KEPT = "membership kept"
    MEMBER_REMOVED = "member removed"
    STALE = "nothing changed: newer is known"
    USER_GONE = "nothing changed: the user is deleted"


def is_news(identity: Identity, team_id: str | None, external_role: str) -> bool:
    """Whether a token tells another role in its team than is known of the membership that it was found by."""
    return bool(identity.team_role) and identity.team_id == team_id and identity.team_role != external_role


def introduce(identity: Identity) -> None:
    """
    Let whoever a valid token speaks for appear, and their membership of its team.

    What is known already, or from newer news, stays as it is. Safe under concurrency.
    """
    provision_user(identity.external_id, email=identity.email, name=identity.name)
    if identity.team_id:
        assert identity.told_at is not None, "a token that names a team says when it was made"
        keep_membership(identity.team_id, identity.external_id, word=identity.team_role, told_at=identity.told_at)


def provision_team(external_id: str) -> Customer:
    """Return the team with ``external_id``, which appears on first sight; once, however many ask."""
    team, _ = Customer.objects.get_or_create(
        external_id=external_id, kind=Customer.Kind.TEAM, defaults={"name": external_id[:MAX_NAME]}
    )
    return team


@transaction.atomic
def keep_team(external_id: str, *, name: str, updated_at: datetime) -> Outcome:
    """Set the name of the team with ``external_id``, which appears if it is not known."""
    team = _locked(external_id)
    if team.closed_at is not None:
        return Outcome.TEAM_GONE
    if team.external_updated_at is not None and updated_at < team.external_updated_at:
        return Outcome.STALE
    team.name = plain(name).strip()[:MAX_NAME] or external_id
    team.external_updated_at = updated_at
    team.save(update_fields=["name", "external_updated_at"])
    return Outcome.TEAM_KEPT


@transaction.atomic
def end_team(external_id: str, *, now: datetime) -> Outcome:
    """
    End the memberships, keys and invitations of the team. Its books stay.

    It is final. A team that is not known yet appears closed, so that news from before cannot open it.
    """
    team = _locked(external_id)
    if team.closed_at is not None:
        return Outcome.TEAM_GONE
    close_locked(team, actor=ACTOR, now=now)
    return Outcome.TEAM_CLOSED


@transaction.atomic
def keep_membership(team_id: str, user_id: str, *, word: str, told_at: datetime, external_id: str = "") -> Outcome:
    """
    Make the user a member of the team, in the role that ``ORGANIZATION_ROLES`` has for the provider's ``word``.

    User and team appear if they are not known. A role changes only when the provider's word does, so that
    one that was given here stays. ``external_id`` is the membership's own, where it is known.
    """
    user = provision_user(user_id)
    team = _locked(team_id)
    if team.closed_at is not None:
        return Outcome.TEAM_GONE
    user.refresh_from_db()
    if user.deleted_at is not None:
        return Outcome.USER_GONE
    ended = FormerMembership.objects.filter(customer=team, user=user).first()
    if ended is not None and (told_at <= ended.ended_at or (external_id and external_id == ended.external_id)):
        return Outcome.STALE
    member = Membership.objects.filter(customer=team, user=user).first()
    if member is None:
        member = Membership(customer=team, user=user, role=role_of(word))
        audit.record(team, "member.joined", f"user:{user.pk}", actor=ACTOR, now=told_at, role=member.role)
    elif member.external_updated_at is not None and (told_at, word) < (
        member.external_updated_at,
        member.external_role,
    ):
        return Outcome.STALE
    elif word != member.external_role and member.role != Role.OWNER:
        details = {"from": member.role, "to": role_of(word)}
        member.role = role_of(word)
        audit.record(team, "member.changed", f"user:{user.pk}", actor=ACTOR, now=told_at, **details)
    member.external_id = external_id or member.external_id
    member.external_role, member.external_updated_at = word, told_at
    member.save()
    return Outcome.MEMBER_KEPT


@transaction.atomic
def end_membership(team_id: str, user_id: str, *, ended_at: datetime, external_id: str = "") -> Outcome:
    """
    Remove the user from the team, unless they have joined it anew since ``ended_at``.

    That the membership ``external_id`` has ended is final, whatever is told about it afterwards.
    """
    user = provision_user(user_id)
    team = _locked(team_id)
    if team.closed_at is not None:
        return Outcome.TEAM_GONE
    member = Membership.objects.filter(customer=team, user=user).first()
    known_at = member.external_updated_at if member is not None else None
    is_the_same = member is not None and external_id != "" and member.external_id == external_id
    if known_at is not None and known_at > ended_at and not is_the_same:
        return Outcome.STALE
    ended, is_new = FormerMembership.objects.get_or_create(
        customer=team, user=user, defaults={"external_id": external_id, "ended_at": ended_at}
    )
    if not is_new and ended_at > ended.ended_at:
        ended.external_id, ended.ended_at = external_id, ended_at
        ended.save(update_fields=["external_id", "ended_at"])
    if member is None:
        return Outcome.STALE
    member.delete()
    audit.record(team, "member.removed", f"user:{user.pk}", actor=ACTOR, now=ended_at)
    return Outcome.MEMBER_REMOVED


def role_of(word: str) -> str:
    """Return the role that the provider's ``word`` means here: one that is not configured may only read."""
    if not word:
        return Role.MEMBER.value
    return str(settings.ORGANIZATION_ROLES.get(word, Role.READ_ONLY.value))


def _locked(team_id: str) -> Customer:
    provision_team(team_id)
    return Customer.objects.select_for_update().get(external_id=team_id, kind=Customer.Kind.TEAM)
