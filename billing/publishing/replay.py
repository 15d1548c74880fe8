"""What the calls of the last month would have cost at other prices: the newest of them, asked again one by one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from billing.days import FAILED
from billing.models import Price, UsageRecord
from billing.prices import EVERYBODY, PriceList
from billing.pricing import FIXED, Terms, worth
from billing.publishing.drafts import Draft, same
from billing.rates import Rates
from billing.services import FEMTOS_A_PICO

MONTH = timedelta(days=30)
#: No more are asked than an operator waits for: a second or two.
MOST_CALLS = 50_000

COLUMNS = (
    "customer_id", "feature", "currency", "model", "quantity", "status", "charged",
    "provider_cost_picos", "prompt_tokens", "completion_tokens", "created_at",
)  # fmt: skip
Row = tuple[int, str, str, str, int, str, int, int | None, int | None, int | None, datetime]

#: The terms before and after, of a customer's call to a model.
Find = Callable[[int, str], tuple[Terms | None, Terms | None]]


@dataclass(slots=True)
class Sums:
    """Calls and what they cost, in units: as they were charged, and at the prices before and after."""

    calls: int = 0
    charged: int = 0
    before: int = 0
    after: int = 0

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass(slots=True)
class Replay:
    """
    The calls since ``since`` of the draft's feature and currency whose price it changes.

    ``is_whole`` is false where there were more calls in the month than are asked. ``unsold`` calls have no price
    afterwards: they would be refused. They, and those that had none before, count in no sum.
    """

    since: datetime
    is_whole: bool = True
    unsold: int = 0
    total: Sums = field(default_factory=Sums)
    by_customer: dict[int, Sums] = field(default_factory=dict)


def replay(
    draft: Draft,
    *,
    before: Callable[[Iterable[int]], PriceList],
    after: Callable[[Iterable[int]], PriceList],
    rates: Callable[[str], Rates | None],
    now: datetime,
) -> Replay:
    """
    Charge the newest calls of the last month again.

    ``before`` and ``after`` return the prices for some customers, ``rates`` what a model costs. A call is priced by
    the model that answered; one without a believable cost by its tokens at today's list.
    """
    calls, since, is_whole = _newest(draft, now)
    found = Replay(since, is_whole)
    owners = _owners({row[0] for row in calls})
    find = _finder(draft, before(owners), after(owners), owners)
    for row in calls:
        customer_id, model = row[0], row[3]
        terms, next_terms = find(customer_id, model)
        if terms is next_terms:
            continue
        if terms is None or next_terms is None:
            found.unsold += next_terms is None
            continue
        for sums in (found.total, found.by_customer.setdefault(customer_id, Sums())):
            sums.calls += 1
            sums.charged += row[6]
            sums.before += due(row, terms, rates)
            sums.after += due(row, next_terms, rates)
    return found


def _newest(draft: Draft, now: datetime) -> tuple[list[Row], datetime, bool]:
    """The newest calls, found by an index alone, however rare those of the draft's feature are among them."""
    since = now - MONTH
    records = UsageRecord.objects.filter(created_at__gte=since, created_at__lt=now).order_by("-created_at")
    if draft.customer_id != EVERYBODY:
        records = records.filter(customer_id=draft.customer_id).order_by("-created_at", "-id")
    read: list[Row] = list(records.values_list(*COLUMNS)[: MOST_CALLS + 1])
    is_whole = len(read) <= MOST_CALLS
    read = read[:MOST_CALLS]
    since = since if is_whole else read[-1][-1]
    return [row for row in read if row[1:3] == (draft.feature, draft.currency)], since, is_whole


def _owners(customer_ids: set[int]) -> frozenset[int]:
    """Those of the customers who have prices of their own."""
    having = Price.objects.filter(customer__isnull=False).values_list("customer_id", flat=True).distinct()
    return frozenset(customer_ids.intersection(id_ for id_ in having if id_ is not None))


def _finder(draft: Draft, before: PriceList, after: PriceList, owners: frozenset[int]) -> Find:
    owners |= {draft.customer_id}

    @cache
    def find(customer_id: int, model: str) -> tuple[Terms | None, Terms | None]:
        old, new = (
            prices.of(draft.feature, draft.currency, customer_id=customer_id, model=model) for prices in (before, after)
        )
        return (old, old) if same(old, new) else (old, new)

    return lambda customer_id, model: find(customer_id if customer_id in owners else EVERYBODY, model)


def due(row: Row, terms: Terms, rates: Callable[[str], Rates | None]) -> int:
    """Return what a call that was recorded costs under ``terms``, as ``billing.metering`` charges it."""
    _, _, _, model, quantity, status, charged, picos, prompt_tokens, completion_tokens, _ = row
    if status in FAILED or (status == UsageRecord.Status.CANCELLED and not charged):
        return 0
    if terms.type == FIXED:
        return terms.amount * quantity
    if picos is not None:
        return worth(terms, picos * FEMTOS_A_PICO)
    listed = rates(model)
    if listed is None:
        return terms.amount
    tokens = (prompt_tokens or 0) * listed.prompt + (completion_tokens or 0) * listed.completion
    return worth(terms, tokens + listed.request)
