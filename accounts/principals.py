"""A credential that has been read, resolved: who it speaks for, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from accounts.addresses import is_within
from accounts.directory import introduce, is_news
from accounts.errors import AddressNotAllowed, CustomerNotFound, InvalidApiKey, Suspended
from accounts.identities import Identity
from accounts.models import ApiKey, Customer, Membership, User
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
    #: Who acts in the person's name, if somebody does.
    impersonator: str = ""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it may do for the customer."""
        return MAY[self.role] if self.role else reach_of(self.scopes)

    @property
    def mode(self) -> str:
        """Of a test key, test: what it spends and reads is apart from all else."""
        return self.api_key.mode if self.api_key is not None else ApiKey.Mode.LIVE.value

    @property
    def actor(self) -> str:
        """Who this is, as the ledger writes it."""
        if self.api_key is not None:
            return f"key:{self.api_key.pk}"
        if self.user is None:
            return "system"
        return f"user:{self.user.pk}" + (f" by {self.impersonator}" if self.impersonator else "")


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


def principal_of_person(identity: Identity, *, customer_id: int | None = None) -> Principal:
    """
    Return the person ``identity``, acting for the customer that they choose. They and their team appear on first sight.

    The choice is ``customer_id``, else the team of the token, else their personal customer. Whoever acts in the
    name of a person may only read.

    :raises Suspended: if the user is inactive or the customer suspended
    :raises CustomerNotFound: if they are no member of the customer
    """
    membership = _membership(identity, customer_id)
    if membership is None or is_news(identity, membership.customer.external_id, membership.external_role):
        introduce(identity)
        membership = _membership(identity, customer_id)
    if membership is None:
        if not User.objects.filter(external_id=identity.external_id, is_active=True).exists():
            raise Suspended
        raise CustomerNotFound
    if not membership.user.is_active or membership.customer.suspended_at is not None:
        raise Suspended
    role = Role.READ_ONLY.value if identity.impersonator else membership.role
    return Principal(membership.customer, membership.user, None, scopes_of(role), role, identity.impersonator)


def _membership(identity: Identity, customer_id: int | None) -> Membership | None:
    mine = Membership.objects.filter(user__external_id=identity.external_id)
    if customer_id is not None:
        chosen = mine.filter(customer=customer_id)
    elif identity.team_id:
        chosen = mine.filter(customer__external_id=identity.team_id)
    else:
        chosen = mine.filter(customer__user=F("user"))
    return chosen.select_related("user", "customer").first()
