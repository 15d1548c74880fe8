"""The query parameters of usage and statements."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from accounts.models import Customer
from billing.models import UsageRecord
from credits.filters import LARGEST_ID, LAST_PAGE, Period, within
from credits.models import Currency, LedgerEntry

USUAL_DAYS = 30


class UsageQuery(Period):
    page = serializers.IntegerField(min_value=1, max_value=LAST_PAGE, default=1, help_text="Page, from 1.")
    limit = serializers.IntegerField(min_value=1, max_value=100, default=50, help_text="Calls a page.")
    days = serializers.IntegerField(
        min_value=1,
        max_value=366,
        required=False,
        help_text=f"The last so many days; {USUAL_DAYS} when neither this nor `from` is given.",
    )
    feature = serializers.CharField(max_length=50, required=False, help_text="Such as `ai_text_chat`, in any case.")
    status = serializers.ChoiceField(UsageRecord.Status.choices, required=False, help_text="How the call ended.")
    model = serializers.CharField(max_length=200, required=False, help_text="The exact model, such as `openai/gpt-4o-mini`.")
    key = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, help_text="Calls made with the API key of this id."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "days" in attrs and "from" in attrs:
            raise serializers.ValidationError({"days": ["Give `days` or `from`, not both."]}, code="invalid")
        return super().validate(attrs)


def usage_of(customer: Customer, query: dict[str, Any], *, now: datetime) -> QuerySet[UsageRecord]:
    """The customer's calls that ``query`` asks for, newest first."""
    start = query.get("from") or now - timedelta(days=query.get("days", USUAL_DAYS))
    records = within(UsageRecord.objects.filter(customer=customer), start, query.get("to"))
    if "feature" in query:
        records = records.filter(feature=query["feature"].lower())
    exact = {"status": "status", "model": "model", "key": "api_key"}
    records = records.filter(**{field: query[name] for name, field in exact.items() if name in query})
    return records.select_related("api_key").order_by("-pk")


class StatementQuery(Period):
    limit = serializers.IntegerField(min_value=1, max_value=100, default=50, help_text="Entries a page.")
    cursor = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, help_text="The `nextCursor` of the page before."
    )
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, required=False, help_text="Entries of this kind only.")


class TransactionsQuery(StatementQuery):
    currency = serializers.ChoiceField(Currency.choices, default=Currency.CREDITS.value, help_text="Which balance.")


def entries_of(customer: Customer, currency: str, query: dict[str, Any]) -> QuerySet[LedgerEntry]:
    """
    The entries of one account that ``query`` asks for, newest first.

    The cursor is a sequence number, which the account's entries have without gaps: a page
    costs the same wherever it is, and what is booked meanwhile moves nothing.
    """
    entries = LedgerEntry.objects.filter(account__customer=customer, account__currency=currency)
    entries = within(entries, query.get("from"), query.get("to"))
    if "kind" in query:
        entries = entries.filter(kind=query["kind"])
    if "cursor" in query:
        entries = entries.filter(sequence__lt=query["cursor"])
    return entries.select_related("hold__usage").order_by("-sequence")
