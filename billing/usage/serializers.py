"""What billing says of usage: call by call, summed up, and where it leads."""

from typing import Any

from rest_framework import serializers

from billing.models import UsageRecord
from billing.usage.reports import GROUPS, Forecast
from credits.fields import AmountField, CreditsField, InstantField
from credits.models import Currency


class UsageDetailsSerializer(serializers.Serializer[UsageRecord]):
    """
    What a customer may know of a call.

    What it cost the operator is not here: that is between the operator and the provider,
    and the difference to what was charged is the operator's margin.
    """

    model = serializers.CharField(read_only=True, help_text="The model that answered, else the one asked for.")
    status = serializers.ChoiceField(UsageRecord.Status.choices, read_only=True)
    errorCode = serializers.CharField(source="error_code", read_only=True, help_text="Why it failed; else empty.")
    quantity = serializers.IntegerField(read_only=True, help_text="Units asked for, such as images.")
    promptTokens = serializers.IntegerField(source="prompt_tokens", read_only=True, allow_null=True)
    completionTokens = serializers.IntegerField(source="completion_tokens", read_only=True, allow_null=True)
    cachedTokens = serializers.IntegerField(source="cached_tokens", read_only=True, allow_null=True)
    reasoningTokens = serializers.IntegerField(source="reasoning_tokens", read_only=True, allow_null=True)
    generationId = serializers.CharField(
        source="generation_id", read_only=True, help_text="The provider's id of the answer, as in `X-Generation-Id`."
    )
    requestId = serializers.CharField(source="request_id", read_only=True, help_text="As in `X-Request-Id`.")
    keyId = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)
    keyName = serializers.CharField(source="api_key.name", read_only=True, default=None, allow_null=True)
    streamed = serializers.BooleanField(read_only=True)
    latencyMs = serializers.IntegerField(source="latency_ms", read_only=True, allow_null=True)
    firstTokenMs = serializers.IntegerField(source="first_token_ms", read_only=True, allow_null=True)
    endUser = serializers.CharField(
        source="end_user", read_only=True, help_text="Whom of yours it was for; else empty."
    )
    notes = serializers.SerializerMethodField(help_text="The texts of the call's `metadata`.")

    def get_notes(self, record: UsageRecord) -> dict[str, str]:
        notes: dict[str, str] | None = record.notes
        return notes or {}


class UsageSerializer(serializers.Serializer[UsageRecord]):
    """One billable call, in the words of the first clients."""

    id = serializers.CharField(source="pk", read_only=True)
    operationType = serializers.SerializerMethodField(help_text="The feature in capitals, such as `AI_TEXT_CHAT`.")
    creditsUsed = CreditsField(
        source="credits_charged",
        help_text="What it cost you in credits; 0 if it failed, or was paid in USDC.",
    )
    charged = AmountField(help_text="What it cost you, in `currency`.")
    currency = serializers.ChoiceField(Currency.choices, read_only=True, help_text="Of the account that paid.")
    timestamp = InstantField(source="created_at", read_only=True)
    details = UsageDetailsSerializer(source="*", read_only=True)

    def get_operationType(self, record: UsageRecord) -> str:
        return record.feature.upper()


class SumsSerializer(serializers.Serializer[dict[str, Any]]):
    calls = serializers.IntegerField(read_only=True)
    failedCalls = serializers.IntegerField(
        source="failed_calls", read_only=True, help_text="Of the calls: those that failed and cost nothing."
    )
    charged = AmountField(help_text="In the currency of the summary.")
    promptTokens = serializers.IntegerField(source="prompt_tokens", read_only=True)
    completionTokens = serializers.IntegerField(source="completion_tokens", read_only=True)
    cachedTokens = serializers.IntegerField(source="cached_tokens", read_only=True)
    reasoningTokens = serializers.IntegerField(source="reasoning_tokens", read_only=True)


class UsageGroupSerializer(SumsSerializer):
    """The sums of one day, feature, model or key: that which they are grouped by is named, the others are null."""

    def get_fields(self) -> dict[str, Any]:
        names = {
            "day": serializers.DateField(read_only=True, default=None, allow_null=True),
            "feature": serializers.CharField(read_only=True, default=None, allow_null=True),
            "model": serializers.CharField(read_only=True, default=None, allow_null=True),
            "keyId": serializers.IntegerField(
                source="key_id", read_only=True, default=None, allow_null=True, help_text="Null: you yourself."
            ),
            "keyName": serializers.CharField(source="key_name", read_only=True, default=None, allow_null=True),
        }
        return names | super().get_fields()


class PaginationSerializer(serializers.Serializer[dict[str, int]]):
    page = serializers.IntegerField(read_only=True)
    pageSize = serializers.IntegerField(read_only=True)
    total = serializers.IntegerField(read_only=True)
    pages = serializers.IntegerField(read_only=True)


class SummarySerializer(serializers.Serializer[dict[str, Any]]):
    """What the calls of whole days cost, in one currency: all together, and by what `groupBy` names."""

    # Python keeps the word ``from`` for itself.
    def get_fields(self) -> dict[str, Any]:
        return {
            "timeZone": serializers.CharField(source="time_zone", read_only=True, help_text="Where the days begin."),
            "from": serializers.DateField(read_only=True, help_text="The first day."),
            "to": serializers.DateField(read_only=True, help_text="The day after the last."),
            "currency": serializers.ChoiceField(Currency.choices, read_only=True, help_text="What all amounts are in."),
            "groupBy": serializers.ChoiceField(list(GROUPS), read_only=True),
            "totals": SumsSerializer(read_only=True, help_text="Of the whole period, whatever the page."),
            "groups": UsageGroupSerializer(many=True, read_only=True),
            "pagination": PaginationSerializer(read_only=True),
        }


class ForecastSerializer(serializers.Serializer[Forecast]):
    timeZone = serializers.SerializerMethodField(help_text="Where the days begin.")
    currency = serializers.SerializerMethodField(help_text="What all amounts are in.")
    available = AmountField(help_text="What can be spent now.")
    days = serializers.IntegerField(read_only=True, help_text="Whole days that were looked back on; today is not over.")
    charged = AmountField(help_text="What they cost.")
    perDay = AmountField(source="per_day", help_text="On average.")
    daysLeft = serializers.IntegerField(
        source="days_left", read_only=True, allow_null=True, help_text="Null: nothing was used, or it lasts for long."
    )
    runsOutOn = serializers.DateField(source="runs_out_on", read_only=True, allow_null=True)

    def get_timeZone(self, forecast: Forecast) -> str:
        time_zone: str = self.context["time_zone"]
        return time_zone

    def get_currency(self, forecast: Forecast) -> str:
        currency: str = self.context["currency"]
        return currency
