"""
The trial balance: what went in and out of all balances in a period, by kind, and what customers are owed since.

Each entry is one side of a double entry (``credits.kinds``), so the sums of entries by kind are the
whole of it. What customers can still spend is the liability: revenue that has been paid for and not
been earned. For whole currencies and for any days (UTC): the days that have been sealed are summed up
once, in ``DayTotal``; only what came after the newest seal is summed up anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from credits.kinds import COUNTER_ACCOUNTS, KINDS
from credits.models import DayTotal, LedgerEntry, Seal

#: Of one currency and kind: how many entries, and what they add up to.
Sums = dict[tuple[str, str], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Line:
    """The entries of one kind. ``amount`` is signed as the balances see it, in units."""

    kind: str
    entries: int
    amount: int

    @property
    def counter_account(self) -> str:
        return KINDS[self.kind].counter_account


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """
    One currency from the day ``start`` up to, not including, ``end``. Amounts are in units.

    ``opening`` and ``closing`` are the liability: what all customers together had to spend.
    """

    currency: str
    start: date
    end: date
    opening: int
    lines: list[Line]

    @property
    def closing(self) -> int:
        return self.opening + sum(line.amount for line in self.lines)

    @property
    def counter_accounts(self) -> dict[str, int]:
        """What stands against the liability's change: each counter account's sum, of the opposite sign."""
        sums = dict.fromkeys(COUNTER_ACCOUNTS, 0)
        for line in self.lines:
            sums[line.counter_account] -= line.amount
        return sums


def trial_balance(currency: str, start: date, end: date) -> TrialBalance:
    """Return the trial balance of ``currency`` for the days from ``start`` up to, not including, ``end``."""
    before, within = _sums(currency, None, start), _sums(currency, start, end)
    return TrialBalance(
        currency,
        start,
        end,
        opening=sum(amount for _, amount in before.values()),
        lines=[Line(kind, *within.get((currency, kind), (0, 0))) for kind in KINDS],
    )


def close_days(last: date, *, before: Seal | None) -> None:
    """Sum up the days after the seal ``before`` and up to ``last``. In the transaction that seals ``last``."""
    entries = LedgerEntry.objects.filter(created_at__lt=midnight(last + timedelta(days=1)))
    if before is not None:
        entries = entries.filter(created_at__gte=midnight(before.day + timedelta(days=1)))
    DayTotal.objects.bulk_create(
        DayTotal(day=day, currency=currency, kind=kind, entries=count, amount=amount)
        for (day, currency, kind), (count, amount) in sums_by_day(entries).items()
    )


def sums_by_day(entries: QuerySet[LedgerEntry]) -> dict[tuple[date, str, str], tuple[int, int]]:
    """Sum up ``entries`` by their day in UTC, their currency and their kind."""
    rows = (
        entries.order_by()
        .annotate(day=TruncDate("created_at", tzinfo=UTC), currency=F("account__currency"))
        .values_list("day", "currency", "kind")
        .annotate(count=Count("pk"), total=Sum("amount"))
    )
    return {(day, currency, kind): (count, total) for day, currency, kind, count, total in rows}


def midnight(day: date) -> datetime:
    """Return the instant at which ``day`` begins in UTC."""
    return datetime.combine(day, time(), UTC)


def _sums(currency: str, start: date | None, end: date) -> Sums:
    """Sum up the days from ``start`` (the first, if None) up to, not including, ``end``: sealed ones, then the rest."""
    newest = Seal.objects.order_by("day").last()
    open_from = None if newest is None else newest.day + timedelta(days=1)
    sums: Sums = {}
    if open_from is not None:
        closed = DayTotal.objects.filter(currency=currency, day__lt=min(end, open_from))
        if start is not None:
            closed = closed.filter(day__gte=start)
        _add(sums, closed.order_by().values_list("currency", "kind").annotate(Sum("entries"), Sum("amount")))
    first = max((day for day in (start, open_from) if day is not None), default=None)
    if first is None or first < end:
        within = Q(account__currency=currency, created_at__lt=midnight(end))
        if first is not None:
            within &= Q(created_at__gte=midnight(first))
        entries = LedgerEntry.objects.filter(within).order_by()
        _add(sums, entries.values_list("account__currency", "kind").annotate(Count("pk"), Sum("amount")))
    return sums


def _add(sums: Sums, rows: Iterable[tuple[str, str, int, int]]) -> None:
    for currency, kind, entries, amount in rows:
        count, total = sums.get((currency, kind), (0, 0))
        sums[currency, kind] = (count + entries, total + amount)
