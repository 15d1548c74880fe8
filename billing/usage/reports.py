"""What the daily roll-up tells: sums of usage by this and that, and until when the credits last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from accounts.models import ApiKey, Customer
from billing.models import UsageDay

DAY, FEATURE, MODEL, KEY = "day", "feature", "model", "key"
#: What usage can be summed up by, with the column that says it.
GROUPS = {DAY: "day", FEATURE: "feature", MODEL: "model", KEY: "key_id"}

SUMS = (
    "calls", "failed_calls", "charged", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
)  # fmt: skip
NOTHING = dict.fromkeys(SUMS, 0)

#: A forecast does not reach further than ten years: by then everything is different.
FAR = 3653


def of_mode(column: str, customer: Customer | None, mode: str) -> Q:
    """
    Whether ``column`` names a key of ``mode``, or no key, where that is live. Without ``customer``, anybody's key.

    What test keys used was used in a test, and that is all that tells it: so it cannot be told wrongly.
    """
    tests = ApiKey.objects.filter(mode=ApiKey.Mode.TEST).values("pk")
    tests = tests if customer is None else tests.filter(customer=customer)
    if mode == ApiKey.Mode.TEST:
        return Q(**{f"{column}__in": tests})
    return Q(**{column: None}) | ~Q(**{f"{column}__in": tests})


def usage_days(
    customer: Customer, first: date, end: date, *, mode: str = ApiKey.Mode.LIVE.value, **narrowed: Any
) -> QuerySet[UsageDay]:
    """The customer's roll-up from the day ``first`` up to, not including, ``end``."""
    days = UsageDay.objects.filter(customer=customer, day__gte=first, day__lt=end, **narrowed)
    return days.filter(of_mode("key_id", customer, mode)).order_by()


def totals(days: QuerySet[UsageDay]) -> dict[str, int]:
    return days.aggregate(**{name: Coalesce(Sum(name), 0) for name in SUMS})


def grouped(days: QuerySet[UsageDay], by: str) -> list[dict[str, Any]]:
    """The sums for each day, in order, or each feature, model or key id, the dearest first, then the busiest."""
    column = GROUPS[by]
    order = ["day"] if by == DAY else ["-charged", "-calls", column]
    return list(days.values(column).annotate(**{name: Sum(name) for name in SUMS}).order_by(*order))


def added_up(groups: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The sums of all groups: adding these up again costs nothing, reading the roll-up twice does."""
    found = dict(NOTHING)
    for group in groups:
        for name in SUMS:
            found[name] += group[name]
    return found


def every_day(groups: Iterable[dict[str, Any]], wanted: Iterable[date]) -> list[dict[str, Any]]:
    """The groups of the days ``wanted``, also of those without a call."""
    found = {group["day"]: group for group in groups}
    return [found.get(day, {"day": day, **NOTHING}) for day in wanted]


def all_days(first: date, end: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((end - first).days)]


def name_keys(groups: Sequence[dict[str, Any]], customer: Customer) -> None:
    """Add the names of keys to groups by key. 0 stands for the person, who is None here."""
    names = dict(
        ApiKey.objects.filter(customer=customer, pk__in=[group["key_id"] for group in groups]).values_list("pk", "name")
    )
    for group in groups:
        group["key_name"] = names.get(group["key_id"])
        group["key_id"] = group["key_id"] or None


@dataclass(frozen=True, slots=True)
class Forecast:
    """
    Until when ``available`` lasts if usage goes on as in the last ``days`` whole days, in which ``charged`` was used.

    ``runs_out_on`` is None if nothing was used, or if it lasts for longer than anybody can say.
    """

    available: int
    days: int
    charged: int
    per_day: int
    days_left: int | None
    runs_out_on: date | None


def forecast(*, available: int, charged: int, days: int, today: date) -> Forecast:
    """
    Divide what there is by the daily average, in whole units and whole days, rounding down.

    Credits that will expire count as if they could all be spent.
    """
    left = max(available, 0) * days // charged if charged else FAR + 1
    is_near = left <= FAR
    return Forecast(
        available=available,
        days=days,
        charged=charged,
        per_day=charged // days if days else 0,
        days_left=left if is_near else None,
        runs_out_on=today + timedelta(days=left) if is_near else None,
    )


def recent_usage(
    customer: Customer, *, currency: str, days: int, today: date, mode: str = ApiKey.Mode.LIVE.value
) -> tuple[int, int]:
    """
    Return what was charged in ``currency`` in the last whole days, at most ``days``, and how many those are.

    A customer is judged by the days since their first call. Today is not over, and is left out.
    """
    theirs = UsageDay.objects.filter(of_mode("key_id", customer, mode), customer=customer)
    first_ever = theirs.aggregate(day=Min("day"))["day"] or today
    first = max(first_ever, today - timedelta(days=days))
    charged = totals(usage_days(customer, first, today, mode=mode, currency=currency))["charged"]
    return charged, max((today - first).days, 0)
