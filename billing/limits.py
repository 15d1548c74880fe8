"""
What may be asked for at most in one name, what of that is used, and whether a call still fits. Pure.

Requests and tokens a minute are a bucket that leaks: it holds a minute's worth and runs dry in a minute, evenly, so
that no minute begins anew and none is forgotten (the generic cell rate algorithm). Its level is in tokens or requests
times microseconds, and so exact. A budget is what has been spent in a period plus what is held for calls that run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from accounts import zones
from billing.errors import RateLimited, TooManyCalls

#: In microseconds, by which levels are counted.
MINUTE = 60_000_000
TICK = timedelta(microseconds=1)
#: No level is kept that is higher: what was used above its reservation is waited for, but not for years.
HIGHEST_LEVEL = 2**62

DAY, WEEK, MONTH = "DAY", "WEEK", "MONTH"
REQUESTS, TOKENS = "requests", "tokens"


@dataclass(frozen=True, slots=True)
class Allowance:
    """
    What may be asked for in the name of ``subject``: a key, a customer or its end user. None is without a limit.

    ``currency`` is what its budget is in, ``time_zone`` where its periods begin, ``limited_at`` since when the limits
    are what they are; None if they always were.
    """

    subject: str
    customer_id: int
    key_id: int | None = None
    end_user: str = ""
    currency: str = "credits"
    time_zone: str = zones.UTC
    limited_at: datetime | None = None
    budget: int | None = None
    period: str = ""
    requests: int | None = None
    tokens: int | None = None
    calls: int | None = None

    @property
    def is_limited(self) -> bool:
        return any(limit is not None for limit in (self.budget, self.requests, self.tokens, self.calls))

    @property
    def of(self) -> str:
        """Whose limits they are, as a refusal calls it."""
        if self.end_user:
            return "endUser"
        return "customer" if self.key_id is None else "key"

    def period_start(self, now: datetime) -> date | None:
        """The first day of the budget's period; None without a budget."""
        return None if self.budget is None else period_of(zones.day_of(now, self.time_zone), self.period)[0]

    def period_ends(self, now: datetime) -> datetime:
        """The instant at which the next period of the budget begins."""
        _, after = period_of(zones.day_of(now, self.time_zone), self.period)
        return zones.beginning_of(after, self.time_zone)


def of_end_user(customer_id: int, name: str, budget: "Budget", time_zone: str) -> Allowance:
    """What may be spent for an end user, in credits."""
    return Allowance(
        subject=f"customer:{customer_id}/user:{name}",
        customer_id=customer_id,
        end_user=name,
        time_zone=time_zone,
        limited_at=budget.limited_at,
        budget=budget.amount,
        period=budget.period,
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in each period; None is without a limit. ``limited_at`` is since when that is so."""

    amount: int | None
    period: str
    limited_at: datetime


@dataclass(slots=True)
class Counter:
    """
    What an allowance has been used of. ``spent`` and ``held`` are of the period that began on ``period_start``.

    A call counts in the period in which it was admitted, whenever it ends.
    """

    subject: str
    requests_level: int
    tokens_level: int
    leaked_at: datetime
    open_calls: int = 0
    currency: str = "credits"
    period_start: date | None = None
    spent: int = 0
    held: int = 0
    limited_at: datetime | None = None
    is_complete: bool = False
    changed: bool = False

    def leak(self, allowance: Allowance, now: datetime) -> None:
        """Let the buckets run for the time that has passed."""
        passed = max(0, (now - self.leaked_at) // TICK)
        self.requests_level = max(0, self.requests_level - passed * allowance.requests) if allowance.requests else 0
        self.tokens_level = max(0, self.tokens_level - passed * allowance.tokens) if allowance.tokens else 0
        self.leaked_at = max(now, self.leaked_at)

    def conclude(
        self, *, day: date, currency: str, held: int, charged: int, tokens: int, tokens_used: int | None
    ) -> None:
        """
        Count the end of a call that was counted when it was admitted on ``day``.

        ``tokens`` had been reserved for it, 0 where they are not limited; ``tokens_used`` is None where nobody knows.
        """
        self.changed = True
        self.open_calls = max(0, self.open_calls - 1)
        if self.period_start is not None and currency == self.currency and day >= self.period_start:
            self.held = max(0, self.held - held)
            self.spent += charged
        if tokens and tokens_used is not None:
            self.tokens_level = _bounded(self.tokens_level + (tokens_used - tokens) * MINUTE)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is left of a limit per minute, and how many microseconds until all of it is there again."""

    limit: int
    remaining: int
    full_in: int

    def headers(self, unit: str) -> dict[str, str]:
        """As OpenAI names and writes them."""
        return {
            f"x-ratelimit-limit-{unit}": str(self.limit),
            f"x-ratelimit-remaining-{unit}": str(self.remaining),
            f"x-ratelimit-reset-{unit}": duration(self.full_in),
        }


class Ration:
    """One allowance and its counter: what is left, and how a call is counted."""

    def __init__(self, allowance: Allowance, counter: Counter) -> None:
        self.allowance = allowance
        self.counter = counter

    def check_pace(self, now: datetime) -> None:
        """
        Refuse one more request.

        :raises RateLimited: if it comes too soon
        :raises TooManyCalls: if as many run as may
        """
        self.counter.leak(self.allowance, now)
        limit, calls = self.allowance.requests, self.allowance.calls
        if limit is not None and not _fits(self.counter.requests_level, limit, 1):
            raise self._too_soon(REQUESTS, limit, self.counter.requests_level, 1, now)
        if calls is not None and self.counter.open_calls >= calls:
            raise TooManyCalls(of=self.allowance.of, limit=calls, used=self.counter.open_calls)

    def check_tokens(self, tokens: int, now: datetime) -> None:
        """
        Refuse a call that may use ``tokens``. One that may use more than a minute's worth waits for a full one.

        :raises RateLimited: if it comes too soon
        """
        limit = self.allowance.tokens
        if limit is None:
            return
        needed = min(tokens, limit)
        if not _fits(self.counter.tokens_level, limit, needed):
            raise self._too_soon(TOKENS, limit, self.counter.tokens_level, needed, now)

    def left(self, currency: str, *, held_too: bool = False) -> int | None:
        """What the budget has left for a call in ``currency``; None where it does not count. ``held_too``: or will."""
        budget = self.allowance.budget
        if budget is None or currency != self.allowance.currency:
            return None
        return max(0, budget - self.counter.spent - (0 if held_too else self.counter.held))

    def take(self, *, currency: str, held: int, tokens: int) -> int:
        """Count a call that has been admitted, and return how many of ``tokens`` are reserved for it."""
        counter, allowance = self.counter, self.allowance
        counter.changed = True
        counter.open_calls += 1
        if allowance.budget is not None and currency == allowance.currency:
            counter.held += held
        if allowance.requests is not None:
            counter.requests_level = _bounded(counter.requests_level + MINUTE)
        reserved = 0 if allowance.tokens is None else min(tokens, allowance.tokens)
        counter.tokens_level = _bounded(counter.tokens_level + reserved * MINUTE)
        return reserved

    def pace(self, unit: str) -> Pace | None:
        limit = self.allowance.requests if unit == REQUESTS else self.allowance.tokens
        if limit is None:
            return None
        level = self.counter.requests_level if unit == REQUESTS else self.counter.tokens_level
        return Pace(limit, max(0, limit - -(-level // MINUTE)), -(-level // limit))

    def _too_soon(self, unit: str, limit: int, level: int, needed: int, now: datetime) -> RateLimited:
        wait = -(-(level + needed * MINUTE - limit * MINUTE) // limit)
        return RateLimited(
            unit=unit, of=self.allowance.of, limit=limit, used=-(-level // MINUTE), resets_at=now + wait * TICK, now=now
        )


Rations = Sequence[Ration]


def headers(rations: Iterable[Ration]) -> dict[str, str]:
    """What is left of the limits per minute; of several the one that has the least left."""
    rations = list(rations)
    found: dict[str, str] = {}
    for unit in (REQUESTS, TOKENS):
        paces = [pace for ration in rations if (pace := ration.pace(unit)) is not None]
        if paces:
            found |= min(paces, key=lambda pace: (pace.remaining, pace.limit)).headers(unit)
    return found


def period_of(day: date, period: str) -> tuple[date, date]:
    """
    The first day of the period that ``day`` is in, and the first after it: weeks begin on Monday.

    :raises ValueError: if there is no such period
    """
    if period == DAY:
        return day, day + timedelta(days=1)
    if period == WEEK:
        start = day - timedelta(days=day.weekday())
        return start, start + timedelta(days=7)
    if period == MONTH:
        start = day.replace(day=1)
        return start, (start + timedelta(days=31)).replace(day=1)
    raise ValueError(f"There is no period called {period!r}.")


def duration(microseconds: int) -> str:
    """A time as OpenAI writes it: 20ms, 1.5s, 6m0s. Rounded up to a millisecond."""
    milliseconds = -(-microseconds // 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    whole, part = divmod(rest, 1000)
    fraction = f".{part:03d}".rstrip("0") if part else ""
    return f"{minutes}m{whole}{fraction}s" if minutes else f"{whole}{fraction}s"


def _fits(level: int, limit: int, needed: int) -> bool:
    return level + needed * MINUTE <= limit * MINUTE


def _bounded(level: int) -> int:
    return min(max(0, level), HIGHEST_LEVEL)
