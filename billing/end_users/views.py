"""``/api/end-users``: what a customer lets each of its own users spend."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import PermissionDenied
from accounts.models import ApiKey, Customer
from accounts.pagination import PageNumberPagination
from accounts.permissions import principal_of
from accounts.reads import NOT_MODIFIED, Filter, ReadView
from billing.allowances.reading import used_as_json
from billing.end_users import services
from billing.end_users.serializers import (
    ChangedBudgetSerializer,
    EachBudgetSerializer,
    EndUserBudgetSerializer,
    EndUserSerializer,
    shown_budget,
)
from billing.keys.authority import is_limited, refuse_other_mode
from billing.models import EndUser

BUDGET = {"amount": "2", "period": "DAY", "currency": "credits"}
ONE = OpenApiExample(
    "Half of it is spent",
    value={
        "endUser": "ada",
        "budget": BUDGET,
        "isOwn": True,
        "used": {
            "concurrentCalls": 0, "spent": "1", "held": "0", "left": "1", "resetsAt": "2026-11-20T23:00:00Z",
        },
    },
    response_only=True,
)  # fmt: skip
WANTED = OpenApiExample("Two credits a day", value={"budget": {"amount": "2", "period": "DAY"}}, request_only=True)


class EndUserPages(PageNumberPagination):
    items_name = "endUsers"


class EndUsersView(ReadView):
    """Of the caller's customer. A key that is limited itself, or is for tests, lifts nobody's limits."""

    def changed_by(self) -> Customer:
        """:raises PermissionDenied: if the credential may not change budgets"""
        principal = principal_of(self.request)
        refuse_other_mode(principal, ApiKey.Mode.LIVE)
        if principal.api_key is not None and is_limited(principal.api_key):
            raise PermissionDenied("A key that is limited itself cannot set budgets. Do it in person.")
        return principal.customer

    def asked(self) -> dict[str, Any]:
        asked = ChangedBudgetSerializer(data=self.request.data)
        asked.is_valid(raise_exception=True)
        return {**asked.validated_data, "actor": principal_of(self.request).actor, "now": timezone.now()}


class EndUserListView(EndUsersView, GenericAPIView[EndUser]):
    serializer_class = EndUserSerializer
    pagination_class = EndUserPages
    queryset = EndUser.objects.none()

    def get_queryset(self) -> QuerySet[EndUser]:
        return EndUser.objects.filter(customer=self.customer()).order_by("name")

    @extend_schema(
        operation_id="listEndUsers",
        summary="End users with a budget of their own",
        description="By name. Others need not be told of; a call names them in `user` or `X-End-User`.",
        tags=["End users"],
        responses={200: EndUserSerializer(many=True), 304: NOT_MODIFIED},
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class EachEndUserView(EndUsersView):
    @extend_schema(
        operation_id="getEndUserBudget",
        summary="The budget of each end user that has none of their own",
        tags=["End users"],
        responses={200: EachBudgetSerializer, 304: NOT_MODIFIED},
    )
    def get(self, request: Request) -> Response:
        return self._shown(self.customer())

    @extend_schema(
        operation_id="setEndUserBudget",
        summary="Set the budget of each end user",
        tags=["End users"],
        request=ChangedBudgetSerializer,
        responses=EachBudgetSerializer,
        examples=[WANTED],
    )
    def put(self, request: Request) -> Response:
        return self._shown(services.limit_each(self.changed_by(), **self.asked()))

    def _shown(self, customer: Customer) -> Response:
        each = shown_budget(customer.end_user_budget, customer.end_user_budget_period)
        return Response(EachBudgetSerializer({"each": each}).data)


class NameFilter(Filter):
    endUser = serializers.CharField(
        max_length=200, trim_whitespace=False, help_text="Exactly as calls name them, in `user` or `X-End-User`."
    )


class EndUserView(EndUsersView):
    filter_class = NameFilter

    @extend_schema(
        operation_id="getEndUser",
        summary="What an end user may spend, and has spent",
        tags=["End users"],
        parameters=[NameFilter],
        responses={200: EndUserBudgetSerializer, 304: NOT_MODIFIED},
        examples=[ONE],
    )
    def get(self, request: Request) -> Response:
        return self._shown(self.customer(), self.filters()["endUser"])

    @extend_schema(
        operation_id="limitEndUser",
        summary="Give an end user a budget of their own",
        tags=["End users"],
        parameters=[NameFilter],
        request=ChangedBudgetSerializer,
        responses=EndUserBudgetSerializer,
        examples=[WANTED, ONE],
    )
    def put(self, request: Request) -> Response:
        customer, end_user = self.changed_by(), self.filters()["endUser"]
        services.limit_one(customer, end_user, **self.asked())
        return self._shown(customer, end_user)

    @extend_schema(
        operation_id="unlimitEndUser",
        summary="Let an end user have the budget of each",
        tags=["End users"],
        parameters=[NameFilter],
        responses={204: None},
    )
    def delete(self, request: Request) -> Response:
        customer, actor = self.changed_by(), principal_of(request).actor
        services.limit_as_others(customer, self.filters()["endUser"], actor=actor, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _shown(self, customer: Customer, end_user: str) -> Response:
        allowance, now = services.allowance_of(customer, end_user), timezone.now()
        body = {
            "endUser": end_user,
            "budget": shown_budget(allowance.budget, allowance.period),
            "isOwn": EndUser.objects.filter(customer=customer, name=end_user).exists(),
            "used": used_as_json(allowance, now=now),
        }
        return Response(EndUserBudgetSerializer(body).data)
