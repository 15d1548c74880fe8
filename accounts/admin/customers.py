"""Customers in the admin, with their members."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.users import ROLE_COLOURS
from accounts.console import (
    NeverDeleted,
    Page,
    ReadOnlyInline,
    StateFilter,
    badge,
    counted,
    instant,
    label,
    related,
    related_lists,
    reload_page,
)
from accounts.limits import LIMITS
from accounts.models import Customer, Membership
from accounts.teams import customers

KIND_COLOURS = {"TEAM": "info"}


class MembersInline(TabularInline):
    model = Membership
    verbose_name_plural = "members"
    hide_title = True
    extra = 0
    fields = ["user", "role", "created_at"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["user"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user")


class OwnerInline(ReadOnlyInline):
    """A personal customer has its one user, for good."""

    model = Membership
    verbose_name_plural = "members"
    fields = readonly_fields = [related("user"), badge("role", ROLE_COLOURS), "created_at"]


class ReasonForm(BaseDialogForm):
    reason = forms.CharField(
        max_length=customers.LONGEST_REASON, required=False, widget=UnfoldAdminTextInputWidget,
        help_text="For your colleagues; the customer does not see it.",
    )  # fmt: skip


class CustomerState(StateFilter):
    title = "state"
    parameter_name = "state"
    states = {
        "active": ("active", lambda: Q(suspended_at=None, closed_at=None)),
        "suspended": ("suspended", lambda: Q(suspended_at__isnull=False)),
        "closed": ("closed", lambda: Q(closed_at__isnull=False)),
    }


@admin.display(description="state", ordering="suspended_at")
def customer_state(customer: Customer) -> SafeString:
    if customer.closed_at:
        return label("closed", "bad")
    return label("suspended", "bad") if customer.suspended_at else label("active", "good")


@admin.register(Customer)
class CustomerAdmin(NeverDeleted, Page):
    """Personal customers come with their users; teams can be added here."""

    nothing_yet = "Every user comes with a customer; teams can be added."

    list_display = [
        "name",
        badge("kind", KIND_COLOURS),
        customer_state,
        related("user"),
        "external_id",
        instant("created_at", "since"),
    ]
    list_filter = ["kind", CustomerState]
    list_select_related = ["user"]
    search_fields = ["name", "external_id", "user__email", "user__external_id"]
    search_help_text = "Name, e-mail or external id"
    date_hierarchy = "created_at"
    ordering = ["-id"]
    actions = ["suspend", "reactivate"]
    actions_detail = ["suspend_this", "reactivate_this"]
    readonly_fields = [
        badge("kind", KIND_COLOURS),
        customer_state,
        related("user"),
        "see_also",
        "external_id",
        "suspended_at",
        "suspended_by",
        "suspended_reason",
        "created_at",
    ]
    fieldsets = [
        (None, {"fields": ["name", "time_zone", "see_also"]}),
        (
            "State",
            {
                "fields": [
                    (readonly_fields[0], customer_state),
                    ("suspended_at", "suspended_by", "suspended_reason"),
                ]
            },
        ),
        (
            "Limits",
            {
                "fields": [
                    ("budget", "budget_period"),
                    ("requests_per_minute", "tokens_per_minute", "concurrent_calls"),
                    "limits_are_fixed",
                    ("end_user_budget", "end_user_budget_period"),
                ]
            },
        ),
        ("Known as", {"fields": [(readonly_fields[2], "external_id", "created_at")]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["name", "time_zone"], "description": "A team. People get theirs with their user."})
    ]

    @admin.display(description="see also")
    def see_also(self, customer: Customer) -> SafeString | str:
        return related_lists(self, customer)

    def get_inlines(self, request: HttpRequest, obj: Customer | None) -> list[Any]:
        return [OwnerInline if obj and obj.kind == Customer.Kind.PERSONAL else MembersInline]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        suspended = Customer.objects.filter(pk=object_id, suspended_at__isnull=False).exists()
        hidden = "suspend_this" if suspended else "reactivate_this"
        return [offer for offer in super().get_actions_detail(request, object_id) if offer.method.__name__ != hidden]

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        if not change:
            obj.kind = Customer.Kind.TEAM
        if not set(LIMITS).isdisjoint(form.changed_data):
            obj.limited_at = timezone.now()
        if not {"end_user_budget", "end_user_budget_period"}.isdisjoint(form.changed_data):
            obj.end_users_limited_at = timezone.now()
        super().save_model(request, obj, form, change)

    @admin.action(description="Suspend", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        self._suspend(request, queryset, "")

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        now, actor = timezone.now(), f"user:{request.user.pk}"
        changed = [customer for customer in queryset if customers.reactivate(customer, actor=actor, now=now)]
        for customer in changed:
            self.log_change(request, customer, "Reactivated.")
        self.message_user(request, f"{counted(len(changed), 'customer')} reactivated.")

    @action(
        description="Suspend", url_path="suspend", icon="block", permissions=["change"], variant=ActionVariant.DANGER,
        dialog={"title": "Suspend this customer?", "form_submit_text": "Suspend",
                "description": "Their keys and calls are refused until they are reactivated. Balances stay.",
                "form_class": ReasonForm},
    )  # fmt: skip
    def suspend_this(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        self._suspend(request, Customer.objects.filter(pk=object_id), form.cleaned_data["reason"])
        return reload_page(Customer, object_id)

    @action(
        description="Reactivate", url_path="reactivate", icon="play_arrow", permissions=["change"],
        dialog={"title": "Reactivate this customer?", "form_submit_text": "Reactivate",
                "description": "They may spend again at once."},
    )  # fmt: skip
    def reactivate_this(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        self.reactivate(request, Customer.objects.filter(pk=object_id))
        return reload_page(Customer, object_id)

    def _suspend(self, request: HttpRequest, queryset: QuerySet[Customer], reason: str) -> None:
        now, actor = timezone.now(), f"user:{request.user.pk}"
        changed = [
            customer for customer in queryset if customers.suspend(customer, reason=reason, actor=actor, now=now)
        ]
        for customer in changed:
            self.log_change(request, customer, f"Suspended. {reason}".strip())
        self.message_user(request, f"{counted(len(changed), 'customer')} suspended.")
