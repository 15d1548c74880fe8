"""Balances and grants, as their customer reads them."""

from datetime import datetime
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.pagination import PageNumberPagination
from credits.balances import balance_at
from credits.filters import GrantFilter
from credits.models import Grant, currency_of
from credits.reads import NOT_MODIFIED, ReadView, last_modified
from credits.serializers import NO_BALANCE, BalanceSerializer, GrantSerializer


class BalanceView(ReadView):
    @extend_schema(
        operation_id="getCreditBalance",
        summary="What you can spend",
        description=(
            "Your credits now. Grants that fell due count as gone and grants that took effect count as there at that "
            "very instant. A customer who was never given anything has 0, and reading writes nothing."
        ),
        tags=["Credits"],
        responses={200: BalanceSerializer, 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "One call runs",
                value={
                    "creditsRemaining": 96,
                    "lastSyncedAt": "2026-11-20T12:00:00.000Z",
                    "balance": "97",
                    "held": "1",
                    "available": "96",
                    "owed": "0",
                },
            ),
            OpenApiExample(
                "Nothing yet",
                value={
                    "creditsRemaining": 0,
                    "lastSyncedAt": None,
                    "balance": "0",
                    "held": "0",
                    "available": "0",
                    "owed": "0",
                },
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        balance = balance_at(customer=self.customer(), currency=currency_of(self.mode()), now=now)
        if balance is None:
            return Response(BalanceSerializer(NO_BALANCE).data)
        return Response(BalanceSerializer(balance).data, headers=last_modified(balance.changed_at, now=now))


class GrantPagination(PageNumberPagination):
    items_name = "grants"


class GrantListView(ReadView, ListAPIView[Grant]):
    serializer_class = GrantSerializer
    pagination_class = GrantPagination
    filter_class = GrantFilter

    @extend_schema(
        operation_id="listCreditGrants",
        summary="What you were given, and what is left of it",
        description=(
            "Grants of one balance, newest first. What is spent comes from the lowest priority number, then the "
            "earliest expiry, then the oldest grant."
        ),
        tags=["Credits"],
        parameters=[GrantFilter],
        responses={200: GrantSerializer(many=True), 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "A plan's month",
                value={
                    "id": 17,
                    "category": "PLAN",
                    "currency": "credits",
                    "amount": "500",
                    "remaining": "97",
                    "held": "1",
                    "source": "plan:pro:2026-11",
                    "memo": "",
                    "priority": 50,
                    "effectiveAt": "2026-11-01T00:00:00.000Z",
                    "expiresAt": "2026-12-01T00:00:00.000Z",
                    "createdAt": "2026-11-01T00:00:00.000Z",
                },
            )
        ],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Grant]:
        wanted = self.filters()
        grants = grants_at(timezone.now()).filter(
            account__customer=self.customer(), account__currency=wanted["currency"]
        )
        if "category" in wanted:
            grants = grants.filter(category=wanted["category"])
        return grants.select_related("account").order_by("-pk")


def grants_at(now: datetime) -> QuerySet[Grant]:
    """
    Grants with what is ``left`` of each at ``now``, booked or not.

    One that fell due keeps what holds have claimed; one that took effect is there whole.
    """
    fell_due = Q(expires_at__lte=now)
    took_effect = Q(booked_at=None, effective_at__lte=now)
    return Grant.objects.annotate(
        left=Case(When(fell_due, then=F("held")), When(took_effect, then=F("amount")), default=F("remaining"))
    )
