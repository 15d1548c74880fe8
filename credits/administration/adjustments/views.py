"""``/api/admin/users/{id}/credits``, ``/api/admin/credits/{id}`` and ``…/grants``: balances, corrected."""

from dataclasses import replace
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from accounts.errors import CustomerNotFound, UserNotFound
from accounts.idempotency import idempotent, key_of
from accounts.models import Customer
from accounts.permissions import principal_of
from credits.administration.adjustments.reading import Line, lines
from credits.administration.adjustments.serializers import (
    AccountSerializer,
    AdjustedSerializer,
    AdjustmentSerializer,
    ChangedCreditsSerializer,
    NewGrantSerializer,
)
from credits.administration.adjustments.services import adjust, give, reference_of
from credits.errors import AccountNotFound
from credits.models import Account, Currency
from credits.reads import NOT_MODIFIED
from credits.serializers import GrantSerializer
from credits.services import account_of
from credits.views import grants_at

TOO_MUCH = "More than an account can hold."
ACCOUNT = {
    "id": 4,
    "userId": 7,
    "clerkUserId": "user_2abcDEF3456789",
    "customer": {"id": 9, "kind": "PERSONAL", "name": "Ada Lovelace"},
    "currency": "credits",
    "creditsRemaining": 150,
    "balance": "151",
    "held": "1",
    "available": "150",
    "owed": "0",
    "lastSyncedAt": "2026-11-20T12:00:00.000Z",
    "createdAt": "2026-11-01T12:00:00.000Z",
    "updatedAt": "2026-11-20T12:00:00.000Z",
}
ADJUSTED = OpenApiExample("After it", value={**ACCOUNT, "adjusted": "50"}, response_only=True)


class MoneyView(AdministrationView):
    """What concerns the balance of the customer, user or account that the path names."""

    def reference(self) -> str:
        return reference_of(principal_of(self.request).customer, key_of(self.request))

    def own_customer(self) -> Customer:
        """:raises UserNotFound: if the path names no user"""
        customer = Customer.objects.select_related("user").filter(user=self.kwargs["id"]).first()
        if customer is None:
            raise UserNotFound
        return customer

    def line(self, account: Account) -> Line:
        fresh = Account.objects.select_related("customer__user").filter(pk=account.pk)
        return lines(fresh, currency=account.currency, now=timezone.now())[0]

    def adjusted(self, account: Account, terms: dict[str, Any]) -> Response:
        field = "adjustment" if "adjustment" in terms else "credits"
        wanted = {"change" if field == "adjustment" else "available": terms[field]}
        try:
            change = adjust(
                account,
                reference=self.reference(),
                reason=terms["reason"],
                actor=self.actor(),
                now=timezone.now(),
                **wanted,
            )
        except ValueError as error:
            raise serializers.ValidationError({field: [TOO_MUCH]}, "max_value") from error
        return Response(AdjustedSerializer(replace(self.line(account), adjusted=change)).data)


class UserCreditsView(MoneyView):
    @extend_schema(
        operation_id="adminGetUserCredits",
        summary="A user's credits",
        description="Of their own customer. Who was never given anything has no account: 404 `account_not_found`.",
        tags=["Administration"],
        responses={200: AccountSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("One call runs", value=ACCOUNT)],
    )
    def get(self, request: Request, id: int) -> Response:
        account = Account.objects.filter(customer=self.own_customer(), currency=Currency.CREDITS).first()
        if account is None:
            raise AccountNotFound("This user was never given anything, and has no account yet.")
        return Response(AccountSerializer(self.line(account)).data)

    @extend_schema(
        operation_id="adminSetUserCredits",
        summary="Correct a user's credits",
        description=(
            "To what they shall have (`credits`), or by how much (`adjustment`). Either is a movement of the ledger "
            "with its `reason`. No more is taken than can be spent: `adjusted` says what was."
        ),
        tags=["Administration"],
        request=ChangedCreditsSerializer,
        responses=AdjustedSerializer,
        examples=[
            OpenApiExample("A gift", value={"adjustment": 50, "reason": "sorry for the outage"}, request_only=True),
            ADJUSTED,
        ],
    )
    @idempotent
    def put(self, request: Request, id: int) -> Response:
        account = account_of(self.own_customer())
        asked = ChangedCreditsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.adjusted(account, asked.validated_data)


class AccountView(MoneyView):
    @extend_schema(
        operation_id="adminAdjustAccount",
        summary="Correct a balance",
        description="The account of a person or a team, in its own currency. As of a user's credits otherwise.",
        tags=["Administration"],
        request=AdjustmentSerializer,
        responses=AdjustedSerializer,
        examples=[ADJUSTED],
    )
    @idempotent
    def put(self, request: Request, id: int) -> Response:
        account = Account.objects.filter(pk=id).first()
        if account is None:
            raise AccountNotFound
        asked = AdjustmentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.adjusted(account, asked.validated_data)


class UserGrantsView(MoneyView):
    @extend_schema(
        operation_id="adminGrantToUser",
        summary="Give a user a grant",
        description=(
            "To their own customer, with an expiry if you like. It is a promotion, or an adjustment: what was paid "
            "for is topped up or bought."
        ),
        tags=["Administration"],
        request=NewGrantSerializer,
        responses={201: GrantSerializer},
        examples=[
            OpenApiExample(
                "Until the end of the year",
                value={"amount": "100", "reason": "welcome", "expiresAt": "2027-01-01T00:00:00Z"},
                request_only=True,
            ),
        ],
    )
    @idempotent
    def post(self, request: Request, id: int) -> Response:
        return self.given_to(self.own_customer())

    def given_to(self, customer: Customer) -> Response:
        asked = NewGrantSerializer(data=self.request.data)
        asked.is_valid(raise_exception=True)
        terms, now = dict(asked.validated_data), timezone.now()
        account = account_of(customer, terms.pop("currency"))
        try:
            given = give(account, reference=self.reference(), actor=self.actor(), now=now, **terms)
        except ValueError as error:
            raise serializers.ValidationError({"amount": [TOO_MUCH]}, "max_value") from error
        shown = grants_at(now).select_related("account").get(pk=given.pk)
        return Response(GrantSerializer(shown).data, status=status.HTTP_201_CREATED)


class CustomerGrantsView(UserGrantsView):
    @extend_schema(
        operation_id="adminGrantToCustomer",
        summary="Give a customer a grant",
        description="To a team, or to a person's own customer; as to a user otherwise.",
        tags=["Administration"],
        request=NewGrantSerializer,
        responses={201: GrantSerializer},
    )
    @idempotent
    def post(self, request: Request, id: int) -> Response:
        customer = Customer.objects.filter(pk=id).first()
        if customer is None:
            raise CustomerNotFound("There is no such customer.")
        return self.given_to(customer)
