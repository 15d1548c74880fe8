"""``/api/me``."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.leaving import leave_for_good
from accounts.models import Membership, User
from accounts.permissions import principal_of
from accounts.reads import NOT_MODIFIED
from accounts.spreadsheets import Download
from accounts.strict import PlainTextField, StrictSerializer
from accounts.teams.customers import update_customer
from accounts.teams.serializers import ChangedCustomerSerializer, MembershipSerializer
from accounts.teams.views.members import PersonView
from billing.profile.export import parts_of
from billing.profile.schema import EXPORT

CONFIRMATION = "DELETE"


class ProfileSerializer(serializers.ModelSerializer[User]):
    externalId = serializers.CharField(source="external_id", read_only=True, allow_null=True)
    timeZone = serializers.CharField(source="personal_customer.time_zone", read_only=True)
    customerId = serializers.SerializerMethodField(help_text="Whom this request acts for.")
    customers = serializers.SerializerMethodField()
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = User
        fields = ["id", "externalId", "email", "name", "timeZone", "customerId", "customers", "createdAt"]
        read_only_fields = fields

    def get_customerId(self, user: User) -> int:
        chosen: int = self.context["customer_id"]
        return chosen

    @extend_schema_field(MembershipSerializer(many=True))
    def get_customers(self, user: User) -> list[dict[str, Any]]:
        mine = Membership.objects.filter(user=user).select_related("customer").order_by("customer__kind", "pk")
        return list(MembershipSerializer(mine[:100], many=True).data)


class ChangedProfileSerializer(ChangedCustomerSerializer):
    name = PlainTextField(max_length=200, allow_blank=True, required=False)


class DeletionSerializer(StrictSerializer):
    confirm = serializers.ChoiceField([CONFIRMATION], help_text="So that nobody does it by mistake.")


EXAMPLE = OpenApiExample(
    "Ada",
    value={
        "id": 7,
        "externalId": "user_2abcDEF3456789",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "timeZone": "Europe/London",
        "customerId": 9,
        "customers": [
            {
                "id": 9,
                "kind": "PERSONAL",
                "name": "Ada Lovelace",
                "role": "OWNER",
                "timeZone": "Europe/London",
                "externalId": None,
                "suspendedAt": None,
                "createdAt": "2026-11-20T12:00:00Z",
            }
        ],
        "createdAt": "2026-11-20T12:00:00Z",
    },
    response_only=True,
)


class ProfileView(PersonView):
    deletion_serializer = DeletionSerializer

    @extend_schema(
        operation_id="getProfile",
        summary="Who you are, and whom you can act for",
        tags=["Profile"],
        responses={200: ProfileSerializer, 304: NOT_MODIFIED},
        examples=[EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        return self._shown(self.user())

    @extend_schema(
        operation_id="updateProfile",
        summary="Change your name or time zone",
        description="A name that the identity provider keeps comes back with its next news.",
        tags=["Profile"],
        request=ChangedProfileSerializer,
        responses=ProfileSerializer,
        examples=[EXAMPLE],
    )
    def patch(self, request: Request) -> Response:
        asked = ChangedProfileSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        changes, now = dict(asked.validated_data), timezone.now()
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=self.user().pk)
            if "name" in changes:
                user.name = changes["name"]
                user.save(update_fields=["name", "updated_at"])
                changes["name"] = user.name or str(user)  # the personal customer is called as its user is
            update_customer(user.personal_customer, changes, actor=self.actor(), now=now)
        return self._shown(User.objects.get(pk=user.pk))

    @extend_schema(
        operation_id="deleteProfile",
        summary="Delete yourself, for good",
        description=(
            "Your keys are revoked, your memberships end, your name and address are cleared wherever they are kept. "
            "The books stay, under a number. Credits that are left are lost. Whoever owns a team with other members "
            "transfers it first: 409 `owner_must_transfer`, with the teams in `customers`."
        ),
        tags=["Profile"],
        request=DeletionSerializer,
        responses={204: None},
    )
    def delete(self, request: Request) -> Response:
        DeletionSerializer(data=request.data).is_valid(raise_exception=True)
        leave_for_good(self.user(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _shown(self, user: User) -> Response:
        context = {"customer_id": principal_of(self.request).customer.pk}
        return Response(ProfileSerializer(user, context=context).data)


class ExportView(PersonView):
    @extend_schema(
        operation_id="exportProfile",
        summary="All that is kept about you, as JSON",
        description=(
            "You, your memberships, and of your own customer the keys (masked), accounts, grants, entries, usage and "
            "what was written down. Sent as it is read, however long it is."
        ),
        tags=["Profile"],
        responses={(200, "application/json"): EXPORT},
    )
    def get(self, request: Request) -> Download:
        return Download(parts_of(self.user()), content_type="application/json", filename="prepaid.json")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type
