"""Invitations to sign up as JSON, in the words of the first clients."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.administration.invitations.services import STATUSES, status_of
from accounts.models import SignUpInvitation
from accounts.reads import Filter
from accounts.strict import PlainTextField, StrictSerializer

INVITED, EXISTS, RESENT, REVOKED = "invited", "exists", "resent", "revoked"
OUTCOMES = [(outcome, outcome) for outcome in (INVITED, EXISTS)]


class SignUpFilter(Filter):
    status = serializers.ChoiceField(STATUSES, required=False, help_text="In this state only.")
    search = PlainTextField(max_length=200, required=False, help_text="A part of name or e-mail, in any case.")


class NewSignUpSerializer(StrictSerializer):
    email = serializers.EmailField(max_length=254)
    name = PlainTextField(max_length=200, allow_blank=True, default="", help_text="How the mail addresses them.")

    def validate_email(self, email: str) -> str:
        return email.lower()


class SignUpSerializer(serializers.ModelSerializer[SignUpInvitation]):
    emailAddress = serializers.CharField(source="email", read_only=True)
    status = serializers.SerializerMethodField()
    revoked = serializers.SerializerMethodField()
    invitedBy = serializers.IntegerField(source="invited_by_id", read_only=True, allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)
    updatedAt = serializers.DateTimeField(source="sent_at", read_only=True, help_text="When it was last sent.")
    expiresAt = serializers.DateTimeField(source="expires_at", read_only=True)

    class Meta:
        model = SignUpInvitation
        fields = [
            "id", "emailAddress", "name", "status", "revoked", "invitedBy", "createdAt", "updatedAt", "expiresAt",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(STATUSES))
    def get_status(self, invitation: SignUpInvitation) -> str:
        is_accepted = getattr(invitation, "is_accepted", False)
        return status_of(invitation, is_accepted=is_accepted, now=timezone.now())

    def get_revoked(self, invitation: SignUpInvitation) -> bool:
        return invitation.revoked_at is not None


class InvitedSerializer(serializers.Serializer[Any]):
    """``exists`` with ``clerkUserId``, or ``invited`` with ``invitation`` and ``mailed``."""

    status = serializers.ChoiceField(OUTCOMES, read_only=True)
    userId = serializers.IntegerField(read_only=True, required=False)
    clerkUserId = serializers.CharField(read_only=True, required=False, allow_null=True)
    invitation = SignUpSerializer(read_only=True, required=False)
    mailed = serializers.BooleanField(
        read_only=True, required=False, help_text="Whether the mail was handed over; if not, resend it."
    )


class ResentSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField([(RESENT, RESENT)], read_only=True)
    mailed = serializers.BooleanField(read_only=True)


class RevokedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField([(REVOKED, REVOKED)], read_only=True)
