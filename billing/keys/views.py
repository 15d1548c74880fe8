"""``/api/keys``: a customer's API keys."""

import uuid
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.errors import ApiKeyNotFound
from accounts.idempotency import idempotent
from accounts.models import ApiKey
from accounts.pagination import PageNumberPagination
from accounts.permissions import MayManage, principal_of
from billing.keys.authority import refuse_more_than_own, refuse_other_mode
from billing.keys.examples import CREATED, KEY, LIMITED, ROTATED
from billing.keys.filters import KeyFilter, narrowed
from billing.keys.serializers import (
    ApiKeySerializer,
    ChangedApiKeySerializer,
    CreatedApiKeySerializer,
    NewApiKeySerializer,
    RotatedApiKeySerializer,
    RotationSerializer,
    TestCreditsSerializer,
)
from billing.keys.test_credits import give_first_test_credits, give_test_credits
from billing.usage.filters import KeySummaryFilter
from billing.usage.serializers import SummarySerializer
from billing.usage.views import PAGE, UsageSummaryView
from credits.balances import balance_at
from credits.models import Currency
from credits.reads import NOT_MODIFIED, ReadView
from credits.serializers import BalanceSerializer


class KeyPages(PageNumberPagination):
    items_name = "keys"


class OwnKeys(ReadView, GenericAPIView[ApiKey]):
    """The keys of the caller's customer, and no others."""

    serializer_class = ApiKeySerializer
    queryset = ApiKey.objects.none()
    pagination_class: type[PageNumberPagination] | None = None

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.filter(customer=self.customer())

    def get_object(self) -> ApiKey:
        key = self.get_queryset().filter(pk=self.kwargs["id"]).first()
        if key is None:
            raise ApiKeyNotFound
        return key


class KeyListView(OwnKeys):
    pagination_class = KeyPages
    filter_class = KeyFilter

    @extend_schema(
        operation_id="listKeys",
        summary="Your API keys",
        tags=["Keys"],
        parameters=[KeyFilter],
        responses={200: ApiKeySerializer(many=True), 304: NOT_MODIFIED},
        examples=[KEY],
    )
    def get(self, request: Request) -> Response:
        found = narrowed(self.get_queryset(), self.filters(), now=timezone.now())
        return self.get_paginated_response(self.get_serializer(self.paginate_queryset(found), many=True).data)

    @extend_schema(
        operation_id="createKey",
        summary="Make an API key",
        description="The answer shows the key, this once. A key cannot make one that may do more than itself.",
        tags=["Keys"],
        request=NewApiKeySerializer,
        responses={201: CreatedApiKeySerializer},
        examples=[LIMITED, CREATED],
    )
    def post(self, request: Request) -> Response:
        asked = NewApiKeySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        terms = asked.validated_data
        principal, scopes = principal_of(request), terms.pop("scopes").split()
        refuse_more_than_own(principal, scopes=scopes, mode=terms["mode"], expires_at=terms.get("expires_at"))
        key, text = services.create_key(
            customer=principal.customer,
            created_by=principal.user,
            actor=principal.actor,
            scopes=scopes,
            now=timezone.now(),
            **terms,
        )
        if key.mode == ApiKey.Mode.TEST:
            give_first_test_credits(key.customer, actor=principal.actor, now=key.created_at)
        return Response({"key": text, **ApiKeySerializer(key).data}, status=status.HTTP_201_CREATED)


class TestCreditsView(ReadView):
    """Whoever may make keys may give themselves test credits: they buy nothing."""

    permission_classes = (MayManage,)

    @extend_schema(
        operation_id="addTestCredits",
        summary="Get test credits",
        description="As many as you like, for nothing. Only test keys spend them, and only on simulated models.",
        tags=["Keys"],
        request=TestCreditsSerializer,
        responses={201: BalanceSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = TestCreditsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        principal, now = principal_of(request), timezone.now()
        give_test_credits(
            principal.customer,
            asked.validated_data["amount"],
            source=uuid.uuid4().hex,
            actor=principal.actor,
            now=now,
        )
        balance = balance_at(customer=principal.customer, currency=Currency.TEST, now=now)
        return Response(BalanceSerializer(balance).data, status=status.HTTP_201_CREATED)


class KeyView(OwnKeys):
    @extend_schema(
        operation_id="getKey",
        summary="One API key",
        tags=["Keys"],
        responses={200: ApiKeySerializer, 304: NOT_MODIFIED},
        examples=[KEY],
    )
    def get(self, request: Request, id: int) -> Response:
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        operation_id="updateKey",
        summary="Change what an API key is for",
        description="It counts from the next call on. What is left out stays as it is.",
        tags=["Keys"],
        request=ChangedApiKeySerializer,
        responses=ApiKeySerializer,
        examples=[KEY],
    )
    def patch(self, request: Request, id: int) -> Response:
        key, principal = self.get_object(), principal_of(request)
        asked = ChangedApiKeySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changes: dict[str, Any] = asked.validated_data
        refuse_more_than_own(
            principal,
            scopes=changes.get("scopes", key.scopes).split(),
            mode=key.mode,
            expires_at=changes.get("expires_at", key.expires_at),
        )
        changed = services.update_key(key, changes, actor=principal.actor, now=timezone.now())
        return Response(self.get_serializer(changed).data)

    @extend_schema(
        operation_id="revokeKey",
        summary="Revoke an API key",
        description="It is refused from then on, everywhere. Revoking it again changes nothing.",
        tags=["Keys"],
        responses={204: None},
    )
    def delete(self, request: Request, id: int) -> Response:
        key, principal = self.get_object(), principal_of(request)
        refuse_other_mode(principal, key.mode)
        services.revoke_key(key, actor=principal.actor, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateView(OwnKeys):
    @extend_schema(
        operation_id="rotateKey",
        summary="Replace an API key by a new one",
        description=(
            "The new key is on the same terms and is shown this once. The old one works for `overlap` seconds more, "
            "so that nothing stops while you change it everywhere. Each key is rotated once; then rotate its successor."
        ),
        tags=["Keys"],
        request=RotationSerializer,
        responses={201: RotatedApiKeySerializer},
        examples=[ROTATED],
    )
    def post(self, request: Request, id: int) -> Response:
        key, principal, now = self.get_object(), principal_of(request), timezone.now()
        asked = RotationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if principal.api_key != key:  # itself a key may always replace: it becomes nothing else
            refuse_more_than_own(principal, scopes=key.scopes.split(), mode=key.mode, expires_at=key.expires_at)
        new, text, old = services.rotate_key(
            key,
            overlap=timedelta(seconds=asked.validated_data["overlap"]),
            created_by=principal.user,
            actor=principal.actor,
            now=now,
        )
        body = {"key": text, **ApiKeySerializer(new).data, "replaces": ApiKeySerializer(old).data}
        return Response(body, status=status.HTTP_201_CREATED)


class KeyUsageView(UsageSummaryView):
    filter_class = KeySummaryFilter

    @extend_schema(
        operation_id="getKeyUsage",
        summary="What an API key used, summed up",
        description="As `/api/credits/usage/summary`, of this key's calls alone.",
        tags=["Keys"],
        parameters=[KeySummaryFilter, *PAGE],
        responses={200: SummarySerializer, 304: NOT_MODIFIED},
    )
    def get(self, request: Request, id: int) -> Response:  # type: ignore[override]  # its path names the key
        return super().get(request)

    def filters(self) -> dict[str, Any]:
        key = ApiKey.objects.filter(customer=self.customer(), pk=self.kwargs["id"]).first()
        if key is None:
            raise ApiKeyNotFound
        return {**super().filters(), "key": key.pk, "mode": key.mode}
