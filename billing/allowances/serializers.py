"""Limits of keys and of customers as JSON."""

from typing import Any

from rest_framework import serializers

from accounts.limits import Limited
from accounts.strict import StrictSerializer
from billing.keys.serializers import BudgetSerializer, LimitsSerializer, columns
from credits.models import Currency


class ShownBudgetSerializer(serializers.Serializer[Any]):
    amount = serializers.CharField()
    period = serializers.ChoiceField(Limited.Period.choices)
    currency = serializers.ChoiceField([(each.value, each.value) for each in (Currency.CREDITS, Currency.TEST)])


class UsedSerializer(serializers.Serializer[Any]):
    """What running calls and the period have used. All but the first are there where there is a budget."""

    concurrentCalls = serializers.IntegerField()
    spent = serializers.CharField(required=False)
    held = serializers.CharField(required=False)
    left = serializers.CharField(required=False)
    resetsAt = serializers.DateTimeField(required=False)


class AllowanceSerializer(serializers.Serializer[Any]):
    budget = ShownBudgetSerializer(allow_null=True)
    limits = LimitsSerializer()
    used = UsedSerializer()


class CustomersAllowanceSerializer(AllowanceSerializer):
    fixed = serializers.BooleanField(help_text="An administrator has set them, and only administrators change them.")


class ChangedAllowanceSerializer(StrictSerializer):
    """What is left out stays; a budget and the limits are set as a whole, and null lifts them."""

    budget = BudgetSerializer(allow_null=True, required=False)
    limits = LimitsSerializer(allow_null=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return columns(attrs)


class FixedAllowanceSerializer(ChangedAllowanceSerializer):
    fixed = serializers.BooleanField(
        source="limits_are_fixed", required=False, help_text="Whether the customer cannot change them itself."
    )
