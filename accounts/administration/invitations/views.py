"""``/api/admin/users/invite`` and ``/api/admin/users/invitations``."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from accounts.administration.invitations import services
from accounts.administration.invitations.serializers import (
    EXISTS,
    INVITED,
    RESENT,
    REVOKED,
    InvitedSerializer,
    NewSignUpSerializer,
    ResentSerializer,
    RevokedSerializer,
    SignUpFilter,
    SignUpSerializer,
)
from accounts.models import SignUpInvitation
from accounts.pagination import PageNumberPagination
from accounts.reads import NOT_MODIFIED
from accounts.schema import FAILURE
from accounts.teams.mail import send_sign_up

INVITATION = {
    "id": 3,
    "emailAddress": "charles@example.com",
    "name": "Charles",
    "status": "pending",
    "revoked": False,
    "invitedBy": 1,
    "createdAt": "2026-11-20T12:00:00Z",
    "updatedAt": "2026-11-20T12:00:00Z",
    "expiresAt": "2026-12-20T12:00:00Z",
}


class SignUpPages(PageNumberPagination):
    items_name = "invitations"


class InviteView(AdministrationView):
    @extend_schema(
        operation_id="adminInviteUser",
        summary="Ask somebody to sign up",
        description="By mail, for thirty days. If a user has the address already, nothing is sent: 200 and `exists`.",
        tags=["Administration"],
        request=NewSignUpSerializer,
        responses={201: InvitedSerializer, 200: InvitedSerializer, 501: FAILURE},
        examples=[
            OpenApiExample(
                "Sent",
                value={"status": "invited", "invitation": INVITATION, "mailed": True},
                response_only=True,
                status_codes=["201"],
            ),
            OpenApiExample(
                "There already",
                value={"status": "exists", "userId": 7, "clerkUserId": "user_2abcDEF3456789"},
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        asked = NewSignUpSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        known = services.user_with(asked.validated_data["email"])
        if known is not None:
            return Response({"status": EXISTS, "userId": known.pk, "clerkUserId": known.external_id})
        invitation = services.invite(**asked.validated_data, by=self.administrator(), now=timezone.now())
        mailed = send_sign_up(invitation)
        body = {"status": INVITED, "invitation": SignUpSerializer(invitation).data, "mailed": mailed}
        return Response(body, status=status.HTTP_201_CREATED)


class SignUpListView(AdministrationView, GenericAPIView[SignUpInvitation]):
    serializer_class = SignUpSerializer
    pagination_class = SignUpPages
    filter_class = SignUpFilter
    queryset = SignUpInvitation.objects.none()

    @extend_schema(
        operation_id="adminListInvitations",
        summary="Whom administrators have asked to sign up",
        description="Newest first. One is accepted when a user has its address, however they came.",
        tags=["Administration"],
        parameters=[SignUpFilter],
        responses={200: SignUpSerializer(many=True), 304: NOT_MODIFIED},
        examples=[OpenApiExample("A pending one", value=INVITATION)],
    )
    def get(self, request: Request) -> Response:
        wanted = self.filters()
        found = services.with_acceptance()
        if "status" in wanted:
            found = found.filter(services.in_status(wanted["status"], now=timezone.now()))
        if "search" in wanted:
            text = wanted["search"]
            found = found.filter(email__icontains=text) | found.filter(name__icontains=text)
        page = self.paginate_queryset(found)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ResendSignUpView(AdministrationView):
    @extend_schema(
        operation_id="adminResendInvitation",
        summary="Send an invitation to sign up again",
        description="For thirty days from now. At most once a minute.",
        tags=["Administration"],
        request=None,
        responses={200: ResentSerializer, 501: FAILURE},
        examples=[OpenApiExample("Sent", value={"status": "resent", "mailed": True}, response_only=True)],
    )
    def post(self, request: Request, id: int) -> Response:
        invitation = services.renew(id, by=self.administrator(), now=timezone.now())
        return Response({"status": RESENT, "mailed": send_sign_up(invitation)})


class RevokeSignUpView(AdministrationView):
    @extend_schema(
        operation_id="adminRevokeInvitation",
        summary="Take an invitation to sign up back",
        description="Again changes nothing. It bars nobody from signing up: that is the identity provider's.",
        tags=["Administration"],
        request=None,
        responses=RevokedSerializer,
    )
    def post(self, request: Request, id: int) -> Response:
        services.revoke(id, by=self.administrator(), now=timezone.now())
        return Response({"status": REVOKED})
