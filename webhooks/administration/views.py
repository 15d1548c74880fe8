"""``/api/admin/users/sync``: people from Clerk, a few pages at a time."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.administration.base import AdministrationView
from accounts.schema import FAILURE
from accounts.strict import StrictSerializer, TrueOrFalseField
from webhooks.clerk_sync.api import read_page
from webhooks.clerk_sync.services import USERS, Effect, Report, keep_page

MOST_USERS = 10**9


class SyncSerializer(StrictSerializer):
    syncUsers = TrueOrFalseField(default=True)
    syncPlans = TrueOrFalseField(default=False, help_text="Not kept from Clerk yet: must be false.")
    setCredits = TrueOrFalseField(default=False, help_text="A balance is never assigned: must be false.")
    pageSize = serializers.IntegerField(min_value=1, max_value=200, default=50)
    maxPages = serializers.IntegerField(min_value=1, max_value=20, default=10)
    offset = serializers.IntegerField(
        min_value=0, max_value=MOST_USERS, default=0, help_text="The `nextOffset` of the answer before."
    )
    dryRun = TrueOrFalseField(default=False, help_text="Say what would change, and change nothing.")
    debug = TrueOrFalseField(default=False)

    def validate_syncPlans(self, wanted: bool) -> bool:
        return self._refuse(wanted, "Plans and subscriptions are not read from Clerk. Send false.")

    def validate_setCredits(self, wanted: bool) -> bool:
        return self._refuse(wanted, "Reading people changes nobody's balance. Send false.")

    def _refuse(self, wanted: bool, message: str) -> bool:
        if wanted:
            raise serializers.ValidationError(message, "not_supported")
        return wanted


class EffectSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(read_only=True, help_text="At Clerk.")
    effect = serializers.ChoiceField([(effect.value, effect.value) for effect in Effect], read_only=True)


class DebugSerializer(serializers.Serializer[Any]):
    pagesProcessed = serializers.IntegerField(read_only=True)
    effects = EffectSerializer(many=True, read_only=True)


class SyncedSerializer(serializers.Serializer[Any]):
    processed = serializers.IntegerField(read_only=True)
    createdUsers = serializers.IntegerField(read_only=True)
    changedUsers = serializers.IntegerField(read_only=True)
    skippedUsers = serializers.IntegerField(read_only=True, help_text="Without a usable id or time.")
    nextOffset = serializers.IntegerField(read_only=True, allow_null=True, help_text="Null: all have been read.")
    debug = DebugSerializer(read_only=True, required=False, help_text="With `debug`: true.")


class SyncView(AdministrationView):
    @extend_schema(
        operation_id="adminSyncUsers",
        summary="Read users from Clerk",
        description=(
            "The oldest first, `pageSize` × `maxPages` at once, kept as its webhooks are: newer news wins, and whoever "
            "was deleted stays so. Sent again it changes nothing. `manage.py sync_clerk` reads organizations too."
        ),
        tags=["Administration"],
        request=SyncSerializer,
        responses={200: SyncedSerializer, 501: FAILURE, 502: FAILURE},
        examples=[
            OpenApiExample(
                "All are read",
                value={
                    "processed": 120,
                    "createdUsers": 3,
                    "changedUsers": 5,
                    "skippedUsers": 0,
                    "nextOffset": None,
                },
                response_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        asked = SyncSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        report, pages, next_offset = Report(), 0, wanted["offset"]
        while wanted["syncUsers"] and next_offset is not None and pages < wanted["maxPages"]:
            items = read_page(USERS.path, offset=next_offset, limit=wanted["pageSize"])
            page = keep_page(USERS, items, dry_run=wanted["dryRun"])
            report.counts.update(page.counts)
            report.effects += page.effects
            pages += 1
            next_offset = next_offset + len(items) if len(items) == wanted["pageSize"] else None
        body: dict[str, Any] = {
            "processed": report.read,
            "createdUsers": report.counts[Effect.NEW],
            "changedUsers": report.counts[Effect.CHANGED],
            "skippedUsers": report.counts[Effect.SKIPPED],
            "nextOffset": next_offset,
        }
        if wanted["debug"]:
            effects = [{"id": id_, "effect": effect} for id_, effect in report.effects]
            body["debug"] = {"pagesProcessed": pages, "effects": effects}
        return Response(SyncedSerializer(body).data)
