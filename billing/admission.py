"""
The decision: may this call be made, and how much is held for it.

Pure: it sees what the batch has read under the account's lock and nothing else, so
every rule can be tested without a database, and there is no cache in it.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.errors import CustomerNotFound, InvalidApiKey, PermissionDenied, Suspended
from accounts.roles import Scope
from accounts.zones import UTC
from billing import permits
from billing.errors import UnknownPrice
from billing.pricing import FIXED, Terms, ceiling
from credits.errors import InsufficientCredits

#: The id of no customer: a person chose one that they are no member of.
NOBODY = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the database says at this instant: a key, or a user in person."""

    customer_id: int
    account_id: int
    key_id: int | None
    user_id: int | None
    mode: str
    scopes: str
    is_active: bool
    suspended_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    time_zone: str = UTC
    allowed_models: str = ""
    allowed_features: str = ""
    allowed_addresses: str = ""
    #: The identity provider's word for the person's role.
    external_role: str = ""

    @property
    def actor(self) -> str:
        return f"key:{self.key_id}" if self.key_id is not None else f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a caller wants to call, from where and for whom: every model that may answer, the feature, the address,
    and the customer if they chose one.
    """

    models: tuple[str, ...] = ()
    feature: str = ""
    address: str = ""
    customer_id: int | None = None


def decide(caller: Caller, terms: Terms | None, *, asked: Asked, quantity: int, available: int, now: datetime) -> int:
    """
    Return the units to hold for ``quantity`` of a feature under ``terms``.

    :raises InvalidApiKey: if the key is revoked or has expired
    :raises Suspended: if the customer or the person may not spend
    :raises CustomerNotFound: if the customer that they chose is not theirs
    :raises PermissionDenied: if the key's scopes or the person's role do not reach so far
    :raises AddressNotAllowed: if the key is not for where it is used
    :raises FeatureNotAllowed: if the key is not for the feature
    :raises ModelNotAllowed: if the key is not for the model
    :raises UnknownPrice: if no price is in force
    :raises InsufficientCredits: if less is available than the call may cost
    """
    if caller.revoked_at is not None or (caller.expires_at is not None and caller.expires_at <= now):
        raise InvalidApiKey
    if caller.suspended_at is not None or not caller.is_active:
        raise Suspended
    if caller.customer_id == NOBODY or asked.customer_id not in (None, caller.customer_id):
        raise CustomerNotFound
    if Scope.AI not in caller.scopes.split():
        lacks = "This key may not call models: it lacks the scope 'ai'."
        raise PermissionDenied(lacks if caller.key_id is not None else "Your role may not call models.")
    permits.check(
        models=caller.allowed_models,
        features=caller.allowed_features,
        networks=caller.allowed_addresses,
        asked=asked.models,
        feature=asked.feature,
        address=asked.address,
    )
    if terms is None or terms.type != FIXED:
        raise UnknownPrice
    amount = ceiling(terms, quantity)
    if amount > available:
        raise InsufficientCredits(required=amount, available=available)
    return amount
