"""The bank in the admin: everything can be looked at, nothing edited, and a balance adjusted with a reason."""

from operator import attrgetter
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action

from accounts.console import (
    EMPTY, ReadOnlyInline, ReadOnlyPage, StateFilter, Table, badge, facts, label, link, link_to, related, rows_url,
)  # fmt: skip
from accounts.models import ApiKey, User
from credits.adjustment import adjust_account
from credits.console import amount, amount_column
from credits.models import Account, Draw, Grant, Hold, LedgerEntry

NEWEST = 10

KIND_COLOURS = {"GRANT": "good", "USAGE": "info", "EXPIRY": "warning", "ADJUSTMENT": "warning"}
CATEGORY_COLOURS = {"PURCHASE": "good", "PLAN": "info", "PROMOTION": "info", "ADJUSTMENT": "warning"}
STATUS_COLOURS = {"PENDING": "warning", "SETTLED": "good"}


@admin.display(description="actor", ordering="actor")
def actor(row: Any) -> SafeString | str:
    """Who did it: a link, where the text names a user or a key."""
    kind, _, pk = row.actor.partition(":")
    model = {"user": User, "key": ApiKey}.get(kind)
    return link_to(model, pk, row.actor) if model and pk.isdigit() else row.actor


def short_id(hold: Hold) -> str:
    return hold.pk.hex[-12:]


@admin.display(description="hold", ordering="id")
def hold_id(hold: Hold) -> str:
    return short_id(hold)


@admin.display(description="hold")
def hold_of(row: LedgerEntry) -> SafeString | str:
    return link(row.hold, short_id(row.hold)) if row.hold else EMPTY


@admin.display(description="grant", ordering="grant")
def grant_of(row: LedgerEntry | Draw) -> SafeString | str:
    return link(row.grant, row.grant.source)


@admin.display(description="state")
def grant_state(grant: Grant) -> SafeString:
    """Where the grant is in its life: waiting, open, used up, or expired."""
    if grant.booked_at is None:
        return label("waiting", "info")
    if grant.remaining == 0:
        return label("used up")
    if grant.expires_at is not None and grant.expires_at <= timezone.now():
        return label("expired", "warning")
    return label("open", "good")


def entries_table(title: str, entries: Any, all_url: str = "") -> Table:
    rows = [
        (
            link(entry, f"{entry.created_at:%Y-%m-%d %H:%M:%S}"),
            label(entry.kind, KIND_COLOURS[entry.kind]),
            amount(entry.amount, entry.account.currency, signed=True),
            amount(entry.balance_after, entry.account.currency),
            grant_of(entry),
            entry.memo or entry.reference or EMPTY,
        )
        for entry in entries.select_related("account", "grant", "hold")[:NEWEST]
    ]
    return Table(title, ("When", "Kind", "Amount", "Balance after", "Grant", "Why"), rows, all_url)


class HasCredits(StateFilter):
    title = "state"
    parameter_name = "state"
    states = {
        "spendable": ("has a balance", lambda: Q(balance__gt=0)),
        "empty": ("is empty", lambda: Q(balance=0)),
        "held": ("has holds", lambda: Q(held__gt=0)),
        "owed": ("owes", lambda: Q(owed__gt=0)),
    }



OWN = attrgetter("currency")


@admin.register(Account)
class AccountAdmin(ReadOnlyPage):
    list_display = [
        related("customer"),
        "currency",
        amount_column("available", currency=OWN, ordering=F("balance") - F("held")),
        amount_column("balance", currency=OWN),
        amount_column("held", currency=OWN),
        amount_column("owed", currency=OWN),
        "updated_at",
    ]
    list_display_links = ["currency"]
    list_filter = ["currency", HasCredits]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "customer__external_id", "customer__user__email"]
    search_help_text = "Name, e-mail or external id of the customer"
    ordering = ["-updated_at", "-id"]
    actions_detail = ["adjust"]
    actions_row = ["adjust"]
    fieldsets = [
        (None, {"fields": [related("customer"), "currency"]}),
        ("Balance", {"fields": [(*list_display[2:6],)]}),
        ("Ledger", {"fields": [("entry_count", "updated_at", "created_at"), "head"], "classes": ["collapse"]}),
    ]

    def has_adjust_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("credits.adjust_account")

    @action(description="Adjust credits", url_path="adjust", icon="tune", permissions=["adjust"])
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return adjust_account(self, request, object_id)

    def tables(self, row: Account) -> list[Table]:
        return [
            entries_table("Newest entries", row.entries.all(), rows_url(LedgerEntry, account__id__exact=row.pk)),
            lots_table(row),
            holds_table(row),
        ]


def lots_table(account: Account) -> Table:
    lots = account.grants.filter(Q(remaining__gt=0) | Q(booked_at=None)).order_by("priority", "expires_at", "id")
    rows = [
        (
            link(grant, grant.source),
            label(grant.category, CATEGORY_COLOURS[grant.category]),
            amount(grant.remaining, account.currency),
            amount(grant.amount, account.currency),
            grant.priority,
            f"{grant.expires_at:%Y-%m-%d %H:%M}" if grant.expires_at else "never",
            grant_state(grant),
        )
        for grant in lots[:NEWEST]
    ]
    headers = ("Grant", "Category", "Left", "Of", "Priority", "Expires", "State")
    return Table("Open grants, in the order they are spent", headers, rows, rows_url(Grant, account__id__exact=account.pk))


def holds_table(account: Account) -> Table:
    holds = account.holds.filter(status=Hold.Status.PENDING).order_by("expires_at")
    rows = [
        (
            link(hold, short_id(hold)),
            amount(hold.amount, account.currency),
            f"{hold.created_at:%Y-%m-%d %H:%M:%S}",
            f"{hold.expires_at:%Y-%m-%d %H:%M:%S}",
            hold.reference or EMPTY,
        )
        for hold in holds[:NEWEST]
    ]
    headers = ("Hold", "Amount", "Placed", "Answered for until", "Reference")
    return Table("Pending holds", headers, rows, rows_url(Hold, account__id__exact=account.pk))


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
    list_display = [
        "source",
        related("account"),
        badge("category", CATEGORY_COLOURS),
        amount_column("remaining", "left"),
        amount_column("amount", "of"),
        "priority",
        "effective_at",
        "expires_at",
        grant_state,
    ]
    list_filter = ["category", GrantState, "account__currency"]
    list_select_related = ["account__customer"]
    search_fields = ["source", "memo", "actor", "account__customer__name"]
    search_help_text = "Source, memo, actor or customer"
    date_hierarchy = "created_at"
    fieldsets = [
        (None, {"fields": [related("account"), badge("category", CATEGORY_COLOURS), "source", "memo", actor]}),
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
    list_display = [
        hold_id,
        related("account"),
        amount_column("amount"),
        amount_column("settled"),
        hold_status,
        "reference",
        "created_at",
        "resolved_at",
    ]
    list_filter = ["status", HoldState, "account__currency"]
    list_select_related = ["account__customer"]
    search_fields = ["id__exact", "key", "reference", "account__customer__name"]
    search_help_text = "Id, idempotency key, reference (such as the generation's id) or customer"
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    inlines = [DrawInline]
    fieldsets = [
        (None, {"fields": [related("account"), hold_status, "id", "key", "reference", "used_for"]}),
        ("Amount", {"fields": [(amount_column("amount", "set aside"), amount_column("settled"))]}),
        ("Time", {"fields": [("created_at", "expires_at", "resolved_at")]}),
        ("What its holder needs to resolve it", {"fields": ["details"], "classes": ["collapse"]}),
    ]

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
    list_display = [
        "created_at",
        related("account"),
        "sequence",
        badge("kind", KIND_COLOURS),
        amount_column("amount", signed=True),
        amount_column("balance_after"),
        grant_of,
        hold_of,
        "memo",
        actor,
    ]
    list_filter = ["kind", "account__currency"]
    list_select_related = ["account__customer", "grant", "hold"]
    search_fields = ["reference", "memo", "actor", "grant__source", "hold__reference", "account__customer__name"]
    search_help_text = "Reference, memo, actor, grant, generation or customer"
    date_hierarchy = "created_at"
    fieldsets = [
        (None, {"fields": [related("account"), ("sequence", "created_at"), badge("kind", KIND_COLOURS)]}),
        ("Movement", {"fields": [(amount_column("amount", signed=True), amount_column("balance_after")), grant_of, hold_of, "paid_for"]}),
        ("Why", {"fields": ["reference", "memo", actor]}),
        ("Proof", {"fields": ["digest"], "classes": ["collapse"]}),
    ]

    @admin.display(description="paid for")
    def paid_for(self, entry: LedgerEntry) -> SafeString | str:
        return link(getattr(entry.hold, "usage", None))
