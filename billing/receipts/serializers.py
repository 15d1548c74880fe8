"""What a receipt says, in the words of the API."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from billing.models import UsageRecord
from billing.receipts.reading import PaidCall
from credits.fields import AmountField, InstantField
from credits.models import Currency, LedgerEntry

#: What the fields of a receipt mean. Another meaning is another number.
VERSION = 1


class PaidEntrySerializer(serializers.Serializer[LedgerEntry]):
    id = serializers.IntegerField(source="pk", read_only=True)
    sequence = serializers.IntegerField(read_only=True, help_text="Its number in the account's chain.")
    amount = AmountField(help_text="What the balance changed by.")
    digest = serializers.CharField(read_only=True, help_text="Of this entry and all before it.")


class ReceiptSerializer(serializers.Serializer[PaidCall]):
    """What is signed."""

    version = serializers.SerializerMethodField(help_text="Of the meaning of these fields.")
    issuer = serializers.SerializerMethodField(help_text="The installation that signs.")
    usageId = serializers.CharField(source="record.pk", read_only=True)
    holdId = serializers.UUIDField(source="record.hold_id", read_only=True)
    customerId = serializers.IntegerField(source="record.customer_id", read_only=True)
    requestId = serializers.CharField(source="record.request_id", read_only=True, help_text="As in `X-Request-Id`.")
    generationId = serializers.CharField(source="record.generation_id", read_only=True)
    feature = serializers.CharField(source="record.feature", read_only=True)
    model = serializers.CharField(source="record.model", read_only=True)
    status = serializers.ChoiceField(UsageRecord.Status.choices, source="record.status", read_only=True)
    priceId = serializers.IntegerField(
        source="record.price_id", read_only=True, help_text="The version of the price that counted."
    )
    currency = serializers.ChoiceField(Currency.choices, source="record.currency", read_only=True)
    held = AmountField(source="record.held", help_text="Set aside before the call.")
    charged = AmountField(source="record.charged", help_text="What it cost: what the entries take, together.")
    entries = PaidEntrySerializer(
        many=True, read_only=True, help_text="One for each grant that paid; none if it cost nothing."
    )
    balanceAfter = AmountField(source="balance_after")
    chainDigest = serializers.CharField(
        source="digest", read_only=True, help_text="Of the account's newest entry when the call was booked."
    )
    admittedAt = InstantField(source="record.created_at", read_only=True)
    bookedAt = InstantField(source="booked_at", read_only=True)

    def get_version(self, call: PaidCall) -> int:
        return VERSION

    def get_issuer(self, call: PaidCall) -> str:
        issuer: str = settings.PUBLIC_URL
        return issuer


class SignedReceiptSerializer(serializers.Serializer[dict[str, Any]]):
    jws = serializers.CharField(read_only=True, help_text="The receipt, signed: keep this.")
    receipt = ReceiptSerializer(read_only=True, help_text="The same to be read.")
