"""
What a call costs, and what it can cost at most: pure arithmetic over whole numbers.

Amounts of a price are in units of 10⁻⁷ of its currency, the provider's costs in femtodollars (``billing.rates``).
Everything is summed exactly and rounded up once, to one unit. Nothing here knows Django, the clock or the database.
"""

from dataclasses import dataclass
from fractions import Fraction

from billing.rates import FEMTO, Rates

FIXED = "FIXED"
METERED = "METERED"

MILLION = 10**6
#: The shortest answer, in tokens, that a call is clamped to. Below it is refused.
LEAST_ANSWER = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """
    A price as it was when the call was admitted; the same terms settle it.

    FIXED: ``amount`` for each unit of the feature, which may cost us ``most_cost`` femtodollars at most, if that
    is said. METERED: the provider's cost times ``markup`` (millionths) at ``rate`` units for a US dollar, and
    ``amount`` at the least.
    """

    price_id: int
    type: str
    amount: int
    rate: int = 0
    markup: int = 0
    most_cost: int | None = None

    @property
    def needs_rates(self) -> bool:
        """Whether what it holds depends on what the provider asks."""
        return self.type == METERED or self.most_cost is not None


@dataclass(frozen=True, slots=True)
class Demand:
    """
    What a call asks for at most, measured from its body.

    ``completion_tokens`` is the limit of each of ``choices`` answers that the caller set; None if they set none.
    ``can_be_limited`` says whether a limit can be sent. ``calls`` is how often the provider is called, ``prompts``
    how many prompts a call has: each may fill the model's context, and ``choices`` are the answers to all of them.
    """

    prompt_tokens: int = 0
    images: int = 0
    completion_tokens: int | None = None
    choices: int = 1
    calls: int = 1
    prompts: int = 1
    can_be_limited: bool = True
    has_audio: bool = False
    has_files: bool = False
    caches_long: bool = False


NOTHING = Demand(completion_tokens=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What the hold was computed from, and what the provider is told: at most so many tokens an answer, at these rates.

    ``is_clamped`` says that it is fewer tokens than were asked for.
    """

    max_tokens: int
    is_clamped: bool
    rates: Rates


@dataclass(frozen=True, slots=True)
class Quote:
    """The units that a call is held for, and the limits under which it cannot cost more; None if it needs none."""

    amount: int
    limits: Limits | None = None


def price(terms: Terms, quantity: int) -> int:
    """
    What ``quantity`` units cost at a fixed price.

    :raises ValueError: if the price is of another type
    """
    if terms.type != FIXED:
        raise ValueError(f"A price of type {terms.type} is not fixed.")
    return terms.amount * quantity


def worth(terms: Terms, femtodollars: int | Fraction) -> int:
    """The units that a provider's cost is charged with under METERED ``terms``: rounded up, and ``amount`` at least."""
    exact = femtodollars * terms.rate * terms.markup
    return max(terms.amount, int(-(-exact // (FEMTO * MILLION))))


def cost(demand: Demand, rates: Rates, tokens: int) -> int:
    """The most, in femtodollars, that a call can cost us whose answers have at most ``tokens`` tokens each."""
    return _before(demand, rates) + tokens * _per_token(demand, rates)


def wanted(demand: Demand, rates: Rates) -> int:
    """How many tokens each answer can have, as it was asked for: no more than the model has room for."""
    asked = rates.longest if demand.completion_tokens is None else demand.completion_tokens
    return min(asked, max(rates.context, rates.longest))


def least(demand: Demand, rates: Rates) -> int:
    """How short an answer can be and still be worth sending."""
    return min(LEAST_ANSWER, wanted(demand, rates))


def within(budget: int, demand: Demand, rates: Rates) -> int:
    """How many tokens each answer can have so that the call costs us no more than ``budget`` femtodollars."""
    left = budget - _before(demand, rates)
    if left < 0:
        return -1
    per_token = _per_token(demand, rates)
    return left // per_token if per_token else wanted(demand, rates)


def allowed(terms: Terms, quantity: int, demand: Demand, rates: Rates) -> int:
    """How many tokens each answer can have under ``terms``, whatever is available: a fixed price bounds our cost."""
    tokens = wanted(demand, rates)
    if terms.most_cost is None:
        return tokens
    return min(tokens, within(terms.most_cost * quantity, demand, rates))


def affordable(terms: Terms, demand: Demand, rates: Rates, *, available: int) -> int:
    """How many tokens each answer can have so that METERED ``terms`` hold no more than is ``available``."""
    if terms.amount > available or not terms.rate * terms.markup:
        return -1 if terms.amount > available else wanted(demand, rates)
    return within(available * FEMTO * MILLION // (terms.rate * terms.markup), demand, rates)


def quote(terms: Terms, quantity: int, demand: Demand, rates: Rates | None, tokens: int) -> Quote:
    """
    Return what is held for a call whose answers have at most ``tokens`` tokens each.

    ``rates`` are needed where ``terms.needs_rates``.
    """
    if rates is None or not terms.needs_rates:
        return Quote(price(terms, quantity))
    limits = Limits(tokens, tokens < wanted(demand, rates), rates)
    if terms.type == FIXED:
        return Quote(price(terms, quantity), limits)
    return Quote(worth(terms, cost(demand, rates, tokens)), limits)


def _before(demand: Demand, rates: Rates) -> int:
    """What it costs before the first token of an answer. No model reads more than its context."""
    prompt = min(demand.prompt_tokens, rates.context * demand.prompts) * rates.input
    return demand.calls * (prompt + demand.images * rates.image + rates.request * demand.choices)


def _per_token(demand: Demand, rates: Rates) -> int:
    return demand.calls * demand.choices * rates.output
