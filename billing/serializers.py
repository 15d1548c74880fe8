"""What billing says of prices and of the USDC balance."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Customer
from credits.fields import AmountField, CreditsField, InstantField

USDC_PLACES = 2


@extend_schema_field({"type": "object", "additionalProperties": {"type": ["integer", "string"]}})
class CreditsByName(serializers.DictField):
    child = CreditsField()


class SettingsSerializer(serializers.Serializer[dict[str, Any]]):
    featureCosts = CreditsByName(read_only=True, help_text="Credits for one unit of each feature.")
    planCredits = CreditsByName(read_only=True, help_text="Credits that each plan gives in a period.")


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
