"""A person leaves for good: who they were is forgotten, what they spent stays on the books."""

from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.errors import OwnerMustTransfer
from accounts.models import ApiKey, Customer, Invitation, Membership, SignUpInvitation, User
from accounts.roles import Role
from accounts.teams.customers import close_team

FORGOTTEN = "deleted"


@transaction.atomic
def leave_for_good(user: User, *, now: datetime) -> None:
    """
    Forget the user, as they themselves ask for it.

    :raises OwnerMustTransfer: if they own teams with other members; ``customers`` names those
    """
    locked = User.objects.select_for_update().get(pk=user.pk)
    shared = [team.pk for team in _owned(locked) if _others(team, locked).exists()]
    if shared:
        raise OwnerMustTransfer(customers=shared)
    forget(locked, actor=f"user:{user.pk}", now=now)


def forget(user: User, *, actor: str, now: datetime) -> None:
    """
    Revoke the keys of ``user``, who is locked, end their memberships, and clear who they were wherever it is kept.

    Teams that they alone are in are given up; one with other members keeps them as its owner, who can do nothing,
    until an operator decides. Keys that they made for other teams pass to the owner. The id at the identity provider
    stays, so that no token or news from before makes them anew.
    """
    owned = _owned(user)
    memberships = Membership.objects.filter(user=user, customer__kind=Customer.Kind.TEAM)
    for team in Customer.objects.select_for_update().filter(memberships__in=memberships).order_by("pk"):
        if team in owned and team.external_id is None and _others(team, user).exists():
            continue
        if team in owned and team.external_id is None and team.suspended_at is None:
            close_team(team, actor=actor, now=now)
        heir = Membership.objects.filter(customer=team, role=Role.OWNER).exclude(user=user).first()
        ApiKey.objects.filter(customer=team, created_by=user).update(created_by=heir and heir.user_id)
        memberships.filter(customer=team).delete()
        audit.record(team, "member.left", f"user:{user.pk}", actor=actor, now=now)
    _clear(user, actor=actor, now=now)
    audit.record(user.personal_customer, "user.deleted", f"user:{user.pk}", actor=actor, now=now)


def _owned(user: User) -> list[Customer]:
    own = Membership.objects.filter(user=user, role=Role.OWNER)
    return list(Customer.objects.filter(kind=Customer.Kind.TEAM, memberships__in=own).order_by("pk"))


def _others(team: Customer, user: User) -> QuerySet[Membership]:
    return team.memberships.exclude(user=user)


def _clear(user: User, *, actor: str, now: datetime) -> None:
    customer = user.personal_customer
    theirs = ApiKey.objects.filter(customer=customer)
    theirs.filter(revoked_at=None).update(revoked_at=now, revoked_by=actor)
    theirs.update(name=FORGOTTEN, metadata={})
    if user.email:
        invitations = Invitation.objects.filter(email=user.email)
        invitations.filter(Invitation.OPEN).update(revoked_at=now)
        invitations.update(email="")
        SignUpInvitation.objects.filter(email=user.email).delete()
    for row, label in ((user, f"user {user.pk}"), (customer, f"customer {customer.pk}")):
        kind = ContentType.objects.get_for_model(type(row))
        LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).update(object_repr=label)
    user.name, user.email = "", None
    user.is_active = user.is_staff = user.is_superuser = False
    user.deleted_at = now
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
    Customer.objects.filter(pk=customer.pk).update(name=f"{FORGOTTEN} {customer.pk}")
