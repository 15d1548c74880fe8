"""Who belongs to a team: one owner, always, and others whose role changes, who leave, or are removed."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.errors import MemberNotFound, OwnerMustTransfer
from accounts.models import ApiKey, Customer, Membership
from accounts.roles import Role
from accounts.teams.customers import lock_team


@transaction.atomic
def change_role(team: Customer, user_id: int, role: str, *, actor: str, now: datetime) -> Membership:
    """
    Give a member another role than OWNER, which only passes on.

    :raises MemberNotFound: if they are no member
    :raises OwnerMustTransfer: if they are the owner
    """
    member = _other_than_owner(lock_team(team), user_id)
    if member.role != role:
        details = {"from": member.role, "to": role}
        member.role = role
        member.save(update_fields=["role"])
        audit.record(team, "member.changed", f"user:{user_id}", actor=actor, now=now, **details)
    return member


@transaction.atomic
def remove_member(team: Customer, user_id: int, *, revoke_keys: bool, actor: str, now: datetime) -> None:
    """
    End a membership, by others or by the member. Keys that they made are the team's and go on, unless ``revoke_keys``.

    :raises MemberNotFound: if they are no member
    :raises OwnerMustTransfer: if they are the owner
    """
    member = _other_than_owner(lock_team(team), user_id)
    member.delete()
    if revoke_keys:
        theirs = ApiKey.objects.filter(customer=team, created_by=user_id, revoked_at=None)
        theirs.update(revoked_at=now, revoked_by=actor)
    action = "member.left" if actor == f"user:{user_id}" else "member.removed"
    audit.record(team, action, f"user:{user_id}", actor=actor, now=now, keysRevoked=revoke_keys)


@transaction.atomic
def transfer(team: Customer, user_id: int, *, actor: str, now: datetime) -> Membership:
    """
    Make a member the owner, and the owner an administrator. To the owner themselves it changes nothing.

    :raises MemberNotFound: if they are no member, or not active
    """
    locked = lock_team(team)
    heir = Membership.objects.filter(customer=locked, user=user_id, user__is_active=True).select_related("user").first()
    if heir is None:
        raise MemberNotFound
    if heir.role != Role.OWNER:
        Membership.objects.filter(customer=locked, role=Role.OWNER).update(role=Role.ADMIN)
        heir.role = Role.OWNER.value
        heir.save(update_fields=["role"])
        audit.record(team, "customer.transferred", f"user:{user_id}", actor=actor, now=now)
    return heir


def _other_than_owner(team: Customer, user_id: int) -> Membership:
    member = Membership.objects.filter(customer=team, user=user_id).select_related("user").first()
    if member is None:
        raise MemberNotFound
    if member.role == Role.OWNER:
        raise OwnerMustTransfer
    return member
