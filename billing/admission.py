"""
The decision: may this call be made, and how much is held for it.

Pure: it sees what the batch has read under the account's lock and nothing else, so
every rule can be tested without a database, and there is no cache in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from accounts.errors import CustomerNotFound, InvalidApiKey, PermissionDenied, Suspended
from accounts.roles import Scope
from accounts.zones import UTC
from billing import permits
from billing.errors import CallTooDear, UnknownPrice
from billing.limits import Allowance, Budget, Rations
from billing.prices import PriceList
from billing.pricing import (
    METERED,
    NOTHING,
    Demand,
    Limits,
    Terms,
    affordable,
    allowed,
    least,
    price,
    quote,
    wanted,
)
from billing.rates import Rates
from billing.rationing import within_rations
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
    #: The models that the customer may call, whatever its keys say.
    customers_models: str = ""
    #: For how long the key has answers kept.
    cache_seconds: int = 0
    #: The limits of the key and of its customer, as far as they have any.
    allowances: tuple[Allowance, ...] = ()
    #: What each of the customer's end users may spend; None where none was ever limited.
    end_users: Budget | None = None

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
    """
    One way to pay for a call: the caller's account in a currency (0 if there is none), and its price.

    There are several ``terms`` where the models that may answer have several prices: the dearest is held.
    """

    currency: str
    account_id: int
    terms: tuple[Terms, ...]

    @property
    def needs_rates(self) -> bool:
        return any(terms.needs_rates for terms in self.terms)


def offers_of(caller: Caller, asked: Asked, prices: PriceList) -> list[Offer]:
    """Return how ``caller`` can pay for what is asked: credits come first, then USDC. Test keys spend test credits."""
    offers = []
    terms = _terms(caller, asked, prices, CREDITS)
    if terms:
        offers.append(Offer(TEST if caller.mode == TEST else CREDITS, caller.account_id, terms))
    terms = _terms(caller, asked, prices, USDC)
    if terms and caller.mode != TEST:
        offers.append(Offer(USDC, caller.usdc_account_id, terms))
    return offers


def _terms(caller: Caller, asked: Asked, prices: PriceList, currency: str) -> tuple[Terms, ...]:
    """The prices of all models that may answer; none, if one of them has none."""
    found: dict[Terms, None] = {}
    for model in asked.models or ("",):
        terms = prices.of(asked.feature, currency, customer_id=caller.customer_id, model=model)
        if terms is None:
            return ()
        found[terms] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Decision:
    """
    An admitted call: which account pays under which terms, what is held, and within which limits.

    ``tokens`` is what it may use of the limits per minute; 0 where nobody is limited.
    """

    offer: Offer
    terms: Terms
    amount: int
    limits: Limits | None = None
    tokens: int = 0


def decide(
    caller: Caller,
    offers: Sequence[Offer],
    *,
    asked: Asked,
    quantity: int,
    available: Mapping[int, int],
    now: datetime,
    demand: Demand = NOTHING,
    rates: Rates | None = None,
    installation_models: str = "",
    rations: Rations = (),
) -> Decision:
    """
    Return who pays what for ``quantity`` of a feature.

    ``available`` is by account; one that is missing has nothing. ``demand`` is what the call asks for at most, and
    ``rates`` what the provider may ask for it: None if that is unknown, or if no offer needs them. ``rations`` are
    what is left of the caller's limits; nothing is taken of them here.

    :raises PrepaidError: any refusal of ``check``, ``afford`` and ``within_rations``
    """
    check(caller, asked=asked, now=now, installation_models=installation_models)
    pay = partial(afford, quantity=quantity, demand=demand, rates=rates)
    if not rations:
        return pay(offers, available=available)
    return within_rations(pay, offers, rations, available=available, demand=demand, rates=rates, now=now)


def check(caller: Caller, *, asked: Asked, now: datetime, installation_models: str = "") -> None:
    """
    Refuse whoever may not make this call.

    :raises InvalidApiKey: if the key is revoked or has expired
    :raises Suspended: if the customer or the person may not spend
    :raises CustomerNotFound: if the customer that they chose is not theirs
    :raises PermissionDenied: if the key's scopes or the person's role do not reach so far
    :raises AddressNotAllowed: if the key is not for where it is used
    :raises FeatureNotAllowed: if the key is not for the feature
    :raises ModelNotAllowed: if the key, its customer or the installation is not for the model
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
    for patterns in (installation_models, caller.customers_models):
        permits.check_models(patterns, asked.models)
    permits.check(
        models=caller.allowed_models,
        features=caller.allowed_features,
        networks=caller.allowed_addresses,
        asked=asked.models,
        feature=asked.feature,
        address=asked.address,
    )


def afford(
    offers: Sequence[Offer],
    *,
    quantity: int,
    available: Mapping[int, int],
    demand: Demand = NOTHING,
    rates: Rates | None = None,
) -> Decision:
    """
    Return the first of ``offers`` that affords the whole call, else the first that affords a shorter answer.

    No call is paid from two accounts, and nothing is exchanged.

    :raises UnknownPrice: if no price is in force, or what the provider asks is needed and unknown
    :raises CallTooDear: if even a short answer could cost us more than the fixed price allows
    :raises InsufficientCredits: if no account affords even a short answer; it names what the first lacks
    """
    payable = [offer for offer in offers if rates is not None or not offer.needs_rates]
    if not payable:
        raise UnknownPrice
    if rates is None:
        return _fixed(payable, quantity, available)
    longest = [
        (offer, tokens)
        for offer in payable
        if (tokens := min(allowed(terms, quantity, demand, rates) for terms in offer.terms)) >= least(demand, rates)
    ]
    if not longest:
        raise CallTooDear
    for offer, tokens in longest:
        decision = _dearest(offer, quantity, demand, rates, tokens)
        if decision.amount <= available.get(offer.account_id, 0):
            return decision
    for offer, tokens in longest:
        fewer = min(tokens, _affordable(offer, quantity, demand, rates, available.get(offer.account_id, 0)))
        if demand.can_be_limited and fewer >= least(demand, rates):
            decision = _dearest(offer, quantity, demand, rates, fewer)
            if decision.amount <= available.get(offer.account_id, 0):
                return decision
    raise _missing(*longest[0], quantity, demand, rates, available)


def _missing(
    offer: Offer, tokens: int, quantity: int, demand: Demand, rates: Rates, available: Mapping[int, int]
) -> InsufficientCredits:
    """The refusal of a call that even a short answer is too much for."""
    left = available.get(offer.account_id, 0)
    decision = _dearest(offer, quantity, demand, rates, tokens)
    more = {}
    if decision.terms.type == METERED:
        more["affordableMaxTokens"] = max(0, min(tokens, _affordable(offer, quantity, demand, rates, left)))
    return InsufficientCredits(required=decision.amount, available=left, currency=offer.currency, **more)


def _fixed(offers: Sequence[Offer], quantity: int, available: Mapping[int, int]) -> Decision:
    """Decide where nothing depends on what the provider asks."""
    decisions = []
    for offer in offers:
        terms = max(offer.terms, key=lambda each: each.amount)
        decision = Decision(offer, terms, price(terms, quantity))
        if decision.amount <= available.get(offer.account_id, 0):
            return decision
        decisions.append(decision)
    first = decisions[0]
    raise InsufficientCredits(
        required=first.amount,
        available=available.get(first.offer.account_id, 0),
        currency=first.offer.currency,
    )


def _dearest(offer: Offer, quantity: int, demand: Demand, rates: Rates, tokens: int) -> Decision:
    """Hold the most that any model costs, within the limits that any of them needs: one of them answers."""
    quotes = [(terms, quote(terms, quantity, demand, rates, tokens)) for terms in offer.terms]
    terms, most = max(quotes, key=lambda each: each[1].amount)
    return Decision(offer, terms, most.amount, next((each.limits for _, each in quotes if each.limits), None))


def _affordable(offer: Offer, quantity: int, demand: Demand, rates: Rates, available: int) -> int:
    """How many tokens each answer can have; of a fixed price all or none, since fewer would not cost less."""

    def tokens(terms: Terms) -> int:
        if terms.type == METERED:
            return affordable(terms, demand, rates, available=available)
        return wanted(demand, rates) if price(terms, quantity) <= available else -1

    return min(tokens(terms) for terms in offer.terms)
