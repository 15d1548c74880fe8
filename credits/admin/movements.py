"""Grants, holds and ledger entries in the admin, to be looked at."""

from operator import attrgetter
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action

from accounts.console import (
    ReadOnlyInline,
    ReadOnlyPage,
    StateFilter,
    Table,
    badge,
    clipped,
    facts,
    instant,
    label,
    link,
    related,
    rows_url,
)
from credits.admin.books import show_trial_balance
from credits.admin.columns import (
    CATEGORY_COLOURS,
    KIND_COLOURS,
    actor,
    cause,
    entries_table,
    grant_of,
    grant_state,
    hold_id,
    hold_of,
    number,
)
from credits.console import amount_column
from credits.models import Draw, Grant, Hold, LedgerEntry

STATUS_COLOURS = {"PENDING": "warning", "SETTLED": "good"}


class GrantState(StateFilter):
    title = "state"
    parameter_name = "state"
    states = {
        "waiting": ("waits to take effect", lambda: Q(booked_at=None)),
        "open": ("something is left", lambda: Q(remaining__gt=0)),
        "used": ("used up", lambda: Q(booked_at__isnull=False, remaining=0)),
    }


@admin.register(Grant)
class GrantAdmin(ReadOnlyPage):
    nothing_yet = "Grants come with purchases, plans, promotions and adjustments."
    list_display = [
        "source",
        related("account"),
        badge("category", CATEGORY_COLOURS),
        amount_column("remaining", "left"),
        amount_column("amount", "of"),
        "priority",
        instant("effective_at", "from"),
        instant("expires_at", "until"),
        grant_state,
    ]
    list_filter = ["category", GrantState, "account__currency"]
    list_select_related = ["account__customer"]
    search_fields = ["source", "memo", "actor", "account__customer__name"]
    search_help_text = "Source, memo, actor or customer"
    date_hierarchy = "created_at"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    (related("account"), badge("category", CATEGORY_COLOURS), grant_state),
                    ("source", "memo", actor),
                ]
            },
        ),
        ("Amount", {"fields": [(amount_column("remaining", "left"), amount_column("amount"), amount_column("held"))]}),
        ("Terms", {"fields": [("priority", "effective_at", "expires_at"), ("booked_at", "created_at")]}),
    ]

    def tables(self, row: Grant) -> list[Table]:
        return [entries_table("Newest entries", row.entries.all(), rows_url(LedgerEntry, grant__id__exact=row.pk))]


class HoldState(StateFilter):
    title = "overdue"
    parameter_name = "overdue"
    states = {
        "yes": ("pending past its time", lambda: Q(status=Hold.Status.PENDING, expires_at__lt=timezone.now())),
    }


@admin.display(description="status", ordering="status")
def hold_status(hold: Hold) -> SafeString:
    if hold.status == Hold.Status.PENDING and hold.expires_at < timezone.now():
        return label("overdue", "bad")
    return label(hold.status, STATUS_COLOURS.get(hold.status, ""))


class DrawInline(ReadOnlyInline):
    model = Draw
    verbose_name_plural = "drawn from"
    fields = readonly_fields = [grant_of, amount_column("amount", currency=attrgetter("grant.account.currency"))]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("grant__account")


@admin.register(Hold)
class HoldAdmin(ReadOnlyPage):
    nothing_yet = "Each call sets credits aside before a provider is asked."
    ordering = ["-id"]
    list_display = [
        hold_id,
        related("account"),
        amount_column("amount"),
        amount_column("settled"),
        hold_status,
        clipped("reference"),
        instant("created_at", "placed"),
        instant("resolved_at", "resolved"),
    ]
    list_filter = ["status", HoldState, "account__currency"]
    list_select_related = ["account__customer"]
    search_fields = ["key", "reference", "account__customer__name"]
    search_help_text = "Id, idempotency key, reference (such as the generation's id) or customer"
    date_hierarchy = "created_at"
    inlines = [DrawInline]
    fieldsets = [
        (None, {"fields": [(related("account"), hold_status, "used_for"), ("id", "key", "reference")]}),
        ("Amount", {"fields": [(amount_column("amount", "set aside"), amount_column("settled"))]}),
        ("Time", {"fields": [("created_at", "expires_at", "resolved_at")]}),
        ("What its holder needs to resolve it", {"fields": ["details"], "classes": ["collapse"]}),
    ]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """A whole id is looked up through its index; anything else is searched for as text."""
        try:
            return queryset.filter(pk=UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.display(description="paid for")
    def used_for(self, hold: Hold) -> SafeString | str:
        """The usage record, which belongs to a floor above; any row that hangs on a hold is named so."""
        return link(getattr(hold, "usage", None))

    @admin.display(description="context")
    def details(self, hold: Hold) -> SafeString | str:
        return facts(hold.context)

    def tables(self, row: Hold) -> list[Table]:
        return [entries_table("Entries", row.entries.all(), rows_url(LedgerEntry, hold__id__exact=row.pk))]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyPage):
    nothing_yet = "Every movement of money leaves an entry, for good."
    list_display = [
        instant("created_at", "when"),
        related("account"),
        number,
        badge("kind", KIND_COLOURS),
        amount_column("amount", signed=True),
        amount_column("balance_after"),
        cause,
        clipped("memo", "why"),
        actor,
    ]
    list_filter = ["kind", "account__currency"]
    list_select_related = ["account__customer", "grant", "hold"]
    search_fields = ["reference", "memo", "actor", "grant__source", "hold__reference", "account__customer__name"]
    search_help_text = "Reference, memo, actor, grant, generation or customer"
    date_hierarchy = "created_at"
    actions_list = ["trial_balance"]
    fieldsets = [
        (None, {"fields": [(related("account"), "sequence", badge("kind", KIND_COLOURS), "created_at")]}),
        ("Movement", {"fields": [
            (amount_column("amount", signed=True), amount_column("balance_after")), (grant_of, hold_of, "paid_for"),
        ]}),
        ("Why", {"fields": [("reference", "memo", actor)]}),
        ("Proof", {"fields": ["digest"], "classes": ["collapse"]}),
    ]  # fmt: skip

    @admin.display(description="paid for")
    def paid_for(self, entry: LedgerEntry) -> SafeString | str:
        return link(getattr(entry.hold, "usage", None))

    @action(description="Trial balance", url_path="trial-balance", icon="balance", permissions=["view"])
    def trial_balance(self, request: HttpRequest) -> HttpResponseBase:
        return show_trial_balance(self, request)
