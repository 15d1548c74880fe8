"""All balances as one: what went in and out by kind, and that it adds up, whatever is sealed."""

import csv
import io
import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.test import APIClient

from accounts.errors import PermissionDenied
from accounts.models import User
from accounts.permissions import IsAdministrator
from accounts.principals import Principal
from credits import audit, services
from credits.administration.views import TrialBalanceView
from credits.amounts import credits
from credits.books import HoldRequest
from credits.kinds import COUNTER_ACCOUNTS, KINDS
from credits.models import Account, Currency, DayTotal
from credits.reversals import reverse as reverse_grant
from credits.seals import seal_day
from credits.trial_balance import TrialBalance, trial_balance
from tests import factories
from tests.accounts.tokens import SERVICE_SECRET, service_token

pytestmark = pytest.mark.django_db

DAYS = [date(2026, 3, number) for number in range(1, 8)]


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def spend(account: Account, amount: int, now: datetime) -> None:
    hold_id = services.new_hold_id()
    services.place_holds([HoldRequest(hold_id, account.pk, None, amount, now + timedelta(hours=1))], now=now)
    services.settle_holds([(hold_id, amount)], actor="system", now=now)


@pytest.fixture
def account() -> Account:
    """One that was given 100 on the 1st and 20 until the 3rd, spent 30, was refunded 10, and corrected by -5."""
    account = factories.account()
    factories.grant(account, "100", now=at(1), source="purchase:1")
    factories.grant(account, "20", now=at(1), expires_at=at(3))
    spend(account, credits(15), at(2))
    services.bring_up_to_date([account.pk], now=at(3, 13))
    spend(account, credits(15), at(4))
    reverse_grant(
        account=account, source="purchase:1", key="refund:1", kind="REFUND", asked=credits(10), as_of=at(5),
        actor="system", now=at(5),
    )  # fmt: skip
    services.adjust(
        account=account, amount=-credits(5), reference="t-1", memo="counted twice", actor="user:1", now=at(6)
    )
    factories.grant(factories.account(currency=Currency.USDC), "7", now=at(2))
    return account


def amounts(balance: TrialBalance) -> dict[str, int]:
    return {line.kind: line.amount for line in balance.lines if line.entries}


@pytest.mark.parametrize("sealed", [[], [DAYS[1]], [DAYS[0], DAYS[3]], DAYS], ids=lambda days: f"{len(days)} sealed")
def test_the_whole_time_adds_up_to_what_there_is(account: Account, sealed: list[date]):
    for day in sealed:
        seal_day(day, now=at(9))

    balance = trial_balance("credits", DAYS[0], DAYS[6])

    assert balance.opening == 0
    assert amounts(balance) == {
        "GRANT": credits(120),
        "USAGE": credits(-30),
        "EXPIRY": credits(-5),
        "REFUND": credits(-10),
        "ADJUSTMENT": credits(-5),
    }
    assert balance.counter_accounts == {
        "issued": credits(-120),
        "revenue": credits(30),
        "breakage": credits(5),
        "refunds": credits(10),
        "adjustments": credits(5),
    }
    assert balance.closing == Account.objects.filter(currency="credits").aggregate(sum=Sum("balance"))["sum"]
    assert trial_balance("usdc", DAYS[0], DAYS[6]).closing == credits(7)


@pytest.mark.parametrize("sealed", [[], [DAYS[1]], [DAYS[4]], DAYS], ids=lambda days: f"{len(days)} sealed")
def test_every_period_opens_with_what_the_one_before_closed_with(account: Account, sealed: list[date]):
    for day in sealed:
        seal_day(day, now=at(9))

    whole = trial_balance("credits", DAYS[0], DAYS[6])
    days = [trial_balance("credits", day, day + timedelta(days=1)) for day in DAYS[:6]]

    assert [each.opening for each in days] == [0, *(each.closing for each in days[:-1])]
    assert days[-1].closing == whole.closing
    for number, kind in enumerate(KINDS):
        assert sum(each.lines[number].amount for each in days) == whole.lines[number].amount, kind
        assert sum(each.lines[number].entries for each in days) == whole.lines[number].entries, kind
    for each in days:
        assert each.opening - sum(each.counter_accounts.values()) == each.closing


def test_a_day_is_summed_up_once(account: Account):
    seal_day(DAYS[1], now=at(9))
    seal_day(DAYS[1], now=at(9))
    seal_day(DAYS[5], now=at(9))

    found = DayTotal.objects.filter(currency="credits").order_by("day", "kind")
    assert list(found.values_list("day", "kind", "entries", "amount")) == [
        (DAYS[0], "GRANT", 2, credits(120)),
        (DAYS[1], "USAGE", 1, credits(-15)),
        (DAYS[2], "EXPIRY", 1, credits(-5)),
        (DAYS[3], "USAGE", 1, credits(-15)),
        (DAYS[4], "REFUND", 1, credits(-10)),
        (DAYS[5], "ADJUSTMENT", 1, credits(-5)),
    ]


@pytest.mark.books_are_cooked
@pytest.mark.parametrize(
    ("falsify", "expected"),
    [
        (
            lambda: DayTotal.objects.filter(kind="USAGE", day=DAYS[1]).update(amount=-1),
            ["USAGE on 2026-03-02 in credits: the sum of its entries is -0.0000001 of 1 entries, but -15 of 1 entries"],
        ),
        (
            lambda: DayTotal.objects.filter(kind="USAGE", day=DAYS[1]).update(entries=2),
            ["USAGE on 2026-03-02 in credits: the sum of its entries is -15 of 2 entries, but -15 of 1 entries"],
        ),
        (
            lambda: DayTotal.objects.filter(kind="USAGE", day=DAYS[1]).delete(),
            ["USAGE on 2026-03-02 in credits: the sum of its entries is 0 of 0 entries, but -15 of 1 entries"],
        ),
        (
            lambda: DayTotal.objects.create(day=DAYS[0], currency="usdc", kind="GRANT", entries=1, amount=1),
            ["GRANT on 2026-03-01 in usdc: the sum of its entries is 0.0000001 of 1 entries, but 0 of 0 entries"],
        ),
        (
            lambda: DayTotal.objects.filter(kind="USAGE", day=DAYS[1]).update(currency="usdc"),
            [
                "USAGE on 2026-03-02 in credits: the sum of its entries is 0 of 0 entries, but -15 of 1 entries",
                "USAGE on 2026-03-02 in usdc: the sum of its entries is -15 of 1 entries, but 0 of 0 entries",
            ],
        ),
    ],
)
def test_a_total_that_is_not_the_sum_is_found(account: Account, falsify, expected):
    seal_day(DAYS[5], now=at(9))
    assert list(audit.findings(lambda entries: None)) == []

    falsify()

    assert [str(finding) for finding in audit.findings(lambda entries: None)] == [
        f"day total of {text} is proved" for text in expected
    ]


# Over HTTP


def person(external_id: str) -> APIClient:
    token = service_token(userId=external_id, exp=int(time.time()) + 60)
    return APIClient(headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def administrator(settings) -> APIClient:
    settings.SERVICE_JWT_SECRET = SERVICE_SECRET
    factories.UserFactory.create(external_id="user_boss", is_staff=True)
    return person("user_boss")


URL = "/api/admin/ledger/trial-balance"
PERIOD = {"from": "2026-03-01", "to": "2026-03-07"}


def test_an_administrator_reads_it(administrator: APIClient, account: Account):
    body = administrator.get(URL, PERIOD).json()

    assert {name: body[name] for name in ("currency", "from", "to", "opening", "closing")} == {
        "currency": "credits", "from": "2026-03-01", "to": "2026-03-07", "opening": "0", "closing": "70",
    }  # fmt: skip
    assert [line["kind"] for line in body["lines"]] == list(KINDS)
    assert body["lines"][1] == {"kind": "USAGE", "counterAccount": "revenue", "entries": 2, "amount": "-30"}
    assert body["counterAccounts"] == {
        "issued": "-120", "revenue": "30", "breakage": "5", "refunds": "10", "adjustments": "5",
    }  # fmt: skip
    assert tuple(body["counterAccounts"]) == COUNTER_ACCOUNTS


def test_it_is_a_spreadsheet_too(administrator: APIClient, account: Account):
    response = administrator.get(f"{URL}.csv", PERIOD)

    table = list(csv.reader(io.StringIO(response.getvalue().decode())))
    assert response["Content-Disposition"] == ('attachment; filename="trial-balance-credits-2026-03-01-2026-03-07.csv"')
    assert table[0] == ["line", "counterAccount", "entries", "amount"]
    assert table[1] == ["opening", "liability", "", "0"]
    assert ["USAGE", "revenue", "2", "-30"] in table
    assert table[-1] == ["closing", "liability", "", "70"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "2026-03-07", "to": "2026-03-07"}, "query.to"),
        ({"from": "1999-12-31"}, "query.to"),
        ({"to": "9999-12-31"}, "query.to"),
        ({"from": "march"}, "query.from"),
        ({"currency": "doge"}, "query.currency"),
        ({"until": "2026-03-07"}, "query"),
    ],
)
def test_a_wrong_period_is_named(administrator: APIClient, asked, field):
    response = administrator.get(URL, asked)

    assert response.status_code == 400
    assert [detail["field"] for detail in response.json()["details"]] == [field]


def test_a_period_of_nothing_is_invalid(administrator: APIClient):
    refused = administrator.get(URL, {"from": "2026-03-07", "to": "2026-03-07"})

    assert [detail["code"] for detail in refused.json()["details"]] == ["INVALID"]


def test_the_longest_period_is_one(administrator: APIClient, account: Account):
    asked = {"from": "2000-01-01", "to": "9999-12-30"}

    body = administrator.get(URL, asked).json()

    assert {name: body[name] for name in asked} == asked
    assert (body["opening"], body["closing"]) == ("0", "70")


@pytest.mark.parametrize(
    ("end", "start"), [("2026-03-01", "2026-02-28"), ("2026-03-02", "2026-03-01"), ("9999-12-30", "2026-03-01")]
)
def test_a_period_without_its_begin_is_of_this_month_or_of_the_day_before(administrator: APIClient, end, start):
    with time_machine.travel(datetime(2026, 3, 31, 12, tzinfo=UTC), tick=False):
        assert administrator.get(URL, {"to": end}).json()["from"] == start


def test_without_a_period_it_is_this_month(administrator: APIClient, account: Account, now: datetime):
    body = administrator.get(URL).json()

    today = now.astimezone(UTC).date()
    assert (body["from"], body["to"]) == (str(today.replace(day=1)), str(today + timedelta(days=1)))
    assert (body["opening"], body["closing"]) == ("70", "70")


def test_only_administrators_read_it(settings, api: APIClient, anonymous: APIClient):
    settings.SERVICE_JWT_SECRET = SERVICE_SECRET
    member = factories.UserFactory.create(external_id="user_member", email="member@example.com")
    somebody = person("user_member")

    assert anonymous.get(URL).status_code == 401
    assert api.get(URL).status_code == 403
    assert somebody.get(URL).status_code == 403

    settings.ADMIN_EMAILS = ["member@example.com"]
    assert somebody.get(URL).status_code == 200
    settings.ADMIN_EMAILS = []
    settings.ADMIN_USER_IDS = ["user_member"]
    assert somebody.get(URL).status_code == 200
    User.objects.filter(pk=member.pk).update(is_active=False)
    assert somebody.get(URL).status_code == 403


def test_who_acts_in_an_administrators_name_is_none():
    boss = factories.UserFactory.create(is_staff=True)
    themselves = Principal(boss.personal_customer, boss, None, frozenset({"read"}), "OWNER")
    request = Request(HttpRequest())

    request.auth = themselves
    assert IsAdministrator().has_permission(request, TrialBalanceView())
    request.auth = replace(themselves, impersonator="user_operator")
    with pytest.raises(PermissionDenied):
        IsAdministrator().has_permission(request, TrialBalanceView())


# In a shell, and in the admin


def test_the_command_says_the_same(administrator: APIClient, account: Account):
    asked = ["--from", "2026-03-01", "--to", "2026-03-07"]
    as_json, as_csv, as_text = io.StringIO(), io.StringIO(), io.StringIO()

    call_command("trial_balance", *asked, "--json", stdout=as_json)
    call_command("trial_balance", *asked, "--csv", stdout=as_csv)
    call_command("trial_balance", *asked, stdout=as_text)

    assert json.loads(as_json.getvalue()) == administrator.get(URL, PERIOD).json()
    assert as_csv.getvalue() == administrator.get(f"{URL}.csv", PERIOD).getvalue().decode()
    first, empty, opening, *_, closing = as_text.getvalue().splitlines()
    assert first == "credits from 2026-03-01 up to, not including, 2026-03-07"
    assert (empty, opening.split(), closing.split()) == (
        "",
        ["opening", "liability", "0"],
        ["closing", "liability", "70"],
    )
    assert "USAGE (revenue) -30 2 entries" in " ".join(as_text.getvalue().split())
    with pytest.raises(CommandError, match="must be earlier"):
        call_command("trial_balance", "--from", "2026-03-07", "--to", "2026-03-07")


@pytest.mark.parametrize(
    ("today", "asked", "period"),
    [
        (31, [], ("2026-03-01", "2026-04-01")),
        (1, [], ("2026-03-01", "2026-03-02")),
        (31, ["--to", "2026-03-01"], ("2026-02-28", "2026-03-01")),
        (31, ["--to", "2026-03-02"], ("2026-03-01", "2026-03-02")),
        (31, ["--from", "2026-02-01"], ("2026-02-01", "2026-04-01")),
    ],
)
def test_the_command_shows_this_month_up_to_today_unless_told_otherwise(today, asked, period):
    said = io.StringIO()

    with time_machine.travel(datetime(2026, 3, today, 12, tzinfo=UTC), tick=False):
        call_command("trial_balance", *asked, "--json", stdout=said)

    balance = json.loads(said.getvalue())
    assert (balance["from"], balance["to"]) == period


def test_the_admin_shows_it(client, account: Account):
    client.force_login(User.objects.create_superuser("root@example.com"))
    page = reverse("admin:credits_ledgerentry_trial_balance")

    shown = client.get(page, PERIOD)
    empty = client.get(page, {"from": "2025-01-01", "to": "2025-02-01"})
    wrong = client.get(page, {"from": "2026-03-07", "to": "2026-03-01"})
    download = client.get(page, PERIOD | {"format": "csv"})

    assert shown.context["balance"] == trial_balance("credits", DAYS[0], DAYS[6])
    assert "By kind of entry" in shown.content.decode()
    assert "No credits moved in this period." in empty.content.decode()
    assert "Must be later than" in wrong.content.decode()
    assert download["Content-Type"].startswith("text/csv")


def test_the_admin_shows_it_to_those_alone_who_may_see_entries(client):
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))

    assert client.get(reverse("admin:credits_ledgerentry_trial_balance")).status_code == 403
