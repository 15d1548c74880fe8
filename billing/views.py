"""Prices and the USDC balance, as their customer reads them."""

import logging
from datetime import datetime

from django.db import DatabaseError
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Customer
from billing.catalogue import Feature
from billing.plans.services import credits_by_plan
from billing.pricing import FIXED
from billing.serializers import (
    SettingsSerializer,
    UsdcBalanceSerializer,
    public_id,
)
from billing.services import prices_in_force
from credits.balances import balance_at
from credits.models import Currency
from credits.reads import NOT_MODIFIED, ReadView, last_modified
from credits.services import account_of

logger = logging.getLogger(__name__)


class SettingsView(ReadView):
    cache_control = "public, no-cache"
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="getCreditSettings",
        summary="What features cost",
        description="The prices in force, for anyone. A feature without a fixed price is missing, and is not sold.",
        tags=["Credits"],
        auth=[],
        responses={200: SettingsSerializer, 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "Prices",
                value={
                    "featureCosts": {"ai_text_chat": 1, "ai_image_generation": 5},
                    "planCredits": {"cplan_2abcDEF": 500},
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        prices = prices_in_force(timezone.now())
        costs = {
            feature.value: terms.amount
            for feature in Feature
            if (terms := prices.of(feature, Currency.CREDITS)) is not None and terms.type == FIXED
        }
        return Response(SettingsSerializer({"featureCosts": costs, "planCredits": credits_by_plan()}).data)


class UsdcBalanceView(ReadView):
    @extend_schema(
        operation_id="getUsdcBalance",
        summary="Your prepaid USDC balance",
        description="The balance as decimal text with 2 to 7 places. The first request opens the account, with 0.00.",
        tags=["Billing"],
        responses={200: UsdcBalanceSerializer, 304: NOT_MODIFIED},
        examples=[
            OpenApiExample(
                "A balance",
                value={
                    "user_id": "user_123",
                    "balance_usdc": "100.50",
                    "created_at": "2024-01-15T10:30:00.000Z",
                    "updated_at": "2024-01-20T14:22:00.000Z",
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        now, customer = timezone.now(), self.customer()
        balance = balance_at(customer=customer, currency=Currency.USDC, now=now)
        if balance is None:
            opened_at = open_usdc_account(customer) or now
            body = {"user_id": public_id(customer), "balance": 0, "created_at": opened_at, "updated_at": opened_at}
            return Response(UsdcBalanceSerializer(body).data)
        body = {
            "user_id": public_id(customer),
            "balance": balance.balance,
            "created_at": balance.created_at,
            "updated_at": balance.updated_at,
        }
        return Response(UsdcBalanceSerializer(body).data, headers=last_modified(balance.changed_at, now=now))


def open_usdc_account(customer: Customer) -> datetime | None:
    """
    Open the customer's USDC account and return since when it is open.

    A database that only reads opens none, and the answer is the same: nothing is there. It returns None then.
    """
    try:
        return account_of(customer, Currency.USDC).created_at
    except DatabaseError:
        logger.warning("usdc_account_not_opened", exc_info=True)
        return None
