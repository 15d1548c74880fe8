"""``/api/public/plans`` and ``/api/admin/plans``."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from billing.models import Plan
from billing.plans import services
from billing.plans.serializers import (
    ChangedPlanSerializer,
    ListedPlansSerializer,
    NewPlanSerializer,
    OnePlanSerializer,
    PlansSerializer,
)
from credits.reads import NOT_MODIFIED, ReadView

PLAN = {
    "id": 2,
    "clerkId": "cplan_2abcDEF",
    "slug": "pro",
    "name": "Pro",
    "credits": 500,
    "currency": "usd",
    "priceMonthlyCents": 2900,
    "priceYearlyCents": 29000,
    "description": "For teams that ship.",
    "features": [{"name": "Chat", "description": "", "included": True}],
    "badge": "Popular",
    "highlight": True,
    "ctaType": "checkout",
    "ctaLabel": "Subscribe",
    "ctaUrl": "/checkout/pro",
    "billingSource": "clerk",
}
LISTED = {
    **PLAN,
    "clerkName": "pro",
    "active": True,
    "sortOrder": 2,
    "createdAt": "2026-11-01T12:00:00.000Z",
    "updatedAt": "2026-11-20T12:00:00.000Z",
}
ONE = OpenApiExample("A plan", value={"plan": LISTED}, response_only=True)


class OkSerializer(serializers.Serializer[dict[str, bool]]):
    ok = serializers.BooleanField(read_only=True)


class PublicPlansView(ReadView):
    cache_control = "public, no-cache"
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="listPlans",
        summary="What can be subscribed to",
        description="The plans that are offered, for anyone, in the operator's order.",
        tags=["Billing"],
        auth=[],
        responses={200: PlansSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("One plan", value={"plans": [PLAN]})],
    )
    def get(self, request: Request) -> Response:
        offered = Plan.objects.filter(is_active=True)
        return Response(PlansSerializer({"plans": offered}).data)


class PlanListView(AdministrationView):
    @extend_schema(
        operation_id="adminListPlans",
        summary="All plans, also those that are not offered",
        tags=["Administration"],
        responses={200: ListedPlansSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("One plan", value={"plans": [LISTED]})],
    )
    def get(self, request: Request) -> Response:
        return Response(ListedPlansSerializer({"plans": Plan.objects.all()}).data)

    @extend_schema(
        operation_id="adminCreatePlan",
        summary="Add a plan",
        description="One of Clerk's, or one that is sold by hand, which visitors ask you for (`contact`).",
        tags=["Administration"],
        request=NewPlanSerializer,
        responses={201: OnePlanSerializer},
        examples=[ONE],
    )
    def post(self, request: Request) -> Response:
        asked = NewPlanSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        plan = services.create_plan(asked.validated_data, actor=self.actor(), now=timezone.now())
        return Response(OnePlanSerializer({"plan": plan}).data, status=status.HTTP_201_CREATED)


class PlanView(AdministrationView):
    @extend_schema(
        operation_id="adminUpdatePlan",
        summary="Change a plan",
        description=(
            "The path names it by its id here or at Clerk. What is left out stays as it is; `newClerkId` gives it "
            "another id at Clerk. What it gives counts for periods that begin from then on."
        ),
        tags=["Administration"],
        request=ChangedPlanSerializer,
        responses=OnePlanSerializer,
        examples=[ONE],
    )
    def put(self, request: Request, id: str) -> Response:
        named = request.data.get("planId") if isinstance(request.data, dict) else None
        plan = services.plan_known_as(str(named) if isinstance(named, str | int) else id)
        asked = ChangedPlanSerializer(data=request.data, context={"plan": plan})
        asked.is_valid(raise_exception=True)
        changes = {name: value for name, value in asked.validated_data.items() if name != "planId"}
        changed = services.update_plan(plan.pk, changes, actor=self.actor(), now=timezone.now())
        return Response(OnePlanSerializer({"plan": changed}).data)

    @extend_schema(
        operation_id="adminDeletePlan",
        summary="Remove a plan",
        description="What it gave stays. To stop offering it, make it inactive instead.",
        tags=["Administration"],
        responses={200: OkSerializer},
    )
    def delete(self, request: Request, id: str) -> Response:
        services.delete_plan(services.plan_known_as(id).pk, actor=self.actor(), now=timezone.now())
        return Response(OkSerializer({"ok": True}).data)
