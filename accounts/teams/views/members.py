"""``/api/customers``: whom one can act for, and who else can."""

from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import CustomerNotFound, PermissionDenied, ValidationFailed
from accounts.models import Customer, Membership, User
from accounts.pagination import PageNumberPagination
from accounts.permissions import IsPerson, principal_of
from accounts.reads import NOT_MODIFIED, Filter, ReadView
from accounts.roles import MAY, Capability, Role
from accounts.teams import customers, members
from accounts.teams.examples import CUSTOMER, MEMBER
from accounts.teams.serializers import (
    ChangedCustomerSerializer,
    ChangedMemberSerializer,
    ClosingSerializer,
    HeirSerializer,
    MemberSerializer,
    MembershipSerializer,
    NewTeamSerializer,
)

ORDER = Case(*(When(role=role.value, then=Value(place)) for place, role in enumerate(Role)))


class PersonView(ReadView):
    """What somebody does in person, for the customer that the path names."""

    permission_classes = (IsPerson,)

    def user(self) -> User:
        user = principal_of(self.request).user
        assert user is not None, "no permission lets anybody else in"
        return user

    def actor(self) -> str:
        return principal_of(self.request).actor

    def customer_for(self, capability: Capability) -> Customer:
        """
        Return the customer of the path, for which the caller has ``capability``.

        :raises CustomerNotFound: if it does not exist, or they are no member
        :raises PermissionDenied: if their role may not do that
        """
        mine = Membership.objects.filter(customer=self.kwargs["id"], user=self.user()).select_related("customer")
        membership = mine.first()
        if membership is None:
            raise CustomerNotFound
        if capability not in MAY[membership.role]:
            raise PermissionDenied(f"Your role here, {membership.role}, may not {capability.value}.")
        return membership.customer


class CustomerPages(PageNumberPagination):
    items_name = "customers"


class CustomerListView(PersonView, GenericAPIView[Membership]):
    serializer_class = MembershipSerializer
    pagination_class = CustomerPages

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.filter(user=self.user()).select_related("customer").order_by("customer__kind", "pk")

    @extend_schema(
        operation_id="listCustomers",
        summary="Whom you can act for",
        description="Your own customer first. Send one's `id` as `X-Customer-Id`, with any request, to act for it.",
        tags=["Customers"],
        responses={200: MembershipSerializer(many=True), 304: NOT_MODIFIED},
        examples=[CUSTOMER],
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="createTeam",
        summary="Create a team",
        description="You are its owner.",
        tags=["Customers"],
        request=NewTeamSerializer,
        responses={201: MembershipSerializer},
        examples=[CUSTOMER],
    )
    def post(self, request: Request) -> Response:
        asked = NewTeamSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        team = customers.create_team(owner=self.user(), now=timezone.now(), **asked.validated_data)
        body = self.get_serializer(Membership.objects.select_related("customer").get(customer=team)).data
        return Response(body, status=status.HTTP_201_CREATED)


class CustomerView(PersonView):
    deletion_serializer = ClosingSerializer

    @extend_schema(
        operation_id="getCustomer",
        summary="One of your customers",
        tags=["Customers"],
        responses={200: MembershipSerializer, 304: NOT_MODIFIED},
        examples=[CUSTOMER],
    )
    def get(self, request: Request, id: int) -> Response:
        return self._shown(self.customer_for(Capability.READ))

    @extend_schema(
        operation_id="updateCustomer",
        summary="Rename a customer, or set its time zone",
        tags=["Customers"],
        request=ChangedCustomerSerializer,
        responses=MembershipSerializer,
        examples=[CUSTOMER],
    )
    def patch(self, request: Request, id: int) -> Response:
        customer = self.customer_for(Capability.CHANGE_CUSTOMER)
        asked = ChangedCustomerSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        customers.update_customer(customer, asked.validated_data, actor=self.actor(), now=timezone.now())
        return self._shown(customer)

    @extend_schema(
        operation_id="closeTeam",
        summary="Give a team up",
        description=(
            "Its keys are revoked, its members leave, and nobody can act for it any more. Its books stay. What is left "
            "of its credits is not paid out; spend it first."
        ),
        tags=["Customers"],
        request=ClosingSerializer,
        responses={204: None},
    )
    def delete(self, request: Request, id: int) -> Response:
        team = self.customer_for(Capability.DELETE)
        asked = ClosingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if asked.validated_data["confirm"] != team.name:
            fault = {"field": "body.confirm", "message": "Write the team's name as it is.", "code": "NOT_CONFIRMED"}
            raise ValidationFailed(details=[fault])
        customers.close_team(team, actor=self.actor(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _shown(self, customer: Customer) -> Response:
        membership = Membership.objects.select_related("customer").get(customer=customer, user=self.user())
        return Response(MembershipSerializer(membership).data)


class MemberPages(PageNumberPagination):
    items_name = "members"


class MemberListView(PersonView, GenericAPIView[Membership]):
    serializer_class = MemberSerializer
    pagination_class = MemberPages
    queryset = Membership.objects.none()

    @extend_schema(
        operation_id="listMembers",
        summary="Who belongs to a customer",
        description="The owner first, then by role.",
        tags=["Customers"],
        responses={200: MemberSerializer(many=True), 304: NOT_MODIFIED},
        examples=[MEMBER],
    )
    def get(self, request: Request, id: int) -> Response:
        theirs = Membership.objects.filter(customer=self.customer_for(Capability.READ)).select_related("user")
        page = self.paginate_queryset(theirs.order_by(ORDER, "pk"))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class RemovalFilter(Filter):
    revokeKeys = serializers.BooleanField(default=False, help_text="Revoke the keys that they made for the team, too.")


class MemberView(PersonView):
    @extend_schema(
        operation_id="updateMember",
        summary="Give a member another role",
        tags=["Customers"],
        request=ChangedMemberSerializer,
        responses=MemberSerializer,
        examples=[MEMBER],
    )
    def patch(self, request: Request, id: int, user_id: int) -> Response:
        team = self.customer_for(Capability.MANAGE_MEMBERS)
        asked = ChangedMemberSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        member = members.change_role(
            team, user_id, asked.validated_data["role"], actor=self.actor(), now=timezone.now()
        )
        return Response(MemberSerializer(member).data)

    @extend_schema(
        operation_id="removeMember",
        summary="Remove a member, or leave",
        description="Anybody but the owner may leave. Keys that they made are the team's and go on.",
        tags=["Customers"],
        parameters=[OpenApiParameter("revokeKeys", bool, description="Revoke the keys that they made for it, too.")],
        responses={204: None},
    )
    def delete(self, request: Request, id: int, user_id: int) -> Response:
        is_self = user_id == self.user().pk
        team = self.customer_for(Capability.READ if is_self else Capability.MANAGE_MEMBERS)
        members.remove_member(
            team, user_id, revoke_keys=self.filters()["revokeKeys"], actor=self.actor(), now=timezone.now()
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    filter_class = RemovalFilter


class TransferView(PersonView):
    @extend_schema(
        operation_id="transferTeam",
        summary="Make another member the owner",
        description="You become an administrator.",
        tags=["Customers"],
        request=HeirSerializer,
        responses=MemberSerializer,
        examples=[MEMBER],
    )
    def post(self, request: Request, id: int) -> Response:
        team = self.customer_for(Capability.TRANSFER)
        asked = HeirSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        heir = members.transfer(team, asked.validated_data["userId"], actor=self.actor(), now=timezone.now())
        return Response(MemberSerializer(heir).data)
