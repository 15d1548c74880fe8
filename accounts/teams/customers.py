"""What happens to a customer as a whole."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.errors import CustomerNotFound, LimitsAreFixed, ManagedElsewhere, NotATeam, Suspended
from accounts.limits import LIMITS
from accounts.models import ApiKey, Customer, Invitation, Membership, User
from accounts.roles import Role
from accounts.zones import UTC

LONGEST_REASON = 200


@transaction.atomic
def create_team(*, owner: User, name: str, now: datetime, time_zone: str = UTC) -> Customer:
    """Return a new team with ``owner`` as its one member."""
    team = Customer.objects.create(kind=Customer.Kind.TEAM, name=name, time_zone=time_zone, created_at=now)
    Membership.objects.create(customer=team, user=owner, role=Role.OWNER.value, created_at=now)
    audit.record(team, "customer.created", name_of(team), actor=f"user:{owner.pk}", now=now)
    return team


@transaction.atomic
def update_customer(customer: Customer, changes: Mapping[str, Any], *, actor: str, now: datetime) -> Customer:
    """
    Set name or time zone.

    :raises ManagedElsewhere: if the identity provider names the team
    """
    locked = lock(customer)
    changed = sorted(name for name, value in changes.items() if getattr(locked, name) != value)
    if "name" in changed and locked.external_id is not None:
        raise ManagedElsewhere
    for name in changed:
        setattr(locked, name, changes[name])
    if changed:
        locked.save(update_fields=changed)
        audit.record(locked, "customer.changed", name_of(locked), actor=actor, now=now, fields=changed)
    return locked


@transaction.atomic
def limit(
    customer: Customer, changes: Mapping[str, Any], *, actor: str, now: datetime, by_administrator: bool = False
) -> Customer:
    """
    Set what may be asked for ``customer`` at most: some of ``LIMITS``, and ``limits_are_fixed``.

    :raises LimitsAreFixed: if an administrator has fixed them, and it is not ``by_administrator``
    """
    locked = lock(customer)
    if locked.limits_are_fixed and not by_administrator:
        raise LimitsAreFixed
    changed = sorted(name for name, value in changes.items() if getattr(locked, name) != value)
    for name in changed:
        setattr(locked, name, changes[name])
    if changed:
        if not set(LIMITS).isdisjoint(changed):
            locked.limited_at = now
        locked.save(update_fields=[*changed, "limited_at"])
        audit.record(locked, "customer.limited", name_of(locked), actor=actor, now=now, fields=changed)
    return locked


@transaction.atomic
def close_team(team: Customer, *, actor: str, now: datetime) -> None:
    """
    Give a team up: its keys, invitations and memberships end, and its books stay.

    :raises NotATeam: if it is a person's own customer
    :raises ManagedElsewhere: if it belongs to the identity provider
    """
    close_locked(lock_team(team), actor=actor, now=now)


def close_locked(team: Customer, *, actor: str, now: datetime) -> None:
    """The same of a team that is locked, whoever manages it."""
    ApiKey.objects.filter(customer=team, revoked_at=None).update(revoked_at=now, revoked_by=actor)
    Invitation.objects.filter(Invitation.OPEN, customer=team).update(revoked_at=now)
    Membership.objects.filter(customer=team).delete()
    team.closed_at = now
    team.save(update_fields=["closed_at"])
    audit.record(team, "customer.closed", name_of(team), actor=actor, now=now)


@transaction.atomic
def suspend(customer: Customer, *, reason: str, actor: str, now: datetime) -> bool:
    """Refuse whatever is asked for ``customer`` from now on. Returns whether that is new; again changes nothing."""
    locked = lock(customer)
    if locked.suspended_at is not None:
        return False
    locked.suspended_at, locked.suspended_by, locked.suspended_reason = now, actor, reason[:LONGEST_REASON]
    locked.save(update_fields=["suspended_at", "suspended_by", "suspended_reason"])
    audit.record(locked, "customer.suspended", name_of(locked), actor=actor, now=now, reason=locked.suspended_reason)
    return True


@transaction.atomic
def reactivate(customer: Customer, *, actor: str, now: datetime) -> bool:
    """Let ``customer`` spend again. Returns whether that is new; again changes nothing."""
    locked = lock(customer)
    if locked.suspended_at is None:
        return False
    locked.suspended_at, locked.suspended_by, locked.suspended_reason = None, "", ""
    locked.save(update_fields=["suspended_at", "suspended_by", "suspended_reason"])
    audit.record(locked, "customer.reactivated", name_of(locked), actor=actor, now=now)
    return True


def lock(customer: Customer) -> Customer:
    """
    Return ``customer`` as it is, locked: whoever changes its people or state waits for the others.

    :raises CustomerNotFound: if it was given up meanwhile
    """
    locked = Customer.objects.select_for_update().filter(pk=customer.pk, closed_at=None).first()
    if locked is None:
        raise CustomerNotFound
    return locked


def lock_team(team: Customer) -> Customer:
    """
    The same of a team whose members are managed here.

    :raises NotATeam: if it is a person's own customer
    :raises ManagedElsewhere: if its members are those of the identity provider
    :raises Suspended: if it is suspended
    """
    locked = lock(team)
    if locked.kind != Customer.Kind.TEAM:
        raise NotATeam
    if locked.external_id is not None:
        raise ManagedElsewhere
    if locked.suspended_at is not None:
        raise Suspended
    return locked


def name_of(customer: Customer) -> str:
    return f"customer:{customer.pk}"
