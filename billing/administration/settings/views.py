"""``/api/admin/settings``."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from accounts.strict import PlainTextField, StrictSerializer
from billing.administration.settings.errors import MeteredCost
from billing.administration.settings.services import current_settings, set_costs, set_plans
from billing.catalogue import Feature
from billing.plans.serializers import CLERK_ID
from billing.serializers import SettingsSerializer
from credits.fields import CreditsField, CreditsInputField
from credits.reads import NOT_MODIFIED

MOST_PLANS = 100
SETTINGS = {
    "featureCosts": {"ai_text_chat": 1, "ai_image_generation": 5},
    "planCredits": {"cplan_2abcDEF": 500},
    "billingPlans": {"cplan_2abcDEF": {"name": "Pro", "credits": 500}},
}


class NamedPlanSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(read_only=True)
    credits = CreditsField()


class AllSettingsSerializer(SettingsSerializer):
    billingPlans = serializers.DictField(child=NamedPlanSerializer(), read_only=True)


class CostsSerializer(StrictSerializer):
    """A field for each feature."""

    def get_fields(self) -> dict[str, Any]:
        return {feature.value: CreditsInputField(required=False) for feature in Feature}


class PlanTermsSerializer(StrictSerializer):
    name = PlainTextField(min_length=1, max_length=200)
    credits = CreditsInputField()


class PlansById(serializers.DictField):
    child = PlanTermsSerializer()

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, dict):
            if len(data) > MOST_PLANS:
                raise serializers.ValidationError(f"At most {MOST_PLANS} plans at once.", "max_length")
            for name in data:
                if not CLERK_ID.fullmatch(name):
                    raise serializers.ValidationError({name[:50]: ["Write an id of Clerk's, such as cplan_…"]}, "shape")
        return super().run_validation(data)


class ChangedSettingsSerializer(StrictSerializer):
    featureCosts = CostsSerializer(required=False, help_text="Credits for a unit of each. Others stay as they are.")
    billingPlans = PlansById(required=False, help_text="By their ids at Clerk. Others stay as they are.")


class AllSettingsView(AdministrationView):
    @extend_schema(
        operation_id="adminGetSettings",
        summary="What features cost and what plans give",
        description="A feature whose price follows the provider's cost is missing from `featureCosts`.",
        tags=["Administration"],
        responses={200: AllSettingsSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("Settings", value=SETTINGS)],
    )
    def get(self, request: Request) -> Response:
        return Response(AllSettingsSerializer(current_settings(timezone.now())).data)

    @extend_schema(
        operation_id="adminUpdateSettings",
        summary="Change what features cost and what plans give",
        description=(
            "What is left out stays as it is. A cost is published as a new price, which counts from the next call on; "
            "calls that run are charged what they were held for. A plan that is not known is added."
        ),
        tags=["Administration"],
        request=ChangedSettingsSerializer,
        responses=AllSettingsSerializer,
        examples=[
            OpenApiExample("A dearer chat", value={"featureCosts": {"ai_text_chat": 2}}, request_only=True),
            OpenApiExample("Afterwards", value=SETTINGS, response_only=True),
        ],
    )
    def put(self, request: Request) -> Response:
        asked = ChangedSettingsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted, now = asked.validated_data, timezone.now()
        try:
            with transaction.atomic():
                set_costs(wanted.get("featureCosts", {}), actor=self.actor(), now=now)
                set_plans(wanted.get("billingPlans", {}), actor=self.actor(), now=now)
        except MeteredCost as refusal:
            message = "Its price follows the provider's cost. Publish another in the admin."
            raise serializers.ValidationError({"featureCosts": {refusal.feature: [message]}}, "metered") from refusal
        return Response(AllSettingsSerializer(current_settings(now)).data)
