"""Users and customers as administrators read and change them."""

from typing import Any

from rest_framework import serializers

from accounts.models import Customer, User
from accounts.strict import PlainTextField, StrictSerializer
from accounts.teams.customers import LONGEST_REASON


class VerifiedSerializer(serializers.Serializer[Any]):
    isAdmin = serializers.BooleanField(read_only=True)
    email = serializers.CharField(read_only=True, allow_null=True)
    userId = serializers.CharField(read_only=True, help_text="The identity provider's id of you, else ours.")


class UserStateSerializer(serializers.Serializer[User]):
    id = serializers.IntegerField(read_only=True)
    isActive = serializers.BooleanField(source="is_active", read_only=True)


class ChangedStateSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField(read_only=True)
    user = UserStateSerializer(read_only=True)


class ChangedUserSerializer(StrictSerializer):
    name = PlainTextField(min_length=1, max_length=200, required=False)
    email = serializers.EmailField(max_length=254, allow_null=True, required=False)

    def validate_email(self, email: str | None) -> str | None:
        return email.lower() if email else None


class SuspensionSerializer(StrictSerializer):
    reason = PlainTextField(
        min_length=1, max_length=LONGEST_REASON, help_text="For your colleagues; the customer does not see it."
    )


class CustomerStateSerializer(serializers.ModelSerializer[Customer]):
    """Who pays, and whether they may."""

    suspendedAt = serializers.DateTimeField(source="suspended_at", read_only=True, allow_null=True)
    suspendedBy = serializers.CharField(source="suspended_by", read_only=True)
    suspendedReason = serializers.CharField(source="suspended_reason", read_only=True)

    class Meta:
        model = Customer
        fields = ["id", "kind", "name", "suspendedAt", "suspendedBy", "suspendedReason"]
        read_only_fields = fields
