"""What narrows usage, and what a summary and a forecast are asked for."""

import re
from datetime import date, datetime, timedelta
from typing import Any, cast

from django.db.models import QuerySet
from rest_framework import serializers

from accounts.models import ApiKey, Customer
from accounts.pagination import LAST_ID
from accounts.reads import OwnMode
from billing.models import UsageRecord
from billing.usage.reports import DAY, GROUPS, of_mode
from credits.filters import CurrencyFilter, Filter, Period, within
from credits.models import Currency

USUAL_DAYS = 30
MOST_DAYS = 366


class CallFilter(Filter):
    """What was called, and with which key."""

    feature = serializers.CharField(max_length=50, required=False, help_text="Such as `ai_text_chat`, in any case.")
    model = serializers.CharField(max_length=200, required=False, help_text="Exactly, such as `openai/gpt-4o-mini`.")
    key = serializers.IntegerField(
        min_value=1, max_value=LAST_ID, required=False, help_text="The id of the API key that made the call."
    )

    mode = serializers.ChoiceField(
        ApiKey.Mode.choices,
        default=cast(Any, OwnMode()),
        help_text="Of live or of test keys: never of both. A test key's is `test`.",
    )

    def validate_feature(self, feature: str) -> str:
        return feature.lower()

    def validate_mode(self, mode: str) -> str:
        if self.context.get("mode") == ApiKey.Mode.TEST and mode != ApiKey.Mode.TEST:
            raise serializers.ValidationError("A test key reads what test keys used only.", "test_only")
        return mode


class UsageFilter(CallFilter, Period):
    days = serializers.IntegerField(
        min_value=1,
        max_value=MOST_DAYS,
        required=False,
        help_text=f"The last so many days; {USUAL_DAYS} where neither this nor `from` is given.",
    )
    status = serializers.ChoiceField(UsageRecord.Status.choices, required=False, help_text="How the call ended.")
    endUser = serializers.CharField(
        max_length=200,
        trim_whitespace=False,
        required=False,
        help_text="Exactly as it was named, in `user` or `X-End-User`.",
    )
    currency = serializers.ChoiceField(
        Currency.choices, required=False, help_text="Calls that were paid in this; all where it is left out."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "days" in attrs and "from" in attrs:
            raise serializers.ValidationError({"days": ["Give `days` or `from`, not both."]}, code="invalid")
        return super().validate(attrs)


def usage_of(customer: Customer, wanted: dict[str, Any], *, now: datetime) -> QuerySet[UsageRecord]:
    """Return the calls of ``customer`` that ``wanted`` (of a ``UsageFilter``) asks for, newest first."""
    start = wanted.get("from") or now - timedelta(days=wanted.get("days", USUAL_DAYS))
    records = within(UsageRecord.objects.filter(customer=customer), start, wanted.get("to"))
    exactly = {
        "feature": "feature", "status": "status", "model": "model", "key": "api_key", "currency": "currency",
        "endUser": "end_user",
    }  # fmt: skip
    records = records.filter(**{field: wanted[name] for name, field in exactly.items() if name in wanted})
    records = records.filter(of_mode("api_key", customer, wanted["mode"]))
    return records.select_related("api_key").order_by("-created_at", "-pk")


def narrowing(wanted: dict[str, Any]) -> dict[str, Any]:
    """What ``wanted`` (of a ``CallFilter``) asks for, as lookups of a ``UsageDay``."""
    exactly = {"feature": "feature", "model": "model", "key": "key_id", "currency": "currency"}
    return {field: wanted[name] for name, field in exactly.items() if name in wanted}


class DayField(serializers.DateField):
    """A day as ``2026-11-20``, of a year that computers can calculate with."""

    default_error_messages = {"invalid": "Write a day, such as 2026-11-20."}

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or re.fullmatch(r"[2-8]\d{3}-\d{2}-\d{2}", value, re.ASCII) is None:
            self.fail("invalid", format="")
        return super().to_internal_value(value)


class SummaryFilter(CallFilter):
    """
    Whole days where the customer is, what they are summed up by, and in which currency: amounts of two have no sum.

    Python keeps the word ``from`` for itself.
    """

    groupBy = serializers.ChoiceField(list(GROUPS), default=DAY, help_text="What there is a group for each of.")
    currency = serializers.ChoiceField(
        Currency.choices, required=False, help_text="Calls paid in this; where it is left out, in what the mode spends."
    )

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {
            "from": DayField(required=False, help_text=f"The first day; {USUAL_DAYS} days before `to` where missing."),
            "to": DayField(required=False, help_text="The day after the last; tomorrow where missing."),
        }


class KeySummaryFilter(SummaryFilter):
    """The same of one key, which its path names."""

    def get_fields(self) -> dict[str, Any]:
        return {name: field for name, field in super().get_fields().items() if name not in ("key", "mode")}


def period_of(wanted: dict[str, Any], *, today: date) -> tuple[date, date]:
    """
    Return the first day and the day after the last that ``wanted`` (of a ``SummaryFilter``) asks for.

    :raises ValidationError: if that is no day, or more than ``MOST_DAYS``
    """
    first = wanted.get("from")
    end = wanted.get("to") or max(today, first or today) + timedelta(days=1)
    first = first or end - timedelta(days=USUAL_DAYS)
    if first >= end:
        raise serializers.ValidationError({"to": ["Must be later than `from`."]}, code="invalid")
    if end - first > timedelta(days=MOST_DAYS):
        raise serializers.ValidationError({"to": [f"At most {MOST_DAYS} days after `from`."]}, code="max_value")
    return first, end


class ForecastFilter(CurrencyFilter):
    days = serializers.IntegerField(
        min_value=1, max_value=MOST_DAYS, default=USUAL_DAYS, help_text="How many whole days to look back on."
    )
