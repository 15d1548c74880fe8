"""``/api/admin/verify`` and ``/api/admin/customers/…``: who runs this installation, and who may spend here."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration import people
from accounts.administration.base import AdministrationView
from accounts.administration.serializers import CustomerStateSerializer, SuspensionSerializer, VerifiedSerializer
from accounts.errors import CustomerNotFound
from accounts.models import Customer
from accounts.permissions import IsPerson, is_administrator, principal_of
from accounts.reads import NOT_MODIFIED, ReadView
from accounts.teams import customers

SUSPENDED = OpenApiExample(
    "A suspended customer",
    value={
        "id": 9,
        "kind": "PERSONAL",
        "name": "Ada Lovelace",
        "suspendedAt": "2026-11-20T12:00:00Z",
        "suspendedBy": "user:1",
        "suspendedReason": "chargeback under review",
    },
    response_only=True,
)


class VerifyView(ReadView):
    """For everybody who signs in: a front end asks it whether to show the console."""

    permission_classes = (IsPerson,)

    @extend_schema(
        operation_id="adminVerify",
        summary="Whether you are an administrator",
        tags=["Administration"],
        responses={200: VerifiedSerializer, 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "One is",
                value={"isAdmin": True, "email": "ada@example.com", "userId": "user_2abcDEF3456789"},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        user = principal.user
        assert user is not None, "no permission lets anybody else in"
        body = {
            "isAdmin": not principal.impersonator and is_administrator(user),
            "email": user.email,
            "userId": user.external_id or str(user.pk),
        }
        return Response(VerifiedSerializer(body).data)


class CustomerStateView(AdministrationView):
    def named(self) -> Customer:
        """:raises CustomerNotFound: if the path names no customer"""
        customer = Customer.objects.select_related("user").filter(pk=self.kwargs["id"]).first()
        if customer is None:
            raise CustomerNotFound("There is no such customer.")
        return customer

    def shown(self) -> Response:
        return Response(CustomerStateSerializer(self.named()).data)


class SuspendView(CustomerStateView):
    @extend_schema(
        operation_id="adminSuspendCustomer",
        summary="Suspend a customer",
        description="A person's own or a team. Whatever is asked for it is refused from now on; balances stay.",
        tags=["Administration"],
        request=SuspensionSerializer,
        responses=CustomerStateSerializer,
        examples=[SUSPENDED],
    )
    def post(self, request: Request, id: int) -> Response:
        asked = SuspensionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        people.suspend(self.named(), by=self.administrator(), now=timezone.now(), **asked.validated_data)
        return self.shown()


class ReactivateView(CustomerStateView):
    @extend_schema(
        operation_id="adminReactivateCustomer",
        summary="Let a suspended customer spend again",
        tags=["Administration"],
        request=None,
        responses=CustomerStateSerializer,
    )
    def post(self, request: Request, id: int) -> Response:
        customers.reactivate(self.named(), actor=self.actor(), now=timezone.now())
        return self.shown()
