"""What the bank's pages show of a row, and of the rows that hang on it."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.console import EMPTY, Table, label, link, link_to, rows_url
from accounts.models import ApiKey, User
from credits.console import amount
from credits.models import Account, Draw, Grant, Hold, LedgerEntry

NEWEST = 10

KIND_COLOURS = {
    "GRANT": "good",
    "USAGE": "info",
    "EXPIRY": "warning",
    "ADJUSTMENT": "warning",
    "VOID": "warning",
    "REFUND": "warning",
    "DISPUTE": "warning",
    "DEBT": "warning",
    "REINSTATE": "good",
}
CATEGORY_COLOURS = {"PURCHASE": "good", "PLAN": "info", "PROMOTION": "info", "ADJUSTMENT": "warning"}


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


@admin.display(description="no.", ordering="sequence")
def number(entry: LedgerEntry) -> int:
    return entry.sequence


@admin.display(description="by")
def cause(entry: LedgerEntry) -> SafeString | str:
    """What moved it: the hold that was settled, else the grant that came, expired or was corrected."""
    return hold_of(entry) if entry.hold else grant_of(entry)


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
    return Table(
        "Open grants, in the order they are spent", headers, rows, rows_url(Grant, account__id__exact=account.pk)
    )


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
