"""
The decision: may this call be made, and how much is held for it.

Pure: it sees what the batch has read under the account's lock and nothing else, so
every rule can be tested without a database, and there is no cache in it.
"""

from collections.abc import Mapping, Sequence
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

CREDITS, USDC, TEST = "credits", "usdc", "test"


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
    #: 0 while the customer has no account in USDC.
    usdc_account_id: int = 0

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


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to pay for a call: a price in force, and the caller's account in its currency (0 if there is none)."""

    currency: str
    account_id: int
    terms: Terms


def offers_of(caller: Caller, feature: str, prices: Mapping[tuple[str, str], Terms]) -> list[Offer]:
    """Return how ``caller`` can pay for ``feature``: credits come first, then USDC. Test keys spend test credits."""
    offers = []
    terms = prices.get((feature, CREDITS))
    if terms is not None:
        offers.append(Offer(TEST if caller.mode == TEST else CREDITS, caller.account_id, terms))
    terms = prices.get((feature, USDC))
    if terms is not None and caller.mode != TEST:
        offers.append(Offer(USDC, caller.usdc_account_id, terms))
    return offers


def decide(
    caller: Caller,
    offers: Sequence[Offer],
    *,
    asked: Asked,
    quantity: int,
    available: Mapping[int, int],
    now: datetime,
) -> tuple[Offer, int]:
    """
    Return the offer that pays for ``quantity`` of a feature, and the units to hold of its account.

    ``available`` is by account; one that is missing has nothing.

    :raises PrepaidError: any refusal of ``check`` and ``afford``
    """
    check(caller, asked=asked, now=now)
    return afford(offers, quantity=quantity, available=available)


def check(caller: Caller, *, asked: Asked, now: datetime) -> None:
    """
    Refuse whoever may not make this call.

    :raises InvalidApiKey: if the key is revoked or has expired
    :raises Suspended: if the customer or the person may not spend
    :raises CustomerNotFound: if the customer that they chose is not theirs
    :raises PermissionDenied: if the key's scopes or the person's role do not reach so far
    :raises AddressNotAllowed: if the key is not for where it is used
    :raises FeatureNotAllowed: if the key is not for the feature
    :raises ModelNotAllowed: if the key is not for the model
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


def afford(offers: Sequence[Offer], *, quantity: int, available: Mapping[int, int]) -> tuple[Offer, int]:
    """
    Return the first of ``offers`` that affords the whole call, and what it holds.

    No call is paid from two accounts, and nothing is exchanged.

    :raises UnknownPrice: if no price is in force
    :raises InsufficientCredits: if no account has as much as the call may cost; it names what the first lacks
    """
    payable = [offer for offer in offers if offer.terms.type == FIXED]
    if not payable:
        raise UnknownPrice
    for offer in payable:
        amount = ceiling(offer.terms, quantity)
        if amount <= available.get(offer.account_id, 0):
            return offer, amount
    first = payable[0]
    raise InsufficientCredits(
        required=ceiling(first.terms, quantity),
        available=available.get(first.account_id, 0),
        currency=first.currency,
    )
