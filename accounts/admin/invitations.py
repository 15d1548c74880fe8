"""Invitations to teams, and to sign up, in the admin: to look at, and to take back."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin.users import ROLE_COLOURS
from accounts.console import ReadOnlyPage, StateFilter, badge, counted, instant, label, related
from accounts.errors import PrepaidError
from accounts.models import Invitation, SignUpInvitation
from accounts.teams import invitations
from accounts.teams.serializers import status_of

STATUS_COLOURS = {"open": "info", "accepted": "good", "declined": "warning", "revoked": "bad"}


class InvitationState(StateFilter):
    title = "state"
    parameter_name = "state"
    states = {
        "open": ("open", lambda: Invitation.OPEN & Q(expires_at__gt=timezone.now())),
        "expired": ("expired", lambda: Invitation.OPEN & Q(expires_at__lte=timezone.now())),
        "accepted": ("accepted", lambda: Q(accepted_at__isnull=False)),
        "declined": ("declined", lambda: Q(declined_at__isnull=False)),
        "revoked": ("revoked", lambda: Q(revoked_at__isnull=False)),
    }


@admin.display(description="state")
def invitation_state(invitation: Invitation) -> SafeString:
    status = status_of(invitation, now=timezone.now())
    return label(status, STATUS_COLOURS.get(status, ""))


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyPage):
    nothing_yet = "Owners and administrators of teams invite people."

    list_display = [
        "email", related("customer", "team"), badge("role", ROLE_COLOURS), invitation_state,
        instant("sent_at", "sent"), instant("expires_at", "until"),
    ]  # fmt: skip
    list_filter = [InvitationState, "role"]
    list_select_related = ["customer"]
    search_fields = ["email", "customer__name"]
    search_help_text = "E-mail or team"
    date_hierarchy = "created_at"
    actions: Any = ["revoke"]
    fieldsets = [
        (None, {"fields": [("email", "role", invitation_state), (related("customer"), related("invited_by"))]}),
        ("When", {"fields": [("created_at", "sent_at", "expires_at"), ("accepted_at", "declined_at", "revoked_at")]}),
    ]
    readonly_fields = [
        "email", "role", invitation_state, related("customer"), related("invited_by"),
        "created_at", "sent_at", "expires_at", "accepted_at", "declined_at", "revoked_at",
    ]  # fmt: skip

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_invitation")

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        count = 0
        for invitation in queryset.filter(Invitation.OPEN).select_related("customer"):
            try:
                invitations.revoke(
                    invitation.customer, invitation.pk, actor=f"user:{request.user.pk}", now=timezone.now()
                )
            except PrepaidError:  # accepted or declined meanwhile, or no team of ours any more
                continue
            count += 1
        self.message_user(request, f"{counted(count, 'invitation')} revoked.")


@admin.register(SignUpInvitation)
class SignUpInvitationAdmin(ReadOnlyPage):
    nothing_yet = "Administrators ask people to sign up, over /api/admin/users/invite."

    list_display = [
        "email", "name", instant("sent_at", "sent"), instant("expires_at", "until"), instant("revoked_at", "revoked"),
        related("invited_by", "by"),
    ]  # fmt: skip
    list_select_related = ["invited_by"]
    search_fields = ["email", "name"]
    search_help_text = "E-mail or name"
    date_hierarchy = "created_at"
    fieldsets = [
        (None, {"fields": [("email", "name", related("invited_by"))]}),
        ("When", {"fields": [("created_at", "sent_at", "expires_at", "revoked_at")]}),
    ]
    readonly_fields = ["email", "name", related("invited_by"), "created_at", "sent_at", "expires_at", "revoked_at"]
