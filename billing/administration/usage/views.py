"""``/api/admin/usage`` and ``/api/admin/dashboard``."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import zones
from accounts.administration.base import AdministrationView
from billing.administration.usage.pagination import AllUsagePagination
from billing.administration.usage.reading import AllUsageFilter, dashboard, usage_found
from billing.administration.usage.serializers import CallSerializer, DashboardSerializer
from billing.models import UsageRecord
from billing.usage.views import SUMS, USAGE
from credits.reads import NOT_MODIFIED

DETAILS: dict[str, Any] = USAGE["details"]  # type: ignore[assignment]  # it is one of several kinds of value
CALL = {
    **USAGE,
    "userId": 7,
    "creditBalanceId": 4,
    "user": {"name": "Ada Lovelace", "email": "ada@example.com"},
    "customer": {"id": 9, "kind": "PERSONAL", "name": "Ada Lovelace"},
    "details": {**DETAILS, "provider": "openrouter", "providerCost": "0.00002", "held": "1", "shortfall": "0"},
}
OF_CURRENCY = {**SUMS, "currency": "credits", "providerCost": "0.0006"}
FIGURES = {
    "totalUsers": 120,
    "activeUsers": 34,
    "from": "2026-10-22",
    "usage": [OF_CURRENCY],
    "days": [{**OF_CURRENCY, "day": "2026-11-20"}],
    "balances": [{"currency": "credits", "balance": "5400", "held": "1", "owed": "0", "accounts": 57}],
}


class AllUsageView(AdministrationView, ListAPIView[UsageRecord]):
    serializer_class = CallSerializer
    pagination_class = AllUsagePagination
    filter_class = AllUsageFilter

    @extend_schema(
        operation_id="adminListUsage",
        summary="What all customers called",
        description="Newest first, also what failed and cost nothing. The newest 10,000 are counted.",
        tags=["Administration"],
        parameters=[AllUsageFilter],
        responses={200: CallSerializer(many=True), 304: NOT_MODIFIED},
        examples=[OpenApiExample("A chat", value=CALL)],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[UsageRecord]:
        return usage_found(self.filters(), now=timezone.now())


class DashboardView(AdministrationView):
    @extend_schema(
        operation_id="adminGetDashboard",
        summary="The figures of the installation",
        description="Users, what the last 30 days brought by currency and day, and what customers have left.",
        tags=["Administration"],
        responses={200: DashboardSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("A month", value=FIGURES)],
    )
    def get(self, request: Request) -> Response:
        return Response(DashboardSerializer(dashboard(today=zones.day_of(timezone.now(), zones.UTC))).data)
