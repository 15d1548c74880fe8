"""Budgets of end users as JSON."""

from typing import Any

from rest_framework import serializers

from accounts.strict import StrictSerializer
from billing.allowances.serializers import ShownBudgetSerializer, UsedSerializer
from billing.keys.serializers import BudgetSerializer
from billing.models import EndUser
from credits.amounts import display
from credits.models import Currency


def shown_budget(amount: int | None, period: str) -> dict[str, Any] | None:
    if amount is None:
        return None
    return {"amount": display(amount), "period": period, "currency": Currency.CREDITS.value}


class EndUserSerializer(serializers.Serializer[EndUser]):
    """An end user with a budget of their own; null is without a limit."""

    endUser = serializers.CharField(source="name", read_only=True)
    budget = serializers.SerializerMethodField()

    def get_budget(self, own: EndUser) -> dict[str, Any] | None:
        return shown_budget(own.budget, own.budget_period)


class EndUserBudgetSerializer(serializers.Serializer[Any]):
    """What may be spent for an end user, and what of it is used."""

    endUser = serializers.CharField()
    budget = ShownBudgetSerializer(allow_null=True)
    isOwn = serializers.BooleanField(help_text="Theirs alone; else that of each end user without one.")
    used = UsedSerializer()


class EachBudgetSerializer(serializers.Serializer[Any]):
    each = ShownBudgetSerializer(allow_null=True, help_text="Of each end user that has none of their own.")


class ChangedBudgetSerializer(StrictSerializer):
    budget = BudgetSerializer(allow_null=True, help_text="null is without a limit.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        budget = attrs["budget"] or {"amount": None, "period": ""}
        return {"budget": budget["amount"], "period": budget["period"]}
