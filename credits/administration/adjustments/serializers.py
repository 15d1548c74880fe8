"""Balances as administrators read and correct them."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.strict import PlainTextField, StrictSerializer
from credits.administration.adjustments.reading import Line
from credits.fields import AmountField, CreditsField, CreditsInputField, InstantField, PositiveAmountField
from credits.models import Currency, Grant
from credits.services import LONGEST_MEMO

#: What administrators give: purchases come from payments, plans from subscriptions.
GIVEN = [(category.value, category.value) for category in (Grant.Category.PROMOTION, Grant.Category.ADJUSTMENT)]
#: What they give it in: everybody has test credits for nothing.
GIVEN_IN = [(currency.value, currency.value) for currency in (Currency.CREDITS, Currency.USDC)]


def reason_field() -> PlainTextField:
    return PlainTextField(
        min_length=1, max_length=LONGEST_MEMO, help_text="Stays in the ledger for good; the customer may read it."
    )


class AdjustmentSerializer(StrictSerializer):
    adjustment = CreditsInputField(signed=True, help_text="By how much. Below 0 takes away, down to 0 at most.")
    reason = reason_field()

    def validate_adjustment(self, units: int) -> int:
        if units == 0:
            raise serializers.ValidationError("An adjustment of 0 changes nothing.", "zero")
        return units


class ChangedCreditsSerializer(AdjustmentSerializer):
    """``credits`` or ``adjustment``."""

    credits = CreditsInputField(required=False, help_text="What `creditsRemaining` shall be.")
    adjustment = CreditsInputField(
        signed=True, required=False, help_text="By how much. Below 0 takes away, down to 0 at most."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("credits" in attrs) == ("adjustment" in attrs):
            raise serializers.ValidationError({"credits": ["Give `credits` or `adjustment`, one of them."]}, "required")
        return attrs


class NewGrantSerializer(StrictSerializer):
    amount = PositiveAmountField()
    reason = reason_field()
    currency = serializers.ChoiceField(GIVEN_IN, default=Currency.CREDITS.value)
    category = serializers.ChoiceField(GIVEN, default=Grant.Category.PROMOTION.value)
    priority = serializers.IntegerField(
        min_value=0, max_value=32767, default=100, help_text="Lower numbers are spent first."
    )
    effectiveAt = InstantField(source="effective_at", required=False, help_text="Left out: at once.")
    expiresAt = InstantField(source="expires_at", required=False, help_text="Left out: never.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        now = timezone.now()
        starts: datetime = attrs.get("effective_at", now)
        if starts < now and "effective_at" in attrs:
            raise serializers.ValidationError({"effectiveAt": ["Must not be in the past."]}, "invalid")
        if "expires_at" in attrs and attrs["expires_at"] <= max(starts, now):
            raise serializers.ValidationError({"expiresAt": ["Must be later than it takes effect."]}, "invalid")
        return attrs


class PayerSerializer(serializers.Serializer[Any]):
    """Whose an account is."""

    id = serializers.IntegerField(read_only=True)
    kind = serializers.CharField(read_only=True, help_text="`PERSONAL` or `TEAM`.")
    name = serializers.CharField(read_only=True)


class AccountSerializer(serializers.Serializer[Line]):
    """A customer's balance, in the words of the first clients and exactly."""

    id = serializers.IntegerField(source="account.pk", read_only=True)
    userId = serializers.IntegerField(
        source="account.customer.user_id", read_only=True, allow_null=True, help_text="Null: it is a team's."
    )
    clerkUserId = serializers.CharField(
        source="account.customer.user.external_id", read_only=True, allow_null=True, default=None
    )
    customer = PayerSerializer(source="account.customer", read_only=True)
    currency = serializers.ChoiceField(Currency.choices, source="account.currency", read_only=True)
    creditsRemaining = CreditsField(source="balance.available", help_text="What can be spent now.")
    balance = AmountField(source="balance.balance", help_text="Posted: the sum of all entries.")
    held = AmountField(source="balance.held", help_text="Set aside for calls that run now; a part of the balance.")
    available = AmountField(source="balance.available", help_text="Balance less held.")
    owed = AmountField(source="balance.owed", help_text="Taken back but already spent; the next grants pay it first.")
    lastSyncedAt = InstantField(source="balance.updated_at", read_only=True, help_text="When it last moved.")
    createdAt = InstantField(source="account.created_at", read_only=True)
    updatedAt = InstantField(source="balance.updated_at", read_only=True)


class AdjustedSerializer(AccountSerializer):
    adjusted = AmountField(help_text="By how much it was changed: less than was asked where there was less.")
