"""
A billable call as it passes from admission to its conclusion.

``Call`` is what was agreed when the hold was placed. It is kept on the hold as JSON, so
that any process can conclude it. ``Report`` is how it ended, in the provider's words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_UP, Context, Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

from accounts import zones
from billing.pricing import Limits, Terms
from billing.rates import Rates

PICO = 12
LARGEST_PICOS = 2**63 - 1
#: As many digits as the text has; only a number that is none raises.
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation])


@dataclass(frozen=True, slots=True)
class Call:
    """An admitted call, JSON as it stands. Amounts are in units of 10⁻⁷ of ``currency``."""

    hold_id: str
    account_id: int
    customer_id: int
    key_id: int | None
    actor: str
    request_id: str
    feature: str
    quantity: int
    terms: Terms
    held: int
    provider: str
    model: str
    streamed: bool
    admitted_at: datetime
    session_id: str | None = None
    time_zone: str = zones.UTC
    currency: str = "credits"
    limits: Limits | None = None
    #: For how long its key has answers kept; 0 for never.
    cache_seconds: int = 0
    #: Whose limits it counts against, each with the tokens a minute that are reserved for it.
    counted_as: Mapping[str, int] = field(default_factory=dict)
    #: ``day`` of a call that is counted, for whoever reads the hold and knows no time zones.
    counted_on: date | None = None
    #: The customer's name for who is behind the call, and its notes.
    end_user: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    #: What is left of limits per minute, as headers of the answer. Not kept: JSON leaves out what begins with _.
    _pace: Mapping[str, str] | None = field(default=None, compare=False, repr=False)

    @property
    def pace(self) -> Mapping[str, str]:
        return self._pace or {}

    @property
    def day(self) -> date:
        """The day that it counts on: when it was admitted, where its customer is."""
        return zones.day_of(self.admitted_at, self.time_zone)

    @classmethod
    def from_context(cls, context: dict[str, Any]) -> Self:
        limits = context.get("limits")
        return cls(
            **{
                **context,
                "terms": Terms(**context["terms"]),
                "admitted_at": datetime.fromisoformat(context["admitted_at"]),
                "counted_on": date.fromisoformat(context["counted_on"]) if context.get("counted_on") else None,
                "limits": limits and Limits(**{**limits, "rates": Rates(**limits["rates"])}),
            }
        )


class Ending(StrEnum):
    """How a call can end; the values are those of ``UsageRecord.Status``."""

    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Report:
    """
    How a call ended. ``delivered`` counts the units of the feature that are to be paid.

    ``cost`` is what the provider says that it cost us, in US dollars, as decimal text and
    exactly as reported; empty when it said nothing that can be believed, and ``cost_report``
    tells what it said. Tokens it did not report are None. An answer that was kept has all
    this from the first time, and ``kept_percent`` says how much of that is charged now; None for a new one.
    """

    ending: Ending
    delivered: int = 0
    generation_id: str = ""
    model: str = ""
    cost: str = ""
    cost_report: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    error_code: str = ""
    latency_ms: int | None = None
    first_token_ms: int | None = None
    #: The attempts at the provider, where there were several or several keys: JSON, each with its key's label.
    attempts: tuple[dict[str, Any], ...] = ()
    kept_percent: int | None = None

    @property
    def exact_cost(self) -> Fraction | None:
        """The cost in US dollars; None when none, or none that can be believed, was reported."""
        try:
            cost = Fraction(Decimal(self.cost)) if self.cost else None
        except (InvalidOperation, ValueError, OverflowError):
            return None
        return cost if cost is None or cost >= 0 else None

    @property
    def cost_picos(self) -> int | None:
        """The cost in 10⁻¹² US dollars, rounded up; None when none, or none that can be believed, was reported."""
        try:
            picos = Decimal(self.cost).scaleb(PICO, EXACT).to_integral_value(ROUND_UP, EXACT)
            return int(picos) if 0 <= picos <= LARGEST_PICOS else None
        except InvalidOperation:
            return None


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What a concluded call cost, in units of ``currency``, and what is left there.

    ``first`` is false if another process had concluded it before.
    """

    charged: int
    held: int
    shortfall: int
    available: int
    first: bool
    currency: str = "credits"
