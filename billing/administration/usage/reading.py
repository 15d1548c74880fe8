"""All customers' usage: what narrows the list, and the sums of the last days. Tests are left out of both."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from rest_framework import serializers

from accounts.models import ApiKey, User
from accounts.strict import PlainTextField
from billing.catalogue import Feature
from billing.models import UsageDay, UsageRecord
from billing.usage.reports import SUMS, of_mode
from credits.filters import Filter
from credits.models import Account, Currency

ALL = "all"
TYPES = [(ALL, ALL), *((feature.value.upper(), feature.value.upper()) for feature in Feature)]
RANGES = {
    "24hours": timedelta(hours=24),
    "7days": timedelta(days=7),
    "30days": timedelta(days=30),
    ALL: None,
}
#: How far the dashboard looks back, today included.
DAYS = 30
PICOS, PLACES = 10**12, 12


class AllUsageFilter(Filter):
    """Python keeps the word ``range`` for itself, hence ``get_fields``."""

    type = serializers.ChoiceField(TYPES, default=ALL, help_text="Of this feature only.")
    q = PlainTextField(max_length=200, required=False, help_text="A part of the customer's name, or of the address.")
    mode = serializers.ChoiceField(
        ApiKey.Mode.choices, default=ApiKey.Mode.LIVE.value, help_text="Of live or of test keys, never of both."
    )
    status = serializers.ChoiceField(UsageRecord.Status.choices, required=False, help_text="How the call ended.")

    def get_fields(self) -> dict[str, Any]:
        span = serializers.ChoiceField([*RANGES], default="7days", help_text="How far back.")
        return super().get_fields() | {"range": span}


def usage_found(wanted: dict[str, Any], *, now: datetime) -> QuerySet[UsageRecord]:
    """Return the calls that ``wanted`` (of an ``AllUsageFilter``) asks for, newest first."""
    records = UsageRecord.objects.filter(of_mode("api_key", None, wanted["mode"]))
    if (span := RANGES[wanted["range"]]) is not None:
        records = records.filter(created_at__gte=now - span)
    if wanted["type"] != ALL:
        records = records.filter(feature=wanted["type"].lower())
    if "status" in wanted:
        records = records.filter(status=wanted["status"])
    if "q" in wanted:
        text = wanted["q"]
        records = records.filter(Q(customer__name__icontains=text) | Q(customer__user__email__icontains=text))
    return records.order_by("-created_at", "-pk")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The figures of an installation. Amounts are by currency: those of two have no sum."""

    total_users: int
    active_users: int
    first: date
    usage: list[dict[str, Any]]
    days: list[dict[str, Any]]
    balances: list[dict[str, Any]]


def dashboard(*, today: date) -> Dashboard:
    """
    Return the figures of the last ``DAYS`` days, each customer's own, with ``today`` as the last.

    Active is who called through their own customer, or made a key that a team called with.
    """
    first = today - timedelta(days=DAYS - 1)
    days = UsageDay.objects.filter(of_mode("key_id", None, ApiKey.Mode.LIVE.value), day__gte=first).order_by()
    active = Q(personal_customer__in=days.values("customer")) | Q(pk__in=_makers(days))
    sums = {name: Sum(name) for name in (*SUMS, "provider_cost_picos")}
    left = {"balance": Sum("balance"), "held": Sum("held"), "owed": Sum("owed"), "accounts": Count("pk")}
    accounts: Any = Account.objects.exclude(currency=Currency.TEST).values("currency")
    by_currency: Any = days.values("currency")
    by_day: Any = days.values("day", "currency")
    return Dashboard(
        total_users=User.objects.filter(deleted_at=None).count(),
        active_users=User.objects.filter(active).count(),
        first=first,
        usage=list(by_currency.annotate(**sums).order_by("currency")),
        days=list(by_day.annotate(**sums).order_by("day", "currency")),
        balances=list(accounts.annotate(**left).order_by("currency")),
    )


def _makers(days: QuerySet[UsageDay]) -> QuerySet[ApiKey, Any]:
    used = ApiKey.objects.filter(pk__in=days.values("key_id"), created_by__isnull=False)
    return used.values("created_by")


def dollars(picos: int) -> str:
    """Write 10⁻¹² dollars as decimal text, with two places at least."""
    whole, rest = divmod(picos, PICOS)
    return f"{whole}." + f"{rest:0{PLACES}d}".rstrip("0").ljust(2, "0")
