"""What billing says of prices, usage and statements."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Customer
from billing.models import UsageRecord
from credits.fields import AmountField, CreditsField, InstantField

USDC_PLACES = 2


@extend_schema_field({"type": "object", "additionalProperties": {"type": ["integer", "string"]}})
class CreditsByName(serializers.DictField):
    child = CreditsField()


class SettingsSerializer(serializers.Serializer[dict[str, Any]]):
    featureCosts = CreditsByName(read_only=True, help_text="Credits for one unit of each feature.")
    planCredits = CreditsByName(read_only=True, help_text="Credits that each plan gives in a period.")


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


class UsageSerializer(serializers.Serializer[UsageRecord]):
    """One billable call, in the words of the first clients."""

    id = serializers.CharField(source="pk", read_only=True)
    operationType = serializers.SerializerMethodField(help_text="The feature in capitals, such as `AI_TEXT_CHAT`.")
    creditsUsed = CreditsField(source="charged", help_text="What it cost you; 0 if it failed.")
    timestamp = InstantField(source="created_at", read_only=True)
    details = UsageDetailsSerializer(source="*", read_only=True)

    def get_operationType(self, record: UsageRecord) -> str:
        return record.feature.upper()


class UsdcBalanceSerializer(serializers.Serializer[dict[str, Any]]):
    """A USDC balance in exactly the four keys that the second clients check for."""

    user_id = serializers.CharField(read_only=True, help_text="The identity provider's id of the customer, else ours.")
    balance_usdc = AmountField(source="balance", least_places=USDC_PLACES)
    created_at = InstantField(read_only=True)
    updated_at = InstantField(read_only=True)


def public_id(customer: Customer) -> str:
    """How the outside knows a customer: by the identity provider's id of the person or team, else by ours."""
    person = customer.user
    if person is not None:
        return person.external_id or str(person.pk)
    return customer.external_id or str(customer.pk)
