"""What a statement says of an entry, and an explanation of a balance."""

from typing import Any

from rest_framework import serializers

from billing.models import UsageRecord
from billing.serializers import USDC_PLACES
from credits.explanation import Movement
from credits.fields import AmountField, InstantField
from credits.kinds import COUNTER_ACCOUNTS
from credits.models import Grant, Hold, LedgerEntry


class TransactionSerializer(serializers.Serializer[LedgerEntry]):
    """One final movement. ``feature``, ``model`` and ``generationId`` tell what it paid for, else they are null."""

    id = serializers.IntegerField(source="pk", read_only=True)
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, read_only=True)
    amount = AmountField(help_text="Signed: what the balance changed by.")
    balanceAfter = AmountField(source="balance_after", help_text="The balance when this was booked.")
    grantId = serializers.IntegerField(source="grant_id", read_only=True, help_text="The grant that it moved on.")
    holdId = serializers.UUIDField(source="hold_id", read_only=True, allow_null=True)
    usageId = serializers.CharField(source="hold.usage.pk", read_only=True, default=None, allow_null=True)
    feature = serializers.CharField(source="hold.usage.feature", read_only=True, default=None, allow_null=True)
    model = serializers.CharField(source="hold.usage.model", read_only=True, default=None, allow_null=True)
    generationId = serializers.CharField(
        source="hold.usage.generation_id", read_only=True, default=None, allow_null=True
    )
    reference = serializers.CharField(read_only=True)
    memo = serializers.CharField(read_only=True)
    createdAt = InstantField(source="created_at", read_only=True)


class UsdcTransactionSerializer(TransactionSerializer):
    amount = AmountField(least_places=USDC_PLACES, help_text="Signed: what the balance changed by.")
    balanceAfter = AmountField(
        source="balance_after", least_places=USDC_PLACES, help_text="The balance when this was booked."
    )


class LotSerializer(serializers.Serializer[Any]):
    """What was left of a grant."""

    grantId = serializers.IntegerField(source="lot.grant_id", read_only=True)
    category = serializers.ChoiceField(Grant.Category.choices, source="grant.category", read_only=True)
    source = serializers.CharField(source="grant.source", read_only=True)  # type: ignore[assignment]
    amount = AmountField(source="lot.amount", help_text="What was given.")
    remaining = AmountField(source="lot.remaining", help_text="What was left of it; 0 while it waits to take effect.")
    held = AmountField(source="lot.held", help_text="The part of what was left that was set aside for running calls.")
    priority = serializers.IntegerField(source="lot.priority", read_only=True, help_text="Lower numbers first.")
    effectiveAt = InstantField(source="lot.effective_at", read_only=True)
    expiresAt = InstantField(source="lot.expires_at", read_only=True, allow_null=True)


class PendingHoldSerializer(serializers.Serializer[Hold]):
    """Credits that were set aside."""

    id = serializers.UUIDField(source="pk", read_only=True)
    amount = AmountField()
    reference = serializers.CharField(read_only=True, help_text="The other side's id of what it pays for.")
    createdAt = InstantField(source="created_at", read_only=True)
    resolvedAt = InstantField(source="resolved_at", read_only=True, allow_null=True)


class DueSerializer(serializers.Serializer[Any]):
    """What counts at its instant though it was not booked yet."""

    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, source="entry.kind", read_only=True)
    grantId = serializers.IntegerField(source="entry.grant_id", read_only=True)
    amount = AmountField(source="entry.amount")
    dueAt = InstantField(source="due_at", read_only=True)
    bookedAs = serializers.IntegerField(
        source="booked.sequence", read_only=True, default=None, allow_null=True, help_text="The entry's number."
    )
    bookedAt = InstantField(source="booked.booked_at", read_only=True, default=None, allow_null=True)


class MovementSerializer(serializers.Serializer[Movement]):
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, read_only=True)
    counterAccount = serializers.ChoiceField(COUNTER_ACCOUNTS, source="counter_account", read_only=True)
    entries = serializers.IntegerField(read_only=True)
    amount = AmountField(help_text="Signed: what the balance changed by.")


class DifferenceSerializer(serializers.Serializer[Any]):
    """The opening balance and the movements add up to the closing balance."""

    opening = AmountField(source="opening.balance")
    movements = MovementSerializer(many=True)
    closing = AmountField(source="closing.balance")

    def get_fields(self) -> dict[str, Any]:
        return {"from": InstantField(source="opening.at", read_only=True), **super().get_fields()}


class CauseSerializer(serializers.Serializer[UsageRecord]):
    """The call that an entry paid for."""

    id = serializers.CharField(source="pk", read_only=True)
    feature = serializers.CharField(read_only=True)
    quantity = serializers.IntegerField(read_only=True)
    model = serializers.CharField(read_only=True)
    status = serializers.ChoiceField(UsageRecord.Status.choices, read_only=True)
    requestId = serializers.CharField(source="request_id", read_only=True)
    generationId = serializers.CharField(source="generation_id", read_only=True)
    keyId = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)
    keyName = serializers.CharField(source="api_key.name", read_only=True, default=None, allow_null=True)
    priceId = serializers.IntegerField(source="price_id", read_only=True, help_text="The version of the price.")
    promptTokens = serializers.IntegerField(source="prompt_tokens", read_only=True, allow_null=True)
    completionTokens = serializers.IntegerField(source="completion_tokens", read_only=True, allow_null=True)
    cachedTokens = serializers.IntegerField(source="cached_tokens", read_only=True, allow_null=True)
    reasoningTokens = serializers.IntegerField(source="reasoning_tokens", read_only=True, allow_null=True)


class ExplainedEntrySerializer(serializers.Serializer[LedgerEntry]):
    """One final movement with all that caused it. ``usage`` is null where it paid for no call."""

    sequence = serializers.IntegerField(read_only=True)
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, read_only=True)
    amount = AmountField(help_text="Signed: what the balance changed by.")
    balanceAfter = AmountField(source="balance_after", help_text="The balance when this was booked.")
    grantId = serializers.IntegerField(source="grant_id", read_only=True)
    holdId = serializers.UUIDField(source="hold_id", read_only=True, allow_null=True)
    reference = serializers.CharField(read_only=True)
    memo = serializers.CharField(read_only=True)
    actor = serializers.CharField(read_only=True, help_text="Who did it: `key:…`, `user:…`, `system`, `command:…`.")
    createdAt = InstantField(source="created_at", read_only=True)
    usage = CauseSerializer(source="hold.usage", default=None, allow_null=True, read_only=True)


class ExplanationSerializer(serializers.Serializer[Any]):
    """A balance at an instant, and all that it is made of."""

    at = InstantField(source="state.at", read_only=True)
    sequence = serializers.IntegerField(
        source="state.sequence", read_only=True, help_text="How many entries the account had by then."
    )
    balance = AmountField(source="state.balance")
    held = AmountField(source="state.held")
    available = AmountField(source="state.available")
    lots = LotSerializer(many=True, help_text="What was left, in the order in which it is spent.")
    due = DueSerializer(many=True, help_text="What counts in the balance though it was booked later.")
    holds = PendingHoldSerializer(many=True, help_text="The oldest 100 holds that were pending.")
    difference = DifferenceSerializer(allow_null=True, help_text="Where `from` was given.")
