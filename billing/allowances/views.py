"""``/api/keys/{id}/limits``, ``/api/customers/{id}/limits`` and ``/api/admin/customers/{id}/limits``."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from accounts.errors import CustomerNotFound
from accounts.models import Customer
from accounts.roles import Capability
from accounts.teams import customers
from accounts.teams.views.members import PersonView
from billing.allowances.reading import shown
from billing.allowances.serializers import (
    AllowanceSerializer,
    ChangedAllowanceSerializer,
    CustomersAllowanceSerializer,
    FixedAllowanceSerializer,
)
from billing.keys.views import OwnKeys
from credits.reads import NOT_MODIFIED

LIMITED: dict[str, Any] = {
    "budget": {"amount": "25", "period": "DAY", "currency": "credits"},
    "limits": {"requestsPerMinute": 600, "tokensPerMinute": None, "concurrentCalls": 20},
    "used": {
        "concurrentCalls": 2,
        "spent": "3.5",
        "held": "2",
        "left": "19.5",
        "resetsAt": "2026-11-20T23:00:00Z",
    },
}
EXAMPLE = OpenApiExample("Some of it is used", value=LIMITED, response_only=True)
OF_CUSTOMER = OpenApiExample("Some of it is used", value={**LIMITED, "fixed": False}, response_only=True)


def of_customer(customer: Customer) -> Response:
    now = timezone.now()
    return Response(CustomersAllowanceSerializer({**shown(customer, now=now), "fixed": customer.limits_are_fixed}).data)


class KeyLimitsView(OwnKeys):
    @extend_schema(
        operation_id="getKeyLimits",
        summary="The limits of an API key, and what of them is used",
        tags=["Keys"],
        responses={200: AllowanceSerializer, 304: NOT_MODIFIED},
        examples=[EXAMPLE],
    )
    def get(self, request: Request, id: int) -> Response:
        return Response(AllowanceSerializer(shown(self.get_object(), now=timezone.now())).data)


class CustomerLimitsView(PersonView):
    @extend_schema(
        operation_id="getCustomerLimits",
        summary="The limits of all that is called for a customer, and what of them is used",
        tags=["Customers"],
        responses={200: CustomersAllowanceSerializer, 304: NOT_MODIFIED},
        examples=[OF_CUSTOMER],
    )
    def get(self, request: Request, id: int) -> Response:
        return of_customer(self.customer_for(Capability.READ))

    @extend_schema(
        operation_id="updateCustomerLimits",
        summary="Limit what is called for a customer",
        description="By all of its keys and people together. It counts from the next call on.",
        tags=["Customers"],
        request=ChangedAllowanceSerializer,
        responses=CustomersAllowanceSerializer,
        examples=[OF_CUSTOMER],
    )
    def patch(self, request: Request, id: int) -> Response:
        customer = self.customer_for(Capability.CHANGE_CUSTOMER)
        asked = ChangedAllowanceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changed = customers.limit(customer, asked.validated_data, actor=self.actor(), now=timezone.now())
        return of_customer(changed)


class AdminCustomerLimitsView(AdministrationView):
    def named(self) -> Customer:
        """:raises CustomerNotFound: if the path names no customer"""
        customer = Customer.objects.filter(pk=self.kwargs["id"]).first()
        if customer is None:
            raise CustomerNotFound("There is no such customer.")
        return customer

    @extend_schema(
        operation_id="adminGetCustomerLimits",
        summary="The limits of a customer, and what of them is used",
        tags=["Administration"],
        responses={200: CustomersAllowanceSerializer, 304: NOT_MODIFIED},
        examples=[OF_CUSTOMER],
    )
    def get(self, request: Request, id: int) -> Response:
        return of_customer(self.named())

    @extend_schema(
        operation_id="adminUpdateCustomerLimits",
        summary="Limit a customer",
        description="With `fixed` the customer cannot change its limits itself.",
        tags=["Administration"],
        request=FixedAllowanceSerializer,
        responses=CustomersAllowanceSerializer,
        examples=[OF_CUSTOMER],
    )
    def patch(self, request: Request, id: int) -> Response:
        asked = FixedAllowanceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changed = customers.limit(
            self.named(), asked.validated_data, actor=self.actor(), now=timezone.now(), by_administrator=True
        )
        return of_customer(changed)
