"""A price that somebody means to publish, and what is wrong with it."""

from dataclasses import dataclass, replace
from datetime import datetime

from billing.models import MOST_COST_PICOS, MOST_MARKUP, MOST_RATE
from billing.prices import EVERY, EVERYBODY, WITHDRAWN, Listed
from billing.pricing import FIXED, METERED, Terms
from billing.services import FEMTOS_A_PICO

#: They would be wildcards of another kind than ``*``, which is the only one that a pattern has.
NOT_IN_PATTERNS = frozenset("[]?")
#: The id of what has not been published.
UNPUBLISHED = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A price as it would be published: the columns of ``billing.models.Price``, with 0 as everybody's customer.

    ``effective_at`` is None for one that counts from the moment it is published.
    """

    feature: str
    currency: str
    type: str
    amount: int = 0
    pattern: str = EVERY
    customer_id: int = EVERYBODY
    rate: int | None = None
    markup: int | None = None
    most_cost_picos: int | None = None
    effective_at: datetime | None = None

    @property
    def terms(self) -> Terms:
        most_cost = None if self.most_cost_picos is None else self.most_cost_picos * FEMTOS_A_PICO
        return Terms(UNPUBLISHED, self.type, self.amount, self.rate or 0, self.markup or 0, most_cost)

    @property
    def listed(self) -> Listed:
        return Listed(self.customer_id, self.feature, self.currency, self.pattern, self.terms)

    def replaces(self, other: Listed) -> bool:
        """Whether ``other`` is the same customer's price of the same thing for the same models."""
        mine = (self.customer_id, self.feature, self.currency, self.pattern)
        return mine == (other.customer_id, other.feature, other.currency, other.pattern)


def same(one: Terms | None, other: Terms | None) -> bool:
    """Whether two prices come to the same, whichever rows they are."""
    return one == other or (one is not None and other is not None and replace(one, price_id=other.price_id) == other)


def faults(draft: Draft, *, now: datetime) -> dict[str, str]:
    """Return what is wrong with ``draft``, by the name of the field; nothing if it can be published."""
    found: dict[str, str] = {}
    if not draft.pattern or any(char in NOT_IN_PATTERNS or char.isspace() for char in draft.pattern):
        found["pattern"] = "Name a model, or a pattern such as anthropic/*; * is every model."
    if draft.effective_at is not None and draft.effective_at < now:
        found["effective_at"] = "A price cannot take effect in the past. Leave it empty to begin now."
    if draft.amount < 0:
        found["amount"] = "A price cannot be negative."
    return found | {FIXED: _fixed, METERED: _metered, WITHDRAWN: _withdrawn}[draft.type](draft)


def _fixed(draft: Draft) -> dict[str, str]:
    found = {}
    if draft.rate is not None:
        found["rate"] = "A fixed price has no rate."
    if draft.markup is not None:
        found["markup"] = "A fixed price has no markup."
    if draft.most_cost_picos is not None and not 1 <= draft.most_cost_picos <= MOST_COST_PICOS:
        found["most_cost"] = "A ceiling is above 0 and at most 1000 dollars."
    return found


def _metered(draft: Draft) -> dict[str, str]:
    found = {}
    if draft.rate is None or not 1 <= draft.rate <= MOST_RATE:
        found["rate"] = "A metered price says what a US dollar is: above 0, and at most 100000."
    if draft.markup is None or not 1 <= draft.markup <= MOST_MARKUP:
        found["markup"] = "A metered price says what the cost is multiplied by: above 0, and at most 1000."
    if draft.most_cost_picos is not None:
        found["most_cost"] = "A metered price follows the cost: it has no ceiling."
    return found


def _withdrawn(draft: Draft) -> dict[str, str]:
    terms = (draft.rate, draft.markup, draft.most_cost_picos)
    return {"type": "What is withdrawn has no terms."} if draft.amount or terms != (None, None, None) else {}
