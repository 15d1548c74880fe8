"""Where a caller stands: what a key has spent, what its customer has had and used, and what became of one call."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from accounts import zones
from accounts.models import ApiKey, Customer
from billing.models import UsageDay, UsageRecord
from billing.usage.reports import of_mode
from credits.balances import balance_at
from credits.models import currency_of

#: The key of usage that came in person.
IN_PERSON = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """Units that were charged: ever, today, in this week from Monday on, and in this month, where the customer is."""

    ever: int
    today: int
    this_week: int
    this_month: int

    def of(self, period: str) -> int:
        """What was spent in the current period of a budget."""
        match ApiKey.Period(period):
            case ApiKey.Period.DAY:
                return self.today
            case ApiKey.Period.WEEK:
                return self.this_week
            case ApiKey.Period.MONTH:
                return self.this_month


def spent_by(key: ApiKey | None, customer: Customer, *, now: datetime) -> Spent:
    """Return what ``key`` has spent of the currency that it spends, or people in person of the customer's credits."""
    today = zones.day_of(now, customer.time_zone)
    days = UsageDay.objects.filter(
        customer=customer,
        key_id=key.pk if key is not None else IN_PERSON,
        currency=currency_of(key.mode if key is not None else ApiKey.Mode.LIVE),
    ).order_by()
    found = days.aggregate(
        ever=_sum_since(None),
        today=_sum_since(today),
        this_week=_sum_since(today - timedelta(days=today.weekday())),
        this_month=_sum_since(today.replace(day=1)),
    )
    return Spent(**found)


def had_and_used(customer: Customer, *, mode: str, now: datetime) -> tuple[int, int]:
    """
    Return the units that ``customer`` has had, and used of them, of what keys of ``mode`` spend.

    The first less the second is the balance: what expired or was taken back counts as not had.
    """
    currency = currency_of(mode)
    used: int = UsageDay.objects.filter(customer=customer, currency=currency).aggregate(ever=_sum_since(None))["ever"]
    balance = balance_at(customer=customer, currency=currency, now=now)
    return (balance.balance if balance is not None else 0) + used, used


def call_of(generation_id: str, customer: Customer, *, mode: str) -> UsageRecord | None:
    """Return the customer's concluded call that was this generation, if keys of ``mode`` may see it."""
    records = UsageRecord.objects.filter(customer=customer, generation_id=generation_id)
    return records.filter(of_mode("api_key", customer, mode)).select_related("hold").order_by("pk").first()


def _sum_since(first: date | None) -> Coalesce:
    return Coalesce(Sum("charged", filter=None if first is None else Q(day__gte=first)), 0)
