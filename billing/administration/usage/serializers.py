"""All customers' usage as administrators read it: with whom it was, and what it cost the operator."""

from typing import Any

from rest_framework import serializers

from billing.administration.usage.reading import Dashboard, dollars
from billing.usage.serializers import SumsSerializer, UsageDetailsSerializer, UsageSerializer
from credits.administration.adjustments.serializers import PayerSerializer
from credits.fields import AmountField
from credits.models import Currency


class CallDetailsSerializer(UsageDetailsSerializer):
    """What a customer may know of a call, and what it cost the operator."""

    provider = serializers.CharField(read_only=True)
    providerCost = serializers.CharField(
        source="provider_cost", read_only=True, help_text="US dollars, exactly as reported; empty where it was not."
    )
    held = AmountField(help_text="Set aside before the call.")
    shortfall = AmountField(help_text="Worth more than was held: your loss.")


class CallerSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(read_only=True)
    email = serializers.CharField(read_only=True, allow_null=True)


class CallSerializer(UsageSerializer):
    userId = serializers.IntegerField(
        source="customer.user_id", read_only=True, allow_null=True, help_text="Null: it is a team's."
    )
    creditBalanceId = serializers.IntegerField(source="hold.account_id", read_only=True, help_text="The account.")
    user = CallerSerializer(source="customer.user", read_only=True, allow_null=True)
    customer = PayerSerializer(read_only=True)
    details = CallDetailsSerializer(source="*", read_only=True)


class SumsOfCurrencySerializer(SumsSerializer):
    currency = serializers.ChoiceField(Currency.choices, read_only=True)
    providerCost = serializers.SerializerMethodField(help_text="US dollars, as far as the provider reported them.")

    def get_providerCost(self, sums: dict[str, Any]) -> str:
        return dollars(sums["provider_cost_picos"])


class SumsOfDaySerializer(SumsOfCurrencySerializer):
    day = serializers.DateField(read_only=True)


class BalancesSerializer(serializers.Serializer[Any]):
    currency = serializers.ChoiceField(Currency.choices, read_only=True)
    balance = AmountField(help_text="What customers have left.")
    held = AmountField()
    owed = AmountField()
    accounts = serializers.IntegerField(read_only=True)


class DashboardSerializer(serializers.Serializer[Dashboard]):
    totalUsers = serializers.IntegerField(source="total_users", read_only=True)
    activeUsers = serializers.IntegerField(source="active_users", read_only=True, help_text="Who called since `from`.")
    usage = SumsOfCurrencySerializer(many=True, read_only=True, help_text="Since `from`.")
    days = SumsOfDaySerializer(many=True, read_only=True, help_text="Of days with calls.")
    balances = BalancesSerializer(many=True, read_only=True)

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"from": serializers.DateField(source="first", read_only=True)}
