"""Session holds as JSON."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.strict import PlainTextField, StrictSerializer
from credits.fields import AmountField, InstantField, PositiveAmountField
from credits.models import Hold

SHORTEST, LONGEST, USUAL = timedelta(minutes=1), timedelta(days=1), timedelta(hours=1)


class LifetimeField(serializers.IntegerField):
    """Whole seconds as a JSON number, within the bounds; 600.0 is whole too, as JSON Schema has it."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, Decimal) and data == data.to_integral_value():
            data = int(data)
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class NewSessionSerializer(StrictSerializer):
    """What to set aside, and for how long."""

    amount = PositiveAmountField(help_text="Credits to set aside.")
    expiresIn = LifetimeField(
        min_value=int(SHORTEST.total_seconds()),
        max_value=int(LONGEST.total_seconds()),
        default=int(USUAL.total_seconds()),
        help_text="Seconds after which what is left of it is given back.",
    )
    reason = PlainTextField(max_length=200, default="", allow_blank=True, help_text="For you, to know it again.")


class SettlementSerializer(StrictSerializer):
    """What to spend of a session hold."""

    amount = PositiveAmountField(help_text="At most what is free of it.")


class SessionSerializer(serializers.Serializer[Hold]):
    """
    A session hold and what became of it. Of ``amount``, ``spent`` and ``lent`` are gone, ``free`` can be drawn on.

    What calls do with their parts of a session that is over is still told here, until the last has ended.
    """

    id = serializers.UUIDField(source="pk", read_only=True, help_text="Send it as X-Hold-Id.")
    status = serializers.ChoiceField(Hold.Status.choices, read_only=True)
    amount = AmountField(help_text="What was set aside.")
    spent = AmountField(help_text="By its calls that have ended, and by its own settlement.")
    lent = AmountField(source="held_by_calls", help_text="Held by its calls that run now.")
    free = serializers.SerializerMethodField(help_text="What the next call can draw on; 0 once its time is over.")
    calls = serializers.IntegerField(read_only=True, help_text="How many have drawn on it.")
    reason = serializers.CharField(source="context.reason", default="", read_only=True)
    createdAt = InstantField(source="created_at", read_only=True)
    expiresAt = InstantField(source="expires_at", read_only=True)
    resolvedAt = InstantField(source="resolved_at", read_only=True, allow_null=True)

    def get_free(self, hold: Hold) -> str:
        is_over = hold.status != Hold.Status.PENDING or hold.expires_at <= timezone.now()
        return AmountField().to_representation(0 if is_over else hold.amount - hold.lent)
