"""A person leaves for good: who they were is forgotten, what they spent stays on the books."""

from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from accounts import audit
from accounts.errors import OwnerMustTransfer
from accounts.models import ApiKey, Customer, Invitation, Membership, SignUpInvitation, User
from accounts.roles import Role
from accounts.teams.customers import close_team

FORGOTTEN = "deleted"


@transaction.atomic
def leave_for_good(user: User, *, now: datetime) -> None:
    """
    Revoke the user's keys, end their memberships, and clear name and address wherever they are kept.

    Teams that they alone are in are given up. Keys that they made for other teams pass to the owner. The id at the
    identity provider stays, so that no token or news from before makes them anew.

    :raises OwnerMustTransfer: if they own teams with other members; ``customers`` names those
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    actor = f"user:{user.pk}"
    memberships = Membership.objects.filter(user=user, customer__kind=Customer.Kind.TEAM)
    teams = list(Customer.objects.select_for_update().filter(memberships__in=memberships).order_by("pk"))
    owned = [team for team in teams if memberships.filter(customer=team, role=Role.OWNER).exists()]
    shared = [team.pk for team in owned if team.memberships.exclude(user=user).exists()]
    if shared:
        raise OwnerMustTransfer(customers=shared)
    for team in owned:
        if team.external_id is None and team.suspended_at is None:
            close_team(team, actor=actor, now=now)
    for team in teams:
        heir = Membership.objects.filter(customer=team, role=Role.OWNER).exclude(user=user).first()
        ApiKey.objects.filter(customer=team, created_by=user).update(created_by=heir and heir.user_id)
        audit.record(team, "member.left", actor, actor=actor, now=now)
    memberships.delete()
    _forget(user, now=now)
    audit.record(user.personal_customer, "user.deleted", actor, actor=actor, now=now)


def _forget(user: User, *, now: datetime) -> None:
    customer = user.personal_customer
    theirs = ApiKey.objects.filter(customer=customer)
    theirs.filter(revoked_at=None).update(revoked_at=now, revoked_by=f"user:{user.pk}")
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
