"""A credential that has been read, resolved: who it speaks for, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from accounts.errors import InvalidApiKey, Suspended
from accounts.models import ApiKey, Customer, Membership, User
from accounts.provisioning import provision_user

ALL_SCOPES = frozenset(ApiKey.Scope.values)
READ_ONLY = frozenset({ApiKey.Scope.READ.value})
ROLE_SCOPES = {
    Membership.Role.OWNER: ALL_SCOPES,
    Membership.Role.ADMIN: ALL_SCOPES,
    Membership.Role.MEMBER: frozenset({ApiKey.Scope.AI.value, ApiKey.Scope.READ.value}),
    Membership.Role.BILLING: READ_ONLY,
    Membership.Role.READ_ONLY: READ_ONLY,
}
USED_AT_MOST_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Principal:
    """A credential that the database knows and that is good now. Acts for ``customer`` within ``scopes``."""

    customer: Customer
    user: User | None
    api_key: ApiKey | None
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """Who this is, as the ledger writes it."""
        if self.api_key is not None:
            return f"key:{self.api_key.pk}"
        return f"user:{self.user.pk}" if self.user is not None else "system"


def principal_of_key(digest: str, *, now: datetime) -> Principal:
    """
    Return whom the API key with ``digest`` speaks for, and note that it was used.

    :raises InvalidApiKey: if it is unknown, revoked or expired
    :raises Suspended: if its customer is suspended, or the person behind it inactive
    """
    key = ApiKey.objects.select_related("customer__user", "created_by").filter(digest=digest).first()
    if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise InvalidApiKey
    user = key.customer.user or key.created_by
    if key.customer.suspended_at is not None or (user is not None and not user.is_active):
        raise Suspended
    if key.last_used_at is None or now - key.last_used_at >= USED_AT_MOST_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Principal(key.customer, user, key, frozenset(key.scopes.split()))


def principal_of_person(external_id: str, *, impersonated: bool = False) -> Principal:
    """
    Return the user with ``external_id``, who acts for their personal customer and appears on first sight.

    Whoever acts in the name of a user may only read.

    :raises Suspended: if the user is inactive or their customer suspended
    """
    membership = _personal_membership(external_id)
    if membership is None:
        provision_user(external_id)
        membership = _personal_membership(external_id)
        assert membership is not None, "every user is a member of their personal customer"
    if not membership.user.is_active or membership.customer.suspended_at is not None:
        raise Suspended
    scopes = READ_ONLY if impersonated else ROLE_SCOPES[Membership.Role(membership.role)]
    return Principal(membership.customer, membership.user, None, scopes)


def _personal_membership(external_id: str) -> Membership | None:
    mine = Membership.objects.filter(user__external_id=external_id, customer__user=F("user"))
    return mine.select_related("user", "customer").first()
