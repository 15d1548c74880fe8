"""``/api/admin/users`` and ``/api/admin/credits``."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration import people
from accounts.administration.base import AdministrationView
from accounts.administration.serializers import ChangedStateSerializer, ChangedUserSerializer
from accounts.errors import UserNotFound
from accounts.models import User
from accounts.pagination import PageNumberPagination
from billing.administration.users.reading import AccountFilter, UserFilter, accounts_found, users_found
from billing.administration.users.serializers import (
    ListedAccountSerializer,
    ListedUserSerializer,
    PersonSerializer,
    usage_counts,
)
from credits.administration.adjustments.reading import lines
from credits.administration.adjustments.views import ACCOUNT
from credits.balances import balances_at
from credits.models import Account, Currency
from credits.reads import NOT_MODIFIED

PERSON = {
    "id": 7,
    "clerkId": "user_2abcDEF3456789",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "isActive": True,
    "isStaff": False,
    "customer": {
        "id": 9,
        "kind": "PERSONAL",
        "name": "Ada Lovelace",
        "suspendedAt": None,
        "suspendedBy": "",
        "suspendedReason": "",
    },
    "createdAt": "2026-11-01T12:00:00.000Z",
    "updatedAt": "2026-11-20T12:00:00.000Z",
    "deletedAt": None,
}
USER = {
    **PERSON,
    "creditBalance": {
        "creditsRemaining": 150,
        "lastSyncedAt": "2026-11-20T12:00:00.000Z",
        "balance": "151",
        "held": "1",
        "available": "150",
        "owed": "0",
    },
    "_count": {"usageHistory": 42},
}
STATE = OpenApiExample("Afterwards", value={"success": True, "user": {"id": 7, "isActive": False}}, response_only=True)


class UserPages(PageNumberPagination):
    items_name = "users"


class AccountPages(PageNumberPagination):
    items_name = "creditBalances"


def shown(users: Sequence[User], *, with_calls: bool) -> list[dict[str, Any]]:
    """Users with their balances; in two more queries, however many they are."""
    customers = [user.personal_customer.pk for user in users]
    context = {
        "balances": balances_at(customers, currency=Currency.CREDITS, now=timezone.now()),
        "calls": usage_counts(customers, wanted=with_calls),
    }
    return list(ListedUserSerializer(users, many=True, context=context).data)


class UserListView(AdministrationView, GenericAPIView[User]):
    queryset = User.objects.none()
    pagination_class = UserPages
    filter_class = UserFilter

    @extend_schema(
        operation_id="adminListUsers",
        summary="Everybody who has signed in, or was told about",
        description="Newest first, with the credits of their own customer.",
        tags=["Administration"],
        parameters=[UserFilter],
        responses={200: ListedUserSerializer(many=True), 304: NOT_MODIFIED},
        examples=[OpenApiExample("Ada", value=USER)],
    )
    def get(self, request: Request) -> Response:
        wanted = self.filters()
        page = self.paginate_queryset(users_found(wanted)) or []
        return self.get_paginated_response(shown(page, with_calls=wanted.get("includeUsageCount", False)))


class UserView(AdministrationView):
    @extend_schema(
        operation_id="adminGetUser",
        summary="One user",
        tags=["Administration"],
        responses={200: ListedUserSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("Ada", value=USER)],
    )
    def get(self, request: Request, id: int) -> Response:
        user = User.objects.select_related("personal_customer").filter(pk=id).first()
        if user is None:
            raise UserNotFound
        return Response(shown([user], with_calls=True)[0])

    @extend_schema(
        operation_id="adminUpdateUser",
        summary="Change a user's name or address",
        description=(
            "What the identity provider keeps comes back with its next news. An address counts as verified: whoever "
            "has it may accept the invitations to it."
        ),
        tags=["Administration"],
        request=ChangedUserSerializer,
        responses=PersonSerializer,
        examples=[OpenApiExample("Ada", value=PERSON, response_only=True)],
    )
    def put(self, request: Request, id: int) -> Response:
        asked = ChangedUserSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = people.update_user(id, asked.validated_data, by=self.administrator(), now=timezone.now())
        return Response(PersonSerializer(User.objects.select_related("personal_customer").get(pk=user.pk)).data)

    @extend_schema(
        operation_id="adminDeactivateUser",
        summary="Deactivate a user",
        description="They can do nothing from now on, with any credential. Again changes nothing.",
        tags=["Administration"],
        responses={200: ChangedStateSerializer},
        examples=[STATE],
    )
    def delete(self, request: Request, id: int) -> Response:
        user = people.set_active(id, False, by=self.administrator(), now=timezone.now())
        return Response(ChangedStateSerializer({"success": True, "user": user}).data)


class ActivateView(AdministrationView):
    @extend_schema(
        operation_id="adminActivateUser",
        summary="Let a user in again",
        tags=["Administration"],
        request=None,
        responses={200: ChangedStateSerializer},
    )
    def post(self, request: Request, id: int) -> Response:
        user = people.set_active(id, True, by=self.administrator(), now=timezone.now())
        return Response(ChangedStateSerializer({"success": True, "user": user}).data)


class AccountListView(AdministrationView, GenericAPIView[Account]):
    queryset = Account.objects.none()
    pagination_class = AccountPages
    filter_class = AccountFilter

    @extend_schema(
        operation_id="adminListCredits",
        summary="The balances of all customers",
        description=(
            "In one currency, the smallest first. They are ordered and narrowed by what was last booked; each is shown "
            "as its customer would be told now."
        ),
        tags=["Administration"],
        parameters=[AccountFilter],
        responses={200: ListedAccountSerializer(many=True), 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "Ada's",
                value={
                    **ACCOUNT,
                    "user": {name: PERSON[name] for name in ("id", "clerkId", "name", "email", "isActive")},
                    "_count": {"usageHistory": 42},
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        wanted = self.filters()
        page = self.paginate_queryset(accounts_found(wanted)) or []
        found = lines(page, currency=wanted["currency"], now=timezone.now())
        customers = [account.customer_id for account in page]
        calls = usage_counts(customers, wanted=wanted.get("includeUsageCount", False))
        return self.get_paginated_response(ListedAccountSerializer(found, many=True, context={"calls": calls}).data)
