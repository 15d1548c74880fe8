"""Plans as everybody reads them, and as administrators read and change them."""

import re
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.strict import PlainTextField, StrictSerializer, TrueOrFalseField
from billing.models import Plan
from billing.plans.services import LONGEST_SLUG
from credits.fields import CreditsField, CreditsInputField, InstantField

CLERK_ID = re.compile(r"c?plan_[A-Za-z0-9_]{1,240}", re.ASCII)
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
CURRENCY = re.compile(r"[A-Za-z]{3}", re.ASCII)
ADDRESS = re.compile(r"(https?://|mailto:|/)\S+")
PRICE = re.compile(r"(\d{1,12})(?:[.,](\d{1,2}))?", re.ASCII)
MOST_CENTS = 10**14
MOST_FEATURES = 50
MANUAL, CONTACT = Plan.Source.MANUAL.value, Plan.Action.CONTACT.value


class ShapedField(PlainTextField):
    """Text of one shape, which ``message`` describes."""

    def __init__(self, *, shape: re.Pattern[str], message: str, **options: Any) -> None:
        self.shape = shape
        super().__init__(**options, error_messages={"shape": message})

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if self.shape.fullmatch(text) is None:
            self.fail("shape")
        return text


@extend_schema_field({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "examples": ["49.90"]}]})
class CentsField(serializers.Field[int, Any, int, Any]):
    """A price: a number is cents, and text units of the currency, such as ``"49.90"`` or ``"49,90"``."""

    default_error_messages = {"invalid": 'Write whole cents as a number, or units as text, such as "49.90".'}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, int) and not isinstance(data, bool) and 0 <= data <= MOST_CENTS:
            return data
        match = PRICE.fullmatch(data) if isinstance(data, str) else None
        if match is None:
            self.fail("invalid")
        return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))

    def to_representation(self, value: int) -> int:
        return value


class PlanFeatureSerializer(StrictSerializer):
    name = PlainTextField(min_length=1, max_length=200)
    description = PlainTextField(max_length=500, allow_blank=True, default="")
    included = TrueOrFalseField(default=True)


class PlanSerializer(serializers.Serializer[Plan]):
    """A plan, as everybody reads it."""

    id = serializers.IntegerField(read_only=True)
    clerkId = serializers.CharField(source="clerk_id", read_only=True, allow_null=True)
    slug = serializers.CharField(read_only=True)
    name = serializers.CharField(read_only=True)
    credits = CreditsField(help_text="That it gives in each period.")
    currency = serializers.CharField(read_only=True, help_text="Of its prices, in small letters; empty for none.")
    priceMonthlyCents = serializers.IntegerField(source="price_monthly_cents", read_only=True, allow_null=True)
    priceYearlyCents = serializers.IntegerField(source="price_yearly_cents", read_only=True, allow_null=True)
    description = serializers.CharField(read_only=True)
    features = PlanFeatureSerializer(many=True, read_only=True)
    badge = serializers.CharField(read_only=True)
    highlight = serializers.BooleanField(source="is_highlighted", read_only=True)
    ctaType = serializers.ChoiceField(Plan.Action.choices, source="cta_type", read_only=True)
    ctaLabel = serializers.CharField(source="cta_label", read_only=True)
    ctaUrl = serializers.CharField(source="cta_url", read_only=True)
    billingSource = serializers.ChoiceField(Plan.Source.choices, source="billing_source", read_only=True)


class ListedPlanSerializer(PlanSerializer):
    clerkName = serializers.CharField(source="clerk_name", read_only=True)
    active = serializers.BooleanField(source="is_active", read_only=True)
    sortOrder = serializers.IntegerField(source="position", read_only=True)
    createdAt = InstantField(source="created_at", read_only=True)
    updatedAt = InstantField(source="updated_at", read_only=True)


class PlansSerializer(serializers.Serializer[Any]):
    plans = PlanSerializer(many=True, read_only=True)


class ListedPlansSerializer(serializers.Serializer[Any]):
    plans = ListedPlanSerializer(many=True, read_only=True)


class OnePlanSerializer(serializers.Serializer[Any]):
    plan = ListedPlanSerializer(read_only=True)


class TermsSerializer(StrictSerializer):
    """What can be said of a plan, beside its name and its id at Clerk."""

    slug = ShapedField(
        shape=SLUG, message="Write small letters, digits and single hyphens.", max_length=LONGEST_SLUG, required=False
    )
    clerkName = PlainTextField(source="clerk_name", max_length=200, allow_blank=True, required=False)
    credits = CreditsInputField(required=False, help_text="That it gives in each period.")
    active = TrueOrFalseField(source="is_active", required=False)
    sortOrder = serializers.IntegerField(source="position", min_value=0, max_value=10**6, required=False)
    currency = ShapedField(
        shape=CURRENCY, message="Write three letters, such as usd.", max_length=3, allow_blank=True, required=False
    )
    priceMonthlyCents = CentsField(source="price_monthly_cents", allow_null=True, required=False)
    priceYearlyCents = CentsField(source="price_yearly_cents", allow_null=True, required=False)
    description = PlainTextField(max_length=5000, allow_blank=True, required=False)
    features = serializers.ListField(child=PlanFeatureSerializer(), max_length=MOST_FEATURES, required=False)
    badge = PlainTextField(max_length=50, allow_blank=True, required=False)
    highlight = TrueOrFalseField(source="is_highlighted", required=False)
    ctaType = serializers.ChoiceField(Plan.Action.choices, source="cta_type", required=False)
    ctaLabel = PlainTextField(source="cta_label", max_length=100, allow_blank=True, required=False)
    ctaUrl = ShapedField(
        shape=ADDRESS, message="Write an address of the web, or a path.", source="cta_url", max_length=500,
        allow_blank=True, required=False,
    )  # fmt: skip
    billingSource = serializers.ChoiceField(Plan.Source.choices, source="billing_source", required=False)

    id_field: ClassVar[str]

    def validate_currency(self, currency: str) -> str:
        return currency.lower()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        plan = self.context.get("plan") or Plan()
        source = attrs.get("billing_source", plan.billing_source)
        if source == MANUAL:
            attrs["cta_type"] = CONTACT
        elif attrs.get("clerk_id", plan.clerk_id) is None:
            message = "A plan of Clerk's has its id there, such as cplan_…; one without is `manual`."
            raise serializers.ValidationError({self.id_field: [message]}, "required")
        return attrs


def clerk_id_field() -> ShapedField:
    return ShapedField(
        shape=CLERK_ID, message="Write an id of Clerk's, such as cplan_…", source="clerk_id", max_length=255,
        allow_null=True, required=False,
    )  # fmt: skip


class NewPlanSerializer(TermsSerializer):
    id_field = "clerkId"
    name = PlainTextField(min_length=1, max_length=200)
    clerkId = clerk_id_field()


class ChangedPlanSerializer(TermsSerializer):
    id_field = "newClerkId"
    name = PlainTextField(min_length=1, max_length=200, required=False)
    newClerkId = clerk_id_field()
    planId = serializers.CharField(
        max_length=255, required=False, help_text="Which plan, here or at Clerk, instead of the path's."
    )
