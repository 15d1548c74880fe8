"""The frame of the admin: its sidebar, its stylesheet, and the figures on its first page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, Model, Q, Sum
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone

from accounts.console import counted, rows_url
from accounts.models import ApiKey, AuditEntry, Customer, Invitation, SignUpInvitation, User
from billing.models import ListedModel, Plan, Price, UsageRecord
from config.jobs import JOBS
from config.models import Job
from credits.console import in_words, name_of
from credits.models import Account, Currency, Grant, Hold, LedgerEntry
from webhooks.models import InboundEvent

#: Title of a group, then model, title and icon of each page in it.
SIDEBAR: tuple[tuple[str, tuple[tuple[type[Model], str, str], ...]], ...] = (
    ("People", (
        (Customer, "Customers", "groups"), (User, "Users", "person"),
        (ApiKey, "API keys", "key"), (Invitation, "Invitations", "mail"),
        (SignUpInvitation, "Sign-ups", "person_add"),
        (AuditEntry, "Audit", "policy"), (Group, "Staff roles", "shield_person"),
    )),
    ("Money", (
        (Account, "Accounts", "account_balance_wallet"), (Grant, "Grants", "redeem"),
        (Hold, "Holds", "hourglass_top"), (LedgerEntry, "Ledger entries", "receipt_long"),
    )),
    ("Usage", (
        (UsageRecord, "Usage records", "bolt"), (Price, "Prices", "sell"), (Plan, "Plans", "loyalty"),
        (ListedModel, "Models", "smart_toy"),
    )),
    ("Outside", ((InboundEvent, "Webhook events", "webhook"), (Job, "Jobs", "schedule"))),
)  # fmt: skip

#: One that failed once or twice is tried again before long.
FAILURES_TO_LOOK_AT = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """One number on the first page, with the list behind it. ``alarm`` asks an operator to look."""

    title: str
    value: str
    note: str
    url: str
    alarm: bool = False


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: pages grouped by what they are about, as far as the operator may see them."""
    overview = {"title": "Overview", "icon": "dashboard", "link": reverse("admin:index")}
    groups = [
        {
            "title": title,
            "separator": True,
            "items": [
                {"title": name, "icon": icon, "link": rows_url(model), "active": is_within(request, model)}
                for model, name, icon in pages
                if may_view(request, model)
            ]
            + (reports(request) if title == "Money" else []),
        }
        for title, pages in SIDEBAR
    ]
    return [{"items": [overview]}, *groups]


def is_within(request: HttpRequest, model: type[Model]) -> bool:
    """Whether the page is one of ``model``'s, and no page of the sidebar's own below it."""
    return request.path.startswith(rows_url(model)) and request.path not in {page["link"] for page in reports(request)}


def reports(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages about money that are no list of rows."""
    if not may_view(request, LedgerEntry):
        return []
    link = reverse("admin:credits_ledgerentry_trial_balance")
    return [{"title": "Trial balance", "icon": "balance", "link": link}]


def stylesheet(request: HttpRequest) -> str:
    return static("prepaid/admin.css")


def favicon(request: HttpRequest) -> str:
    return static("prepaid/favicon.svg")


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures of the first page, one query for each list that the operator may see."""
    now = timezone.now()
    sources: tuple[tuple[type[Model], Callable[[], list[Figure]]], ...] = (
        (Customer, lambda: [customers()]),
        (Account, balances),
        (LedgerEntry, lambda: used(now)),
        (Hold, lambda: [overdue_holds(now)]),
        (InboundEvent, lambda: [failed_events()]),
        (Job, lambda: [neglected_jobs(now)]),
    )
    figures = [figure for model, read in sources if may_view(request, model) for figure in read()]
    return {**context, "title": "Overview", "figures": figures}


def customers() -> Figure:
    counts = Customer.objects.aggregate(
        all=Count("id"), teams=Count("id", filter=Q(kind=Customer.Kind.TEAM)), suspended=Count("suspended_at")
    )
    note = f"{counted(counts['teams'], 'team')}, {counts['suspended']:,} suspended"
    return Figure("Customers", f"{counts['all']:,}", note, rows_url(Customer))


def balances() -> list[Figure]:
    """What customers still have to spend, in each currency that there are accounts in. Test credits are no money."""
    sums = Account.objects.exclude(currency=Currency.TEST).order_by("currency").values("currency").annotate(
        balance=Sum("balance"), held=Sum("held"), owed=Sum("owed"), accounts=Count("id")
    )  # fmt: skip
    figures = []
    for row in sums:
        currency, name = row["currency"], name_of(row["currency"])
        accounts = f"on {counted(row['accounts'], 'account')}"
        shown = [
            (f"{name} outstanding", row["balance"], accounts, {}),
            (f"{name} held", row["held"], "promised to calls under way", {"state": "held"}),
            (f"{name} owed", row["owed"], "taken back but already spent", {"state": "owed"}),
        ]
        figures += [
            Figure(title, in_words(units, currency), note, rows_url(Account, currency__exact=currency, **narrowed))
            for title, units, note, narrowed in shown
            if units or not title.endswith("owed")
        ]
    unopened = "no account has been opened yet"
    return figures or [Figure("credits outstanding", "0", unopened, rows_url(Account))]


def used(now: datetime) -> list[Figure]:
    since = now - timedelta(hours=24)
    entries = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.USAGE, created_at__gte=since)
    entries = entries.exclude(account__currency=Currency.TEST)
    sums = entries.order_by("account__currency").values("account__currency").annotate(
        amount=Sum("amount"), calls=Count("hold", distinct=True)
    )  # fmt: skip
    url = rows_url(LedgerEntry, kind__exact=LedgerEntry.Kind.USAGE.value)
    figures = [
        Figure(
            f"{name_of(row['account__currency'])} used in 24 hours",
            in_words(-row["amount"], row["account__currency"]),
            f"by {counted(row['calls'], 'call')}",
            url,
        )
        for row in sums
    ]
    return figures or [Figure(f"{Currency.CREDITS} used in 24 hours", "0", "no call was charged", url)]


def overdue_holds(now: datetime) -> Figure:
    count = Hold.objects.filter(status=Hold.Status.PENDING, expires_at__lt=now).count()
    note = "run resolve_holds" if count else "each hold has an answer"
    return Figure("Holds past their time", f"{count:,}", note, rows_url(Hold, overdue="yes"), alarm=count > 0)


def failed_events() -> Figure:
    count = InboundEvent.objects.filter(status=InboundEvent.Status.FAILED).count()
    note = "kept, and not acted on" if count else "all were handled"
    return Figure(
        "Failed webhooks", f"{count:,}", note, rows_url(InboundEvent, status__exact="FAILED"), alarm=count > 0
    )


def neglected_jobs(now: datetime) -> Figure:
    """Jobs that fail again and again, or that no worker begins."""
    jobs = list(Job.objects.filter(name__in=JOBS))
    count = sum(job.failures >= FAILURES_TO_LOOK_AT or job.is_late(now) for job in jobs)
    note = "they fail, or wait for a worker" if count else "all are done in time"
    if not jobs:
        count, note = len(JOBS), "no worker has run: manage.py worker"
    return Figure("Jobs neglected", f"{count:,}", note, rows_url(Job), alarm=count > 0)
