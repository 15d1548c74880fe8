"""API keys as JSON."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.strict import PlainTextField, StrictSerializer


class ScopesField(serializers.ListField):
    """A list in JSON, words with a space between them in the database."""

    child = serializers.ChoiceField(choices=ApiKey.Scope.choices)

    def to_representation(self, data: Any) -> list[str]:
        return data.split()


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key as it can be shown at any time: without its text."""

    scopes = ScopesField(read_only=True)
    lastFour = serializers.CharField(source="last_four", read_only=True)
    expiresAt = serializers.DateTimeField(source="expires_at", read_only=True, allow_null=True)
    revokedAt = serializers.DateTimeField(source="revoked_at", read_only=True, allow_null=True)
    lastUsedAt = serializers.DateTimeField(source="last_used_at", read_only=True, allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "mode",
            "masked",
            "lastFour",
            "scopes",
            "expiresAt",
            "revokedAt",
            "lastUsedAt",
            "createdAt",
        ]
        read_only_fields = fields


class NewApiKeySerializer(StrictSerializer):
    """What is asked for. Without ``scopes`` the key may call models and read."""

    name = PlainTextField(min_length=1, max_length=100)
    mode = serializers.ChoiceField(choices=ApiKey.Mode.choices, default=ApiKey.Mode.LIVE.value)
    scopes = ScopesField(default=[ApiKey.Scope.AI.value, ApiKey.Scope.READ.value], min_length=1, max_length=3)
    expiresAt = serializers.DateTimeField(source="expires_at", default=None, allow_null=True)

    def validate_expiresAt(self, expires_at: Any) -> Any:
        if expires_at is not None and expires_at <= timezone.now():
            raise serializers.ValidationError("Must be in the future.", code="not_in_future")
        return expires_at


class CreatedApiKeySerializer(ApiKeySerializer):
    """The answer that shows the key: keep it, it is never shown again."""

    key = serializers.CharField(read_only=True, help_text="Shown this once.")

    class Meta(ApiKeySerializer.Meta):
        fields = ["key", *ApiKeySerializer.Meta.fields]
