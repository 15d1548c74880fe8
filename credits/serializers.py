"""What the bank says of balances, grants and pages."""

from typing import Any

from rest_framework import serializers

from credits.fields import AmountField, CreditsField, InstantField
from credits.models import Currency, Grant


class BalanceSerializer(serializers.Serializer[Any]):
    """
    The credits a customer has.

    ``creditsRemaining`` and ``lastSyncedAt`` are what the first clients read; the rest says the
    same exactly, as decimal text.
    """

    creditsRemaining = CreditsField(source="available", help_text="What can be spent now.")
    lastSyncedAt = InstantField(source="updated_at", allow_null=True, help_text="When the account last moved.")
    balance = AmountField(help_text="Posted: the sum of all entries.")
    held = AmountField(help_text="Set aside for calls that run now; a part of the balance.")
    available = AmountField(help_text="Balance less held.")
    owed = AmountField(help_text="Taken back but already spent; the next grants pay it first.")


NO_BALANCE: dict[str, Any] = {"available": 0, "updated_at": None, "balance": 0, "held": 0, "owed": 0}


class GrantSerializer(serializers.Serializer[Grant]):
    """An allocation and what is left of it."""

    id = serializers.IntegerField(source="pk", read_only=True)
    category = serializers.ChoiceField(Grant.Category.choices, read_only=True)
    currency = serializers.ChoiceField(Currency.choices, source="account.currency", read_only=True)
    amount = AmountField(help_text="What was given.")
    remaining = AmountField(source="left", help_text="Not yet spent, expired or taken back.")
    held = AmountField(help_text="The part of what remains that is set aside for calls that run now.")
    source = serializers.CharField(read_only=True, help_text="What it was given for.")  # type: ignore[assignment]
    memo = serializers.CharField(read_only=True)
    priority = serializers.IntegerField(read_only=True, help_text="Lower numbers are spent first.")
    effectiveAt = InstantField(source="effective_at", read_only=True)
    expiresAt = InstantField(source="expires_at", read_only=True, allow_null=True)
    createdAt = InstantField(source="created_at", read_only=True)
