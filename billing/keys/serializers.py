"""API keys as JSON."""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.services import in_order
from accounts.strict import PlainTextField, StrictSerializer
from billing.catalogue import Feature
from billing.keys.filters import STATUSES
from credits.amounts import credits
from credits.fields import PositiveAmountField
from credits.models import currency_of

MODEL_PATTERN = re.compile(r"[A-Za-z0-9@*~][A-Za-z0-9@*~._:/+-]{0,199}", re.ASCII)
MOST_WORDS = 50
MOST_NOTES, LONGEST_NOTE_NAME, LONGEST_NOTE = 20, 40, 500
MOST_A_MINUTE = 2_000_000_000
LONGEST_OVERLAP = 30 * 24 * 3600
USUAL_OVERLAP = 24 * 3600
LONGEST_CACHED = 30 * 24 * 3600


class WordsField(serializers.ListField):
    """A list in JSON, words with a space between them in the database. Empty stands for all."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": MOST_WORDS, **options})

    def run_validation(self, data: Any = serializers.empty) -> str:
        return " ".join(dict.fromkeys(super().run_validation(data)))

    def to_representation(self, data: Any) -> list[str]:
        return data.split()


class ModelPatternField(serializers.CharField):
    default_error_messages = {"invalid_model": "Name a model, such as openai/gpt-4o-mini, or a pattern, openai/*."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or MODEL_PATTERN.fullmatch(data) is None:
            self.fail("invalid_model")
        return data


class NetworkField(serializers.CharField):
    default_error_messages = {"invalid_network": "Write an address or a network, such as 192.0.2.7 or 10.0.0.0/8."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_network")
        try:
            return str(ip_network(data))
        except ValueError:
            self.fail("invalid_network")


class NotesField(serializers.DictField):
    """Names and texts of the customer's own."""

    child = PlainTextField(max_length=LONGEST_NOTE, allow_blank=True)
    default_error_messages = {
        "too_many": f"At most {MOST_NOTES} names of 1 to {LONGEST_NOTE_NAME} characters.",
    }

    def to_internal_value(self, data: Any) -> dict[str, str]:
        notes = super().to_internal_value(data)
        if len(notes) > MOST_NOTES or not all(0 < len(name) <= LONGEST_NOTE_NAME for name in notes):
            self.fail("too_many")
        return notes


class BudgetSerializer(StrictSerializer):
    amount = PositiveAmountField(help_text="Credits that it may spend in each period.")
    period = serializers.ChoiceField(
        ApiKey.Period.choices, help_text="Days, weeks from Monday, and months, in the customer's time zone."
    )


class LimitsSerializer(StrictSerializer):
    """What is null is not limited."""

    requestsPerMinute = serializers.IntegerField(min_value=1, max_value=MOST_A_MINUTE, allow_null=True, default=None)
    tokensPerMinute = serializers.IntegerField(min_value=1, max_value=MOST_A_MINUTE, allow_null=True, default=None)
    concurrentCalls = serializers.IntegerField(min_value=1, max_value=MOST_A_MINUTE, allow_null=True, default=None)


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key as it can be shown at any time: without its text."""

    status = serializers.SerializerMethodField()
    scopes = WordsField(read_only=True, child=serializers.ChoiceField(ApiKey.Scope.choices))
    models = WordsField(source="allowed_models", read_only=True, child=serializers.CharField())
    features = WordsField(source="allowed_features", read_only=True, child=serializers.CharField())
    addresses = WordsField(source="allowed_addresses", read_only=True, child=serializers.CharField())
    budget = serializers.SerializerMethodField()
    limits = serializers.SerializerMethodField()
    cacheSeconds = serializers.IntegerField(source="cache_seconds", read_only=True)
    metadata = serializers.DictField(child=serializers.CharField(), read_only=True)
    lastFour = serializers.CharField(source="last_four", read_only=True)
    createdBy = serializers.IntegerField(source="created_by_id", read_only=True, allow_null=True)
    replacedBy = serializers.IntegerField(source="replaced_by_id", read_only=True, allow_null=True)
    usage = serializers.SerializerMethodField()
    expiresAt = serializers.DateTimeField(source="expires_at", read_only=True, allow_null=True)
    revokedAt = serializers.DateTimeField(source="revoked_at", read_only=True, allow_null=True)
    leakedAt = serializers.DateTimeField(source="leaked_at", read_only=True, allow_null=True)
    lastUsedAt = serializers.DateTimeField(source="last_used_at", read_only=True, allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = ApiKey
        fields = [
            "id", "name", "mode", "status", "masked", "lastFour", "scopes", "models", "features", "addresses",
            "budget", "limits", "cacheSeconds", "metadata", "createdBy", "replacedBy", "usage",
            "expiresAt", "revokedAt", "leakedAt", "lastUsedAt", "createdAt",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(STATUSES))
    def get_status(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return "revoked"
        is_over = key.expires_at is not None and key.expires_at <= timezone.now()
        return "expired" if is_over else "active"

    @extend_schema_field(
        {
            "type": ["object", "null"],
            "required": ["amount", "period", "currency"],
            "properties": {
                "amount": {"type": "string", "examples": ["25"]},
                "period": {"type": "string", "enum": ApiKey.Period.values},
                "currency": {"type": "string", "enum": ["credits", "test"]},
            },
        }
    )
    def get_budget(self, key: ApiKey) -> dict[str, str] | None:
        if key.budget is None:
            return None
        amount = PositiveAmountField().to_representation(key.budget)
        return {"amount": amount, "period": key.budget_period, "currency": currency_of(key.mode)}

    @extend_schema_field(LimitsSerializer)
    def get_limits(self, key: ApiKey) -> dict[str, int | None]:
        return {
            "requestsPerMinute": key.requests_per_minute,
            "tokensPerMinute": key.tokens_per_minute,
            "concurrentCalls": key.concurrent_calls,
        }

    def get_usage(self, key: ApiKey) -> str:
        """Where its usage is summed up."""
        return f"/api/keys/{key.pk}/usage"


class ChangedApiKeySerializer(StrictSerializer):
    """What can be set of a key. What is left out stays; a budget and the limits are set as a whole."""

    #: What must be there all the same.
    needed: ClassVar[frozenset[str]] = frozenset()

    name = PlainTextField(min_length=1, max_length=100)
    scopes = WordsField(child=serializers.ChoiceField(ApiKey.Scope.choices), min_length=1, max_length=3)
    models = WordsField(
        source="allowed_models",
        child=ModelPatternField(),
        help_text="Models or patterns, such as `openai/*`; [] for all.",
    )
    features = WordsField(
        source="allowed_features", child=serializers.ChoiceField([feature.value for feature in Feature]),
        help_text="[] for all.",
    )  # fmt: skip
    addresses = WordsField(
        source="allowed_addresses", child=NetworkField(), help_text="Networks that it is used from; [] for all."
    )
    budget = BudgetSerializer(allow_null=True, help_text="What is spent and held in a period never exceeds it.")
    limits = LimitsSerializer(allow_null=True, help_text="What comes above them is refused with 429.")
    cacheSeconds = serializers.IntegerField(
        source="cache_seconds", min_value=0, max_value=LONGEST_CACHED,
        help_text="For how long an answer is given again to the very same request; 0 for never.",
    )  # fmt: skip
    metadata = NotesField(help_text="Notes of your own.")
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # Not ``partial``: that would make the parts of a budget optional too.
        fields = super().get_fields()
        for name, field in fields.items():
            field.required = name in self.needed
        return fields

    def validate_scopes(self, scopes: str) -> str:
        return in_order(scopes.split())

    def validate_expiresAt(self, expires_at: Any) -> Any:
        if expires_at is not None and expires_at <= timezone.now():
            raise serializers.ValidationError("Must be in the future.", code="not_in_future")
        return expires_at

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return columns(attrs)


def columns(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``terms`` with budget and limits as the columns that keep them."""
    flat = {name: value for name, value in terms.items() if name not in ("budget", "limits")}
    if "budget" in terms:
        budget = terms["budget"] or {"amount": None, "period": ""}
        flat |= {"budget": budget["amount"], "budget_period": budget["period"]}
    if "limits" in terms:
        limits = terms["limits"] or {}
        flat |= {
            "requests_per_minute": limits.get("requestsPerMinute"),
            "tokens_per_minute": limits.get("tokensPerMinute"),
            "concurrent_calls": limits.get("concurrentCalls"),
        }
    return flat


class NewApiKeySerializer(ChangedApiKeySerializer):
    """What is asked for. Without ``scopes`` the key may call models and read; what else is left out is not limited."""

    needed = frozenset({"name"})

    mode = serializers.ChoiceField(ApiKey.Mode.choices, help_text="`live` where it is left out.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        usual = {"mode": ApiKey.Mode.LIVE.value, "scopes": in_order([ApiKey.Scope.AI, ApiKey.Scope.READ])}
        return usual | super().validate(attrs)


class RotationSerializer(StrictSerializer):
    overlap = serializers.IntegerField(
        min_value=0,
        max_value=LONGEST_OVERLAP,
        default=USUAL_OVERLAP,
        help_text="Seconds that the old key still works; 0 revokes it at once.",
    )


class TestCreditsSerializer(StrictSerializer):
    amount = PositiveAmountField(help_text="Test credits, up to 1000000.")

    def validate_amount(self, amount: int) -> int:
        if amount > credits(1_000_000):
            raise serializers.ValidationError("At most 1000000 at once.", "max_value")
        return amount


class CreatedApiKeySerializer(ApiKeySerializer):
    """The answer that shows the key: keep it, it is never shown again."""

    key = serializers.CharField(read_only=True, help_text="Shown this once.")

    class Meta(ApiKeySerializer.Meta):
        fields = ["key", *ApiKeySerializer.Meta.fields]


class RotatedApiKeySerializer(CreatedApiKeySerializer):
    replaces = ApiKeySerializer(read_only=True, help_text="The old key, with the instant until which it works.")

    class Meta(CreatedApiKeySerializer.Meta):
        fields = [*CreatedApiKeySerializer.Meta.fields, "replaces"]
