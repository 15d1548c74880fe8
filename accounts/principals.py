"""A credential that has been read, resolved: who it speaks for, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from accounts.addresses import is_within
from accounts.errors import AddressNotAllowed, CustomerNotFound, InvalidApiKey, Suspended
from accounts.models import ApiKey, Customer, Membership, User
from accounts.provisioning import provision_user
from accounts.roles import MAY, Capability, Role, reach_of, scopes_of

USED_AT_MOST_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Principal:
    """A credential that the database knows and that is good now. Acts for ``customer`` within its capabilities."""

    customer: Customer
    user: User | None
    api_key: ApiKey | None
    scopes: frozenset[str]
    #: A person's role; a key has none.
    role: str = ""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it may do for the customer."""
        return MAY[self.role] if self.role else reach_of(self.scopes)

    @property
    def actor(self) -> str:
        """Who this is, as the ledger writes it."""
        if self.api_key is not None:
            return f"key:{self.api_key.pk}"
        return f"user:{self.user.pk}" if self.user is not None else "system"


def principal_of_key(digest: str, *, now: datetime, customer_id: int | None = None, address: str = "") -> Principal:
    """
    Return whom the API key with ``digest`` speaks for, and note that it was used.

    :raises InvalidApiKey: if it is unknown, revoked or expired
    :raises Suspended: if its customer is suspended, or the person behind it inactive
    :raises CustomerNotFound: if ``customer_id`` chooses another customer than the key's
    :raises AddressNotAllowed: if ``address`` is in none of the networks that it is for
    """
    key = ApiKey.objects.select_related("customer__user", "created_by").filter(digest=digest).first()
    if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise InvalidApiKey
    user = key.customer.user or key.created_by
    if key.customer.suspended_at is not None or (user is not None and not user.is_active):
        raise Suspended
    if customer_id not in (None, key.customer_id):
        raise CustomerNotFound
    if key.allowed_addresses and not is_within(address, key.allowed_addresses.split()):
        raise AddressNotAllowed
    if key.last_used_at is None or now - key.last_used_at >= USED_AT_MOST_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Principal(key.customer, user, key, frozenset(key.scopes.split()))


def principal_of_person(external_id: str, *, customer_id: int | None = None, impersonated: bool = False) -> Principal:
    """
    Return the user with ``external_id``, who appears on first sight, acting for the customer that they choose.

    Without a choice that is their personal customer. Whoever acts in the name of a user may only read.

    :raises Suspended: if the user is inactive or the customer suspended
    :raises CustomerNotFound: if they are no member of the customer ``customer_id``
    """
    membership = _membership(external_id, customer_id)
    if membership is None:
        provision_user(external_id)
        membership = _membership(external_id, customer_id)
    if membership is None:
        if not User.objects.filter(external_id=external_id, is_active=True).exists():
            raise Suspended
        raise CustomerNotFound
    if not membership.user.is_active or membership.customer.suspended_at is not None:
        raise Suspended
    role = Role.READ_ONLY.value if impersonated else membership.role
    return Principal(membership.customer, membership.user, None, scopes_of(role), role)


def _membership(external_id: str, customer_id: int | None) -> Membership | None:
    mine = Membership.objects.filter(user__external_id=external_id)
    chosen = mine.filter(customer__user=F("user")) if customer_id is None else mine.filter(customer=customer_id)
    return chosen.select_related("user", "customer").first()
