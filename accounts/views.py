"""``/api/keys``: a customer's API keys."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.errors import ApiKeyNotFound, PermissionDenied
from accounts.models import ApiKey
from accounts.pagination import PageNumberPagination
from accounts.permissions import principal_of
from accounts.principals import Principal
from accounts.serializers import ApiKeySerializer, CreatedApiKeySerializer, NewApiKeySerializer
from accounts.strict import StrictView


class KeyPages(PageNumberPagination):
    items_name = "keys"


class OwnKeys(StrictView, generics.GenericAPIView[ApiKey]):
    """The keys of the caller's customer, and no others."""

    serializer_class = ApiKeySerializer
    queryset = ApiKey.objects.none()

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.filter(customer=principal_of(self.request).customer)


class KeyListView(OwnKeys):
    pagination_class = KeyPages

    @extend_schema(
        operation_id="listKeys",
        summary="Your API keys, newest first",
        tags=["Keys"],
        responses=ApiKeySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="createKey",
        summary="Make an API key",
        description="The answer shows the key, this once. A key cannot make one that may do more than itself.",
        tags=["Keys"],
        request=NewApiKeySerializer,
        responses={201: CreatedApiKeySerializer},
    )
    def post(self, request: Request) -> Response:
        asked = NewApiKeySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        terms = asked.validated_data
        principal = principal_of(request)
        refuse_more_than_own(principal, terms)
        key, text = services.create_key(
            customer=principal.customer, created_by=principal.user, now=timezone.now(), **terms
        )
        return Response({"key": text, **ApiKeySerializer(key).data}, status=status.HTTP_201_CREATED)


def refuse_more_than_own(principal: Principal, terms: dict[str, Any]) -> None:
    """:raises PermissionDenied: if the new key could do what ``principal`` itself cannot"""
    if beyond := sorted(set(terms["scopes"]) - principal.scopes):
        raise PermissionDenied(f"This credential cannot give away scopes that it lacks: {', '.join(beyond)}.")
    if (
        principal.api_key is not None
        and principal.api_key.mode == ApiKey.Mode.TEST
        and terms["mode"] != ApiKey.Mode.TEST
    ):
        raise PermissionDenied("A test key can make test keys only.")


class KeyView(OwnKeys):
    def get_object(self) -> ApiKey:
        key = self.get_queryset().filter(pk=self.kwargs["id"]).first()
        if key is None:
            raise ApiKeyNotFound
        return key

    @extend_schema(operation_id="getKey", summary="One API key", tags=["Keys"])
    def get(self, request: Request, id: int) -> Response:
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        operation_id="revokeKey",
        summary="Revoke an API key",
        description="It is refused from then on, everywhere. Revoking it again changes nothing.",
        tags=["Keys"],
        responses={204: None},
    )
    def delete(self, request: Request, id: int) -> Response:
        services.revoke_key(self.get_object(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
