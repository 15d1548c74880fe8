"""``/api/customers/{id}/invitations`` and ``/api/invitations``: how people come to a team."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Invitation
from accounts.pagination import PageNumberPagination
from accounts.reads import NOT_MODIFIED
from accounts.roles import Capability
from accounts.teams import invitations, mail
from accounts.teams.examples import CUSTOMER, INVITATION, INVITED
from accounts.teams.serializers import (
    InvitationSerializer,
    MembershipSerializer,
    NewInvitationSerializer,
    SentInvitationSerializer,
    TokenSerializer,
)
from accounts.teams.views.members import PersonView


class InvitationPages(PageNumberPagination):
    items_name = "invitations"


class InvitationListView(PersonView, GenericAPIView[Invitation]):
    serializer_class = InvitationSerializer
    pagination_class = InvitationPages
    queryset = Invitation.objects.none()

    @extend_schema(
        operation_id="listInvitations",
        summary="Whom a team has invited",
        description="Newest first, with what became of it.",
        tags=["Customers"],
        responses={200: InvitationSerializer(many=True), 304: NOT_MODIFIED},
        examples=[INVITATION],
    )
    def get(self, request: Request, id: int) -> Response:
        team = self.customer_for(Capability.MANAGE_MEMBERS)
        page = self.paginate_queryset(Invitation.objects.filter(customer=team).order_by("-pk"))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="inviteMember",
        summary="Invite somebody to a team",
        description="By mail, for seven days. Only who signs in with that address, verified, can accept.",
        tags=["Customers"],
        request=NewInvitationSerializer,
        responses={201: SentInvitationSerializer},
        examples=[INVITED],
    )
    def post(self, request: Request, id: int) -> Response:
        team = self.customer_for(Capability.MANAGE_MEMBERS)
        asked = NewInvitationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        sent = invitations.invite(team, invited_by=self.user(), now=timezone.now(), **asked.validated_data)
        return Response(sent_by_mail(*sent), status=status.HTTP_201_CREATED)


class InvitationView(PersonView):
    @extend_schema(
        operation_id="revokeInvitation",
        summary="Take an invitation back",
        description="Again changes nothing.",
        tags=["Customers"],
        responses={204: None},
    )
    def delete(self, request: Request, id: int, invitation_id: int) -> Response:
        team = self.customer_for(Capability.MANAGE_MEMBERS)
        invitations.revoke(team, invitation_id, actor=self.actor(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ResendView(PersonView):
    @extend_schema(
        operation_id="resendInvitation",
        summary="Send an invitation again",
        description="With a new token, for seven days from now; the old token ends. At most once a minute.",
        tags=["Customers"],
        request=None,
        responses=SentInvitationSerializer,
        examples=[INVITED],
    )
    def post(self, request: Request, id: int, invitation_id: int) -> Response:
        team = self.customer_for(Capability.MANAGE_MEMBERS)
        sent = invitations.renew(team, invitation_id, actor=self.actor(), now=timezone.now())
        return Response(sent_by_mail(*sent))


def sent_by_mail(invitation: Invitation, token: str) -> dict[str, object]:
    """Send the invitation, which is committed, and return what its sender is told."""
    mailed = mail.send_invitation(invitation, token)
    return {**InvitationSerializer(invitation).data, "token": token, "mailed": mailed}


class AcceptView(PersonView):
    @extend_schema(
        operation_id="acceptInvitation",
        summary="Join a team",
        description="Accepting twice is once.",
        tags=["Customers"],
        request=TokenSerializer,
        responses=MembershipSerializer,
        examples=[CUSTOMER],
    )
    def post(self, request: Request) -> Response:
        asked = TokenSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        member = invitations.accept(asked.validated_data["token"], user=self.user(), now=timezone.now())
        return Response(MembershipSerializer(member).data)


class DeclineView(PersonView):
    @extend_schema(
        operation_id="declineInvitation",
        summary="Say no to an invitation",
        description="Again changes nothing.",
        tags=["Customers"],
        request=TokenSerializer,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        asked = TokenSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        invitations.decline(asked.validated_data["token"], user=self.user(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
