"""What the bank's pages in the admin say of accounts, grants, holds and entries, cell by cell."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.console import EMPTY, Table, facts, label, link, link_to, rows_url
from accounts.models import ApiKey, Customer, User
from credits import services
from credits.admin import columns
from credits.admin.accounts import customer_name
from credits.admin.adjustment import AdjustmentForm
from credits.admin.books import PeriodForm, show_trial_balance
from credits.admin.movements import DrawInline, hold_status
from credits.amounts import MAXIMUM, UNIT, credits
from credits.books import HoldRequest
from credits.console import AmountField, amount, amount_column, currency_name, in_words, name_of
from credits.models import Account, Grant, Hold, LedgerEntry
from tests import factories

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HALF = UNIT // 2


def place(account: Account, amount: int, *, now: datetime, reference: str = "", **context: str) -> Hold:
    hold_id = services.new_hold_id()
    services.place_holds([HoldRequest(hold_id, account.pk, None, amount, now + DAY, context)], now=now)
    Hold.objects.filter(pk=hold_id).update(reference=reference)
    return Hold.objects.get(pk=hold_id)


def page_of(model: type[Model]) -> Any:
    return admin.site.get_model_admin(model)


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("root@example.com", name="Root")


@pytest.fixture
def console(boss: User) -> Client:
    client = Client()
    client.force_login(boss)
    return client


@pytest.fixture
def opened(customer: Customer) -> Account:
    return factories.account(customer)


# Amounts and words


def test_amounts_are_written_as_operators_read_them(opened: Account):
    assert [name_of(currency) for currency in ("credits", "usdc", "test")] == ["credits", "USDC", "test credits"]
    assert currency_name(opened) == "credits"
    assert [in_words(units, "credits") for units in (0, 1, HALF, -HALF)] == ["0", "0.0000001", "0.5", "-0.5"]
    assert [in_words(units, "credits", signed=True) for units in (0, 1, -1)] == ["0", "+0.0000001", "-0.0000001"]
    assert in_words(HALF, "usdc") == "0.50"
    assert amount(1, "credits") == '<span class="amount">0.0000001</span>'
    assert [amount(units, "credits", signed=True) for units in (1, 0, -1)] == [
        '<span class="amount incoming">+0.0000001</span>',
        '<span class="amount outgoing">0</span>',
        '<span class="amount outgoing">-0.0000001</span>',
    ]


def test_column_of_amounts_is_of_a_field_in_the_currency_of_its_account(opened: Account):
    column: Any = amount_column("balance_after", currency=lambda row: row.account.currency, signed=True)
    entry = LedgerEntry(account=opened, balance_after=HALF)

    assert column(entry) == amount(HALF, "credits", signed=True)
    assert (column.__name__, column.short_description, column.admin_order_field) == (
        "balance_after",
        "balance after",
        "balance_after",
    )


def test_amount_that_is_typed_is_units_or_refused_by_a_code():
    assert (AmountField().clean("12.5"), AmountField(required=False).clean("")) == (12 * UNIT + HALF, None)
    with pytest.raises(forms.ValidationError) as refused:
        AmountField().clean("twelve")
    assert refused.value.code == "invalid"


# Cells


def test_actor_is_a_link_where_the_text_names_somebody_with_a_page():
    def shown(text: str) -> str:
        return columns.actor(LedgerEntry(actor=text))

    assert shown("user:7") == link_to(User, "7", "user:7")
    assert shown("key:8") == link_to(ApiKey, "8", "key:8")
    assert [shown(text) for text in ("system", "user:ada", "stripe:9", "9", "")] == [
        "system",
        "user:ada",
        "stripe:9",
        "9",
        "",
    ]


def test_grant_says_where_in_its_life_it_is(opened: Account, now: datetime):
    waiting = factories.grant(opened, "1", effective_at=now + DAY)
    unspent = factories.grant(opened, "1", now=now)
    least = Grant(booked_at=now, remaining=1, expires_at=now + DAY)
    expired = Grant(booked_at=now, remaining=1, expires_at=now)
    spent = Grant(booked_at=now, remaining=0, expires_at=now)

    with time_machine.travel(now, tick=False):
        states = [columns.grant_state(grant) for grant in (waiting, unspent, least, expired, spent)]

    assert states == [
        label("waiting", "info"),
        label("open", "good"),
        label("open", "good"),
        label("expired", "warning"),
        label("used up"),
    ]


def test_hold_says_how_it_is_and_which_is_overdue(now: datetime):
    def shown(status: str, expires_at: datetime) -> str:
        with time_machine.travel(now, tick=False):
            return hold_status(Hold(status=status, expires_at=expires_at))

    assert [shown("PENDING", at) for at in (now - DAY, now, now + DAY)] == [
        label("overdue", "bad"),
        label("PENDING", "warning"),
        label("PENDING", "warning"),
    ]
    assert [shown("SETTLED", now - DAY), shown("RELEASED", now - DAY)] == [label("SETTLED", "good"), label("RELEASED")]


def test_entry_names_the_hold_that_caused_it_else_the_grant(opened: Account):
    grant = factories.grant(opened, "5", source="purchase:1")
    hold = factories.usage(opened, "1").hold
    given, spent = opened.entries.order_by("sequence")

    assert columns.short_id(hold) == columns.hold_id(hold) == str(hold.pk)[-12:]
    assert [columns.number(entry) for entry in (given, spent)] == [1, 2]
    assert [columns.hold_of(entry) for entry in (given, spent)] == [EMPTY, link(hold, str(hold.pk)[-12:])]
    assert [columns.cause(entry) for entry in (given, spent)] == [
        link(grant, "purchase:1"),
        link(hold, str(hold.pk)[-12:]),
    ]
    assert columns.grant_of(spent) == link(grant, "purchase:1")
    assert customer_name(opened) == opened.customer.name


# Tables


def test_page_of_an_account_has_its_newest_entries_open_grants_and_pending_holds(opened: Account):
    late = timezone.now() + DAY
    bought = factories.grant(
        opened, "50", now=START, source="purchase:1", category="PURCHASE", memo="A pack", priority=9
    )
    factories.grant(opened, "0.0000001", now=START, source="crumb", priority=8)
    trial = factories.grant(opened, "2", now=START, source="trial", expires_at=late)
    used_up = factories.grant(opened, "1", now=START, source="gift", priority=1)
    coming = factories.grant(opened, "7", now=START, source="plan", effective_at=late, expires_at=late + DAY)
    services.adjust(account=opened, amount=-credits(1), reference="ticket", memo="Mistake.", actor="system", now=START)
    named, nameless = (
        place(opened, HALF, now=START + hour, reference=text) for hour, text in ((DAY, "gen-1"), (2 * DAY, ""))
    )

    tables = page_of(Account).tables(opened)

    entries = list(opened.entries.order_by("-sequence"))
    cells = {"account__id__exact": opened.pk}
    crumb = Grant.objects.get(source="crumb")
    whole = {grant: amount(credits(units), "credits") for grant, units in ((bought, 50), (trial, 2), (coming, 7))}
    whole[crumb] = amount(1, "credits")
    expected = [
        Table(
            "Newest entries",
            ("When", "Kind", "Amount", "Balance after", "Grant", "Why"),
            [
                (
                    link(entry, "2026-03-01 12:00:00"),
                    label(entry.kind, columns.KIND_COLOURS[entry.kind]),
                    amount(entry.amount, "credits", signed=True),
                    amount(entry.balance_after, "credits"),
                    link(entry.grant, entry.grant.source),
                    why,
                )
                for entry, why in zip(entries, ("Mistake.", "gift", "trial", "crumb", "A pack"), strict=True)
            ],
            rows_url(LedgerEntry, **cells),
        ),
        Table(
            "Open grants, in the order they are spent",
            ("Grant", "Category", "Left", "Of", "Priority", "Expires", "State"),
            [
                (
                    link(grant, grant.source),
                    label(grant.category, columns.CATEGORY_COLOURS[grant.category]),
                    left,
                    whole[grant],
                    grant.priority,
                    expiry,
                    columns.grant_state(grant),
                )
                for grant, left, expiry in (
                    (crumb, amount(1, "credits"), "never"),
                    (bought, whole[bought], "never"),
                    (trial, whole[trial], f"{late:%Y-%m-%d %H:%M}"),
                    (coming, amount(0, "credits"), f"{late + DAY:%Y-%m-%d %H:%M}"),
                )
            ],
            rows_url(Grant, **cells),
        ),
        Table(
            "Pending holds",
            ("Hold", "Amount", "Placed", "Answered for until", "Reference"),
            [
                (
                    link(hold, columns.short_id(hold)),
                    amount(HALF, "credits"),
                    placed,
                    until,
                    reference,
                )
                for hold, placed, until, reference in (
                    (named, "2026-03-02 12:00:00", "2026-03-03 12:00:00", "gen-1"),
                    (nameless, "2026-03-03 12:00:00", "2026-03-04 12:00:00", EMPTY),
                )
            ],
            rows_url(Hold, **cells),
        ),
    ]
    assert tables == expected
    used_up.refresh_from_db()
    assert used_up.remaining == 0


def test_pages_of_grants_holds_and_entries_show_what_hangs_on_them(console: Client, opened: Account):
    factories.grant(opened, "5", source="purchase:1")
    record = factories.usage(opened, "1")
    pending = place(opened, 1, now=timezone.now(), model="openai/gpt-4o-mini")
    given, spent = opened.entries.order_by("sequence")
    grants, holds, entries = (page_of(model) for model in (Grant, Hold, LedgerEntry))

    assert [(table.title, len(table.rows), table.all_url) for table in grants.tables(given.grant)] == [
        ("Newest entries", 2, rows_url(LedgerEntry, grant__id__exact=given.grant_id))
    ]
    assert [(table.title, len(table.rows), table.all_url) for table in holds.tables(record.hold)] == [
        ("Entries", 1, rows_url(LedgerEntry, hold__id__exact=record.hold.pk))
    ]
    assert [holds.used_for(hold) for hold in (record.hold, pending)] == [link(record), EMPTY]
    assert [entries.paid_for(entry) for entry in (given, spent)] == [EMPTY, link(record)]
    assert [holds.details(hold) for hold in (record.hold, pending)] == [EMPTY, facts({"model": "openai/gpt-4o-mini"})]


def test_draws_of_a_hold_are_read_with_their_grants_and_accounts(console: Client, boss: User, opened: Account):
    for _ in range(3):
        factories.grant(opened, "1")
    hold = place(opened, credits(3), now=timezone.now())
    request = RequestFactory().get("/")
    request.user = boss
    inline = DrawInline(Hold, admin.site)

    with CaptureQueriesContext(connection) as queries:
        currencies = [draw.grant.account.currency for draw in inline.get_queryset(request).filter(hold=hold)]

    assert (currencies, len(queries)) == (["credits"] * 3, 1)


def test_hold_is_found_by_its_whole_id_and_otherwise_as_text(boss: User, opened: Account):
    factories.grant(opened, "1")
    wanted, other = (place(opened, 1, now=timezone.now(), reference=f"gen-{name}") for name in ("a", "b"))
    holds = page_of(Hold)
    request = RequestFactory().get("/")
    request.user = boss

    def found(text: str) -> tuple[list[Hold], bool]:
        rows, may_repeat = holds.get_search_results(request, Hold.objects.order_by("pk"), text)
        return list(rows), may_repeat

    assert found(f" {wanted.pk} ") == ([wanted], False)
    assert found("gen-b")[0] == [other]


# The two pages of their own


def test_adjust_page_says_whose_account_it_is_and_what_there_is(console: Client, account: Account):
    page: Any = console.get(reverse("admin:credits_account_adjust", args=[account.pk]))

    told = {name: page.context[name] for name in ("title", "subtitle", "original", "account", "currency", "available")}
    assert told == {
        "title": "Adjust credits",
        "subtitle": str(account),
        "original": account,
        "account": account,
        "currency": "credits",
        "available": "100",
    }
    assert page.context["opts"] == Account._meta


def test_receipt_of_an_adjustment_names_its_last_entry(console: Client, account: Account):
    factories.grant(account, "5", expires_at=timezone.now() + DAY)
    sent = {"amount": "-12.5", "reference": "ticket-1", "memo": "Granted twice", "_confirm": ""}

    page: Any = console.post(reverse("admin:credits_account_adjust", args=[account.pk]), sent, follow=True)

    newest = account.entries.get(sequence=4)
    [message] = page.context["messages"]
    assert f"Booked -12.5 as {link(newest, 'entry 4')}." in str(message)


def adjustment(account: Account, amount: str) -> AdjustmentForm:
    return AdjustmentForm({"amount": amount, "reference": "r", "memo": "m"}, account=account)


def test_an_account_holds_the_most_there_is_and_not_a_unit_more(opened: Account):
    whole, rest = divmod(MAXIMUM, UNIT)
    most = f"{whole}.{rest:07d}"

    assert adjustment(opened, most).is_valid()
    opened.balance = 1
    assert adjustment(opened, most).errors == {"amount": ["That is more than an account can hold."]}


def test_refusal_says_what_is_available_by_now(account: Account, now: datetime):
    form = adjustment(account, "-100")
    assert form.is_valid()
    factories.usage(Account.objects.get(pk=account.pk), "30")

    assert form.book(actor="system", now=now, rehearse=False) is None
    assert form.errors == {"amount": ["Only 70 credits are available to take away."]}


def test_trial_balance_page_says_what_there_was_and_what_moved(console: Client, opened: Account):
    factories.grant(opened, "100", now=START)
    factories.usage(opened, "30", created_at=START + DAY)
    services.adjust(account=opened, amount=-HALF, reference="r", memo="m", actor="system", now=START + 9 * DAY)
    period = {"from": "2026-03-02", "to": "2026-03-31"}

    page: Any = console.get(reverse("admin:credits_ledgerentry_trial_balance"), period)

    told = {name: page.context[name] for name in ("title", "opening", "closing", "currency", "is_empty", "csv_url")}
    assert told == {
        "title": "Trial balance",
        "opening": amount(credits(100), "credits"),
        "closing": amount(credits(70) - HALF, "credits"),
        "currency": "credits",
        "is_empty": False,
        "csv_url": "?currency=credits&from=2026-03-02&to=2026-03-31&format=csv",
    }
    assert page.context["opts"] == LedgerEntry._meta
    assert {name: str(page.context["form"][name].value()) for name in ("currency", "from", "to")} == {
        "currency": "credits",
        **period,
    }
    assert page.context["tables"] == [
        Table(
            "By kind of entry",
            ("Kind", "Entries", "Amount", "Against"),
            [
                ("USAGE", "1", amount(-credits(30), "credits", signed=True), "revenue"),
                ("ADJUSTMENT", "1", amount(-HALF, "credits", signed=True), "adjustments"),
            ],
            rows_url(
                LedgerEntry,
                account__currency__exact="credits",
                created_at__gte="2026-03-02T00:00:00+00:00",
                created_at__lt="2026-03-31T00:00:00+00:00",
            ),
        ),
        Table(
            "What stands against it",
            ("Account", "Amount", "Meaning"),
            [
                ("Issued", "0", "given to customers"),
                ("Revenue", "30", "earned"),
                ("Breakage", "0", "expired unspent: ours to keep"),
                ("Refunds", "0", "taken back by refunds and disputes"),
                ("Adjustments", "0.5", "corrected by hand"),
            ],
        ),
    ]


def test_days_of_the_trial_balance_are_picked_from_a_calendar():
    fields = PeriodForm().fields

    assert {name: field.widget.input_type for name, field in fields.items() if name != "currency"} == {
        "from": "date",
        "to": "date",
    }


def test_trial_balance_asks_itself_who_may_see_it(db: None):
    request = RequestFactory().get("/")
    request.user = User.objects.create_user("staff@example.com", is_staff=True)

    with pytest.raises(PermissionDenied):
        show_trial_balance(page_of(LedgerEntry), request)
