"""Customers, members and invitations as JSON."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts import zones
from accounts.models import Customer, Invitation, Membership
from accounts.roles import Role
from accounts.strict import PlainTextField, StrictSerializer

#: What a member can be made; the one owner is made by transfer.
GIVEN_ROLES = [(role.value, role.value) for role in Role if role is not Role.OWNER]
STATUSES = [(status, status) for status in ("open", "accepted", "declined", "revoked", "expired")]


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """A customer, as one of its members sees it."""

    id = serializers.IntegerField(source="customer_id", read_only=True)
    kind = serializers.ChoiceField(Customer.Kind.choices, source="customer.kind", read_only=True)
    name = serializers.CharField(source="customer.name", read_only=True)
    timeZone = serializers.CharField(source="customer.time_zone", read_only=True)
    externalId = serializers.CharField(source="customer.external_id", read_only=True, allow_null=True)
    suspendedAt = serializers.DateTimeField(source="customer.suspended_at", read_only=True, allow_null=True)
    createdAt = serializers.DateTimeField(source="customer.created_at", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "kind", "name", "role", "timeZone", "externalId", "suspendedAt", "createdAt"]
        read_only_fields = fields


class NewTeamSerializer(StrictSerializer):
    name = PlainTextField(min_length=1, max_length=200)
    timeZone = serializers.CharField(
        source="time_zone", max_length=64, required=False, help_text="An IANA name, such as `Europe/Berlin`; `UTC`."
    )

    def validate_timeZone(self, name: str) -> str:
        if name not in dict(zones.choices()):
            raise serializers.ValidationError("Write a time zone's IANA name, such as Europe/Berlin.", "invalid_choice")
        return name


class ChangedCustomerSerializer(NewTeamSerializer):
    name = PlainTextField(min_length=1, max_length=200, required=False)


class ClosingSerializer(StrictSerializer):
    confirm = serializers.CharField(max_length=200, help_text="The team's name, so that nobody gives up another.")


class MemberSerializer(serializers.ModelSerializer[Membership]):
    userId = serializers.IntegerField(source="user_id", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    email = serializers.CharField(source="user.email", read_only=True, allow_null=True)
    isActive = serializers.BooleanField(source="user.is_active", read_only=True)
    since = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Membership
        fields = ["userId", "name", "email", "role", "isActive", "since"]
        read_only_fields = fields


class ChangedMemberSerializer(StrictSerializer):
    role = serializers.ChoiceField(GIVEN_ROLES)


class HeirSerializer(StrictSerializer):
    userId = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="The member who becomes the owner.")


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    status = serializers.SerializerMethodField()
    invitedBy = serializers.IntegerField(source="invited_by_id", read_only=True, allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)
    sentAt = serializers.DateTimeField(source="sent_at", read_only=True)
    expiresAt = serializers.DateTimeField(source="expires_at", read_only=True)

    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "status", "invitedBy", "createdAt", "sentAt", "expiresAt"]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(STATUSES))
    def get_status(self, invitation: Invitation) -> str:
        return status_of(invitation, now=timezone.now())


class SentInvitationSerializer(InvitationSerializer):
    token = serializers.CharField(read_only=True, help_text="Shown this once, beside the mail.")
    mailed = serializers.BooleanField(
        read_only=True, help_text="Whether the mail was handed over; if not, pass the token on yourself, or resend."
    )

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "token", "mailed"]


class NewInvitationSerializer(StrictSerializer):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(GIVEN_ROLES, default=Role.MEMBER.value)

    def validate_email(self, email: str) -> str:
        return email.lower()


class TokenSerializer(StrictSerializer):
    token = serializers.RegexField(r"^[A-Za-z0-9_-]{1,100}\Z", trim_whitespace=False)


def status_of(invitation: Invitation, *, now: datetime) -> str:
    """In which of ``STATUSES`` an invitation is."""
    ended: list[tuple[str, Any]] = [
        ("accepted", invitation.accepted_at),
        ("declined", invitation.declined_at),
        ("revoked", invitation.revoked_at),
        ("expired", invitation.expires_at <= now),
    ]
    return next((status for status, is_so in ended if is_so), "open")
