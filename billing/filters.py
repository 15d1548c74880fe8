"""What narrows usage and statements."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from accounts.models import Customer
from accounts.pagination import LAST_ID
from billing.models import UsageRecord
from credits.filters import Period, within

USUAL_DAYS = 30
MOST_DAYS = 366


class UsageFilter(Period):
    days = serializers.IntegerField(
        min_value=1,
        max_value=MOST_DAYS,
        required=False,
        help_text=f"The last so many days; {USUAL_DAYS} where neither this nor `from` is given.",
    )
    feature = serializers.CharField(max_length=50, required=False, help_text="Such as `ai_text_chat`, in any case.")
    status = serializers.ChoiceField(UsageRecord.Status.choices, required=False, help_text="How the call ended.")
    model = serializers.CharField(max_length=200, required=False, help_text="Exactly, such as `openai/gpt-4o-mini`.")
    key = serializers.IntegerField(
        min_value=1, max_value=LAST_ID, required=False, help_text="The id of the API key that made the call."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "days" in attrs and "from" in attrs:
            raise serializers.ValidationError({"days": ["Give `days` or `from`, not both."]}, code="invalid")
        return super().validate(attrs)


def usage_of(customer: Customer, wanted: dict[str, Any], *, now: datetime) -> QuerySet[UsageRecord]:
    """Return the calls of ``customer`` that ``wanted`` (of a ``UsageFilter``) asks for, newest first."""
    start = wanted.get("from") or now - timedelta(days=wanted.get("days", USUAL_DAYS))
    records = within(UsageRecord.objects.filter(customer=customer), start, wanted.get("to"))
    if "feature" in wanted:
        records = records.filter(feature=wanted["feature"].lower())
    exactly = {"status": "status", "model": "model", "key": "api_key"}
    records = records.filter(**{field: wanted[name] for name, field in exactly.items() if name in wanted})
    return records.select_related("api_key").order_by("-pk")
