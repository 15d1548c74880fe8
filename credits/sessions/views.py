"""``/api/credits/holds``: session holds, as their customer places, reads and ends them."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import idempotent, key_of
from accounts.pagination import PageNumberPagination
from accounts.permissions import MayReadOrSpend, principal_of
from accounts.strict import StrictSerializer
from credits.models import Hold, currency_of
from credits.reads import NOT_MODIFIED, ReadView
from credits.sessions.budgets import open_session, release_session, session_of, sessions_of, settle_session
from credits.sessions.serializers import NewSessionSerializer, SessionSerializer, SettlementSerializer

EXAMPLE = OpenApiExample(
    "One call runs, another has ended",
    value={
        "id": "01a1fc15-f09c-7f66-a1d3-88efe8178ebf",
        "status": "PENDING",
        "amount": "5",
        "spent": "1",
        "lent": "1",
        "free": "3",
        "calls": 2,
        "reason": "run 42",
        "createdAt": "2026-11-20T12:00:00.000Z",
        "expiresAt": "2026-11-20T13:00:00.000Z",
        "resolvedAt": None,
    },
    response_only=True,
)


class SessionPages(PageNumberPagination):
    items_name = "holds"


class SessionListView(ReadView, GenericAPIView[Hold]):
    serializer_class = SessionSerializer
    pagination_class = SessionPages
    permission_classes = (MayReadOrSpend,)

    def get_queryset(self) -> QuerySet[Hold]:
        return sessions_of(self.customer(), currency=currency_of(self.mode()))

    @extend_schema(
        operation_id="listHolds",
        summary="Your session holds",
        description="Those that pend first, then the newest.",
        tags=["Credits"],
        responses={200: SessionSerializer(many=True), 304: NOT_MODIFIED},
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="placeHold",
        summary="Set a budget aside for many calls",
        description=(
            "Calls that name it in `X-Hold-Id` are paid from it, whatever else the account is spent on meanwhile. "
            "Release what is left when the work is done; at the latest when its time is over it is given back."
        ),
        tags=["Credits"],
        request=NewSessionSerializer,
        responses={201: SessionSerializer},
        examples=[
            EXAMPLE,
            OpenApiExample(
                "Five credits for ten minutes",
                value={"amount": "5", "expiresIn": 600, "reason": "run 42"},
                request_only=True,
            ),
        ],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = NewSessionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        terms, now = asked.validated_data, timezone.now()
        hold = open_session(
            self.customer(),
            amount=terms["amount"],
            key=key_of(request),
            expires_at=now + timedelta(seconds=terms["expiresIn"]),
            reason=terms["reason"],
            now=now,
            currency=currency_of(self.mode()),
        )
        return Response(self.get_serializer(hold).data, status=status.HTTP_201_CREATED)


class SessionView(ReadView):
    permission_classes = (MayReadOrSpend,)

    @extend_schema(
        operation_id="getHold",
        summary="One session hold, with what its calls came to",
        tags=["Credits"],
        responses={200: SessionSerializer, 304: NOT_MODIFIED},
        examples=[EXAMPLE],
    )
    def get(self, request: Request, id: str) -> Response:
        return Response(SessionSerializer(session_of(self.customer(), id, currency=currency_of(self.mode()))).data)


class SettleView(ReadView):
    permission_classes = (MayReadOrSpend,)

    @extend_schema(
        operation_id="settleHold",
        summary="Spend a part of a session hold, and end it",
        description=(
            "For work of your own that you bill here. The rest is given back; calls that still run keep their parts. "
            "More than is free of it is refused, and it does not end then. One that had ended stays as it was: the "
            "answer shows how."
        ),
        tags=["Credits"],
        request=SettlementSerializer,
        responses=SessionSerializer,
    )
    @idempotent
    def post(self, request: Request, id: str) -> Response:
        asked = SettlementSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        hold = settle_session(
            self.customer(),
            id,
            amount=asked.validated_data["amount"],
            actor=principal_of(request).actor,
            now=timezone.now(),
            currency=currency_of(self.mode()),
        )
        return Response(SessionSerializer(hold).data)


class ReleaseView(ReadView):
    permission_classes = (MayReadOrSpend,)

    @extend_schema(
        operation_id="releaseHold",
        summary="Give back what is left of a session hold, and end it",
        description="Calls that still run keep their parts. One that had ended stays as it was: the answer shows how.",
        tags=["Credits"],
        request=None,
        responses=SessionSerializer,
    )
    @idempotent
    def post(self, request: Request, id: str) -> Response:
        StrictSerializer(data=request.data).is_valid(raise_exception=True)
        hold = release_session(self.customer(), id, now=timezone.now(), currency=currency_of(self.mode()))
        return Response(SessionSerializer(hold).data)
