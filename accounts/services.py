"""What happens to people and keys: a user appears, a credential is resolved, a key is made or revoked."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from accounts import keys
from accounts.errors import InvalidApiKey, Suspended
from accounts.models import ApiKey, Customer, Membership, User

logger = logging.getLogger(__name__)

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


def provision_user(external_id: str, *, email: str = "", name: str = "") -> User:
    """
    Return the user with ``external_id``; a new one, with a personal customer, on first sight.

    Safe under concurrency: however many ask at once, one user appears. A mail address
    that another user has is left out: sharing an address is no proof of being the same person.
    """
    known = User.objects.filter(external_id=external_id).first()
    if known is not None:
        return known
    try:
        with transaction.atomic():
            return User.objects.create_user(email or None, external_id=external_id, name=name)
    except IntegrityError:
        known = User.objects.filter(external_id=external_id).first()
        if known is not None:
            return known
        if not email:
            raise
    logger.warning("A new user's mail address belongs to somebody else and was left out.")
    return provision_user(external_id, name=name)


def create_key(
    *,
    customer: Customer,
    name: str,
    now: datetime,
    mode: str = ApiKey.Mode.LIVE,
    scopes: Collection[str] = (ApiKey.Scope.AI, ApiKey.Scope.READ),
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key of ``customer`` and its text, which exists nowhere else and cannot be shown again."""
    text = keys.mint(mode)
    key = ApiKey.objects.create(
        customer=customer,
        created_by=created_by,
        name=name,
        mode=mode,
        digest=keys.digest(text, pepper=settings.API_KEY_PEPPER),
        last_four=text[-4:],
        scopes=" ".join(scope for scope in ApiKey.Scope.values if scope in scopes),
        expires_at=expires_at,
        created_at=now,
    )
    return key, text


def revoke_key(key: ApiKey, *, now: datetime) -> None:
    """Make ``key`` good for nothing from now on. Revoking it again changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
