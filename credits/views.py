"""Balances and grants, as their customer reads them."""

from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import http_date
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page
from django.views.decorators.vary import vary_on_headers
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from credits.balances import balance_at
from credits.filters import GrantsQuery
from credits.models import Currency, Grant
from credits.serializers import NO_BALANCE, BalanceSerializer, GrantListSerializer

#: How long after a change ``Last-Modified`` stays unsaid: another change of the same second may still be committed.
SETTLING = timedelta(minutes=1)


@method_decorator(
    [conditional_page, cache_control(private=True, no_cache=True), vary_on_headers("Authorization", "Cookie")],
    name="dispatch",
)
class ReadView(APIView):
    """
    A read of the caller's own data: revalidated every time, answered 304 while it is the same.

    The tag is a digest of the body, so it cannot miss a change, whatever made it.
    """

    def customer(self) -> Customer:
        """Whose data this is: the first filter of every query."""
        raise NotImplementedError


def last_modified(changed_at: datetime | None, *, now: datetime) -> dict[str, str]:
    """The ``Last-Modified`` header for a change that is safely past; it counts in whole seconds."""
    if changed_at is None or now - changed_at < SETTLING:
        return {}
    return {"Last-Modified": http_date(changed_at.timestamp())}


class BalanceView(ReadView):
    @extend_schema(
        operation_id="getCreditBalance",
        summary="What you can spend",
        description=(
            "Your credits now. Grants that fell due count as gone and grants that took effect count as there at that "
            "very instant. A customer who was never given anything has 0, and reading writes nothing."
        ),
        tags=["Credits"],
        responses=BalanceSerializer,
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
        Query.read(request)
        balance = balance_at(customer=customer_of(request), currency=Currency.CREDITS, now=now)
        if balance is None:
            return Response(BalanceSerializer(NO_BALANCE).data)
        return Response(BalanceSerializer(balance).data, headers=last_modified(balance.changed_at, now=now))


class GrantListView(ReadView):
    @extend_schema(
        operation_id="listCreditGrants",
        summary="What you were given, and what is left of it",
        description="Grants of one balance, newest first. Among those that may be spent, lower priority numbers go first, "
        "then earlier expiry, then the older grant.",
        tags=["Credits"],
        parameters=[GrantsQuery],
        responses=GrantListSerializer,
        examples=[
            OpenApiExample(
                "A plan's month",
                value={
                    "grants": [
                        {
                            "id": "17",
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
                        }
                    ],
                    "pagination": {"page": 1, "pageSize": 50, "total": 1, "pages": 1},
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        query = GrantsQuery.read(request)
        grants = grants_at(timezone.now()).filter(account__customer=customer_of(request), account__currency=query["currency"])
        if "category" in query:
            grants = grants.filter(category=query["category"])
        page, size, total = query["page"], query["pageSize"], grants.count()
        body = {
            "grants": grants.select_related("account").order_by("-pk")[(page - 1) * size : page * size],
            "pagination": {"page": page, "pageSize": size, "total": total, "pages": ceil(total / size)},
        }
        return Response(GrantListSerializer(body).data)


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
