"""``/api/admin/clerk/plans`` and ``/api/admin/plans/refresh-pricing``."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from accounts.reads import NOT_MODIFIED
from accounts.schema import FAILURE
from webhooks.clerk_sync.plans import ClerkPlan, clerk_plans, refresh_prices

PLAN = {
    "clerkId": "cplan_2abcDEF",
    "name": "Pro",
    "slug": "pro",
    "description": "",
    "currency": "usd",
    "priceMonthlyCents": 2900,
    "priceYearlyCents": 29000,
    "isDefault": False,
    "isVisible": True,
}


class ClerkPlanSerializer(serializers.Serializer[ClerkPlan]):
    clerkId = serializers.CharField(source="clerk_id", read_only=True)
    name = serializers.CharField(read_only=True)
    slug = serializers.CharField(read_only=True)
    description = serializers.CharField(read_only=True)
    currency = serializers.CharField(read_only=True)
    priceMonthlyCents = serializers.IntegerField(source="price_monthly_cents", read_only=True, allow_null=True)
    priceYearlyCents = serializers.IntegerField(source="price_yearly_cents", read_only=True, allow_null=True)
    isDefault = serializers.BooleanField(source="is_default", read_only=True)
    isVisible = serializers.BooleanField(source="is_visible", read_only=True)


class ClerkPlansSerializer(serializers.Serializer[Any]):
    plans = ClerkPlanSerializer(many=True, read_only=True)


class RefreshedSerializer(serializers.Serializer[Any]):
    processed = serializers.IntegerField(read_only=True)
    updated = serializers.IntegerField(read_only=True, help_text="Whose name at Clerk or price has changed.")
    skipped = serializers.IntegerField(read_only=True, help_text="Without a usable id or price.")
    missingInDb = serializers.IntegerField(source="created", read_only=True, help_text="They were not known here…")
    created = serializers.IntegerField(read_only=True, help_text="…and are now.")


class ClerkPlansView(AdministrationView):
    @extend_schema(
        operation_id="adminListClerkPlans",
        summary="The plans that Clerk has",
        description="As its Backend API tells them now; nothing is kept.",
        tags=["Administration"],
        responses={200: ClerkPlansSerializer, 304: NOT_MODIFIED, 501: FAILURE, 502: FAILURE},
        examples=[OpenApiExample("One plan", value={"plans": [PLAN]})],
    )
    def get(self, request: Request) -> Response:
        plans, _ = clerk_plans()
        return Response(ClerkPlansSerializer({"plans": plans}).data)


class RefreshPricingView(AdministrationView):
    @extend_schema(
        operation_id="adminRefreshPlanPricing",
        summary="Read the prices of plans from Clerk",
        description=(
            "By their ids there. A plan that is not known yet is added with 0 credits and not offered: say what it "
            "gives, and make it active. What plans give is never changed by this."
        ),
        tags=["Administration"],
        request=None,
        responses={200: RefreshedSerializer, 501: FAILURE, 502: FAILURE},
        examples=[
            OpenApiExample(
                "One is new",
                value={"processed": 3, "updated": 1, "skipped": 0, "missingInDb": 1, "created": 1},
                response_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        plans, skipped = clerk_plans()
        refreshed = refresh_prices(plans, skipped=skipped, actor=self.actor(), now=timezone.now())
        return Response(RefreshedSerializer(refreshed).data)
