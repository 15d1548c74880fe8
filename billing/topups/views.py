"""``POST /api/billing/credits/topup``: USDC for a payment."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import NotFound
from accounts.idempotency import idempotent
from accounts.permissions import IsAdministrator, MayManage, principal_of
from accounts.strict import PlainTextField, StrictSerializer, StrictView
from billing.errors import PaymentsNotTaken
from billing.serializers import USDC_PLACES, UsdcBalanceSerializer, public_id
from billing.topups.services import customer_known_as, top_up
from credits.balances import balance_at
from credits.fields import AmountField, PositiveAmountField
from credits.models import Currency


class TopUpSerializer(StrictSerializer):
    amount_usdc = PositiveAmountField(help_text="USDC that were paid, as decimal text.")
    user_id = PlainTextField(
        max_length=255, required=False, help_text="Whose balance: as `GET /api/billing/credits` names them."
    )
    reference = PlainTextField(
        min_length=1, max_length=200, required=False, help_text="The payment. The same one tops up once."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("user_id" in attrs) != ("reference" in attrs):
            missing = "reference" if "user_id" in attrs else "user_id"
            raise serializers.ValidationError({missing: ["`user_id` and `reference` go together."]}, code="required")
        return attrs


class ToppedUpSerializer(UsdcBalanceSerializer):
    amount_usdc = AmountField(source="amount", least_places=USDC_PLACES, help_text="What was added.")
    reference = serializers.CharField(read_only=True)


class TopUpView(StrictView):
    permission_classes = (MayManage,)

    @extend_schema(
        operation_id="topUpUsdc",
        summary="Add USDC that were paid for",
        description=(
            "Administrators name `user_id` and the `reference` of a payment that they have received; it tops up once, "
            "however often it is sent. Everybody else would pay here: until this installation takes payments, that is "
            "503 `payments_not_taken`. Nobody can credit themselves."
        ),
        tags=["Billing"],
        request=TopUpSerializer,
        responses={201: ToppedUpSerializer},
        examples=[
            OpenApiExample(
                "A payment that came in",
                value={"user_id": "user_123", "amount_usdc": "25.00", "reference": "pi_3OqX"},
                request_only=True,
            ),
            OpenApiExample(
                "The balance after it",
                value={
                    "user_id": "user_123",
                    "balance_usdc": "125.50",
                    "created_at": "2024-01-15T10:30:00.000Z",
                    "updated_at": "2024-01-20T14:22:00.000Z",
                    "amount_usdc": "25.00",
                    "reference": "pi_3OqX",
                },
                response_only=True,
            ),
        ],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = TopUpSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        terms, now = asked.validated_data, timezone.now()
        if "user_id" not in terms:
            raise PaymentsNotTaken
        IsAdministrator().has_permission(request, self)
        customer = customer_known_as(terms["user_id"])
        if customer is None:
            raise NotFound("There is no customer of this user_id.")
        try:
            given = top_up(
                customer=customer,
                amount=terms["amount_usdc"],
                reference=terms["reference"],
                actor=principal_of(request).actor,
                now=now,
            )
        except ValueError as error:
            too_much = {"amount_usdc": ["More than an account can hold."]}
            raise serializers.ValidationError(too_much, code="max_value") from error
        balance = balance_at(customer=customer, currency=Currency.USDC, now=now)
        assert balance is not None, "it was topped up"
        body = {
            "user_id": public_id(customer),
            "balance": balance.balance,
            "created_at": balance.created_at,
            "updated_at": balance.updated_at,
            "amount": given.amount,
            "reference": terms["reference"],
        }
        return Response(ToppedUpSerializer(body).data, status=status.HTTP_201_CREATED)
