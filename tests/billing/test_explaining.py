"""A balance explained: in a shell, in the admin and over HTTP, which all say the same."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags
from rest_framework.test import APIClient

from accounts.models import Customer, User
from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, LedgerEntry
from tests import factories

pytestmark = pytest.mark.django_db

NOON = datetime.fromisoformat("2026-11-20T12:00:00Z")
HOUR = timedelta(hours=1)

Shell = Callable[..., list[str]]


@pytest.fixture
def shell() -> Shell:
    def run(*words: object) -> list[str]:
        said = StringIO()
        call_command(*map(str, words), stdout=said)
        return said.getvalue().splitlines()

    return run


@pytest.fixture
def console() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


@pytest.fixture
def used(customer: Customer) -> Account:
    """100 bought at noon and 7 to try until one; a chat of 4 at noon, and 5 held since then."""
    account = factories.account(customer)
    factories.grant(account, "100", source="purchase:1", now=NOON)
    factories.grant(account, "7", source="trial", now=NOON, expires_at=NOON + HOUR)
    factories.grant(account, "9", source="plan:12", now=NOON, effective_at=NOON + 24 * HOUR)
    factories.usage(
        account, "4", created_at=NOON, request_id="req-9", generation_id="gen-9", prompt_tokens=12, completion_tokens=34
    )
    pending = HoldRequest(services.new_hold_id(), account.pk, None, credits(5), NOON + HOUR)
    services.place_holds([pending], now=NOON)
    return account


def page(account: Account) -> str:
    return reverse("admin:credits_account_explain", args=[account.pk])


def words(answer) -> str:
    return " ".join(strip_tags(answer.content.decode()).split())


# In a shell


@time_machine.travel(NOON, tick=False)
def test_balance_is_explained_by_lots_holds_and_entries(shell: Shell, used: Account):
    price = LedgerEntry.objects.get(kind="USAGE").hold.usage.price_id

    said = shell("explain_balance", used.customer_id, "--entries", 2)

    assert said == [
        f"{used} at 2026-11-20 12:00:00 UTC: balance 103, held 5, available 98, owed 0",
        "",
        "What is left, in the order in which it is spent:",
        "  3 of 7 (3 of it held): trial, expires 2026-11-20 13:00 UTC",
        "  100 of 100 (2 of it held): purchase:1",
        "",
        "Granted, but not in effect before:",
        "  9 from 2026-11-21 12:00 UTC: plan:12",
        "",
        "Held:",
        "  5 since 2026-11-20 12:00:00 UTC",
        "",
        "The newest of 3 entries:",
        f"       3  2026-11-20 12:00:00  USAGE      {'-4':>12}  → {'103':>12}  1 × ai_text_chat by openai/gpt-4o-mini, "
        f"price {price}, 12 → 34 tokens, generation gen-9, request req-9 (system)",
        f"       2  2026-11-20 12:00:00  GRANT      +{'7':>12}  → {'107':>12}  trial (system)",
    ]


@time_machine.travel(NOON + 2 * HOUR, tick=False)
def test_what_has_fallen_due_counts_before_it_is_booked(shell: Shell, used: Account):
    services.release_holds([used.holds.get(status="PENDING").pk.hex], now=NOON)

    said = shell("explain_balance", used.customer_id)

    assert said[0].startswith(f"{used} at 2026-11-20 14:00:00 UTC: balance 100, held 0, available 100")
    assert "  EXPIRY -3 on 2026-11-20 13:00 UTC, when the account is touched next: trial" in said


@time_machine.travel(NOON + 2 * HOUR, tick=False)
def test_the_past_is_explained_as_it_was(shell: Shell, used: Account):
    services.bring_up_to_date([used.pk], now=NOON + 2 * HOUR)
    before = LedgerEntry.objects.count()

    said = shell("explain_balance", used.customer_id, "--at", "2026-11-20T12:30:00Z", "--since", "2026-11-20T11:00:00Z")

    assert said[:7] == [
        f"{used} at 2026-11-20 12:30:00 UTC: balance 103, held 5, available 98",
        "",
        "Since 2026-11-20 11:00:00 UTC:",
        f"  opening     {'0':>16}",
        f"  GRANT       {'107':>16}  2 entries, issued",
        f"  USAGE       {'-4':>16}  1 entries, revenue",
        f"  closing     {'103':>16}",
    ]
    assert LedgerEntry.objects.count() == before


def test_explanation_of_nothing(shell: Shell, customer: Customer):
    said = shell("explain_balance", customer.pk, "--currency", "usdc")

    assert said == [f"{customer} has no account in usdc: nothing was ever granted."]


@pytest.mark.parametrize("number", ["-1", "many", "²", "1.5"])
def test_number_of_entries_is_a_number(shell: Shell, account: Account, number: str):
    with pytest.raises(CommandError, match=f"'{re.escape(number)}' is not a number of entries"):
        shell("explain_balance", account.customer_id, f"--entries={number}")


@pytest.mark.parametrize("at", ["noon", "2026-11-20", "2026-11-20T12:00:00", "2026-13-20T12:00:00Z"])
def test_an_instant_has_its_zone(shell: Shell, account: Account, at: str):
    with pytest.raises(CommandError, match="is not an instant with its zone"):
        shell("explain_balance", account.customer_id, "--at", at)


@pytest.mark.parametrize(
    "asked", [["--at", "2999-01-01T00:00:00Z"], ["--at", "2026-01-01T00:00:00Z", "--since", "2026-01-01T00:00:00Z"]]
)
def test_nobody_knows_the_future(shell: Shell, account: Account, asked: list[str]):
    with pytest.raises(CommandError, match="must not be in the future"):
        shell("explain_balance", account.customer_id, *asked)


# In the admin


@time_machine.travel(NOON + 2 * HOUR, tick=False)
def test_the_page_tells_lot_by_lot_and_entry_by_entry(console: Client, used: Account):
    shown = words(console.get(page(used), {"at": "2026-11-20T12:30:00"}))

    assert "Available98" in shown
    assert "purchase:1" in shown
    assert "Held5" in shown
    assert "12 → 34 tokens, generation gen-9, request req-9" in shown
    assert "What changed" not in shown
    assert "What changed" in words(console.get(page(used), {"at": "2026-11-20T12:30:00", "since": "2026-11-20T11:00"}))


def test_the_page_of_an_account_without_entries(console: Client, customer: Customer):
    shown = words(console.get(page(factories.account(customer))))

    assert "Available0" in shown
    assert "There is none." in shown


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"at": "2999-01-01T00:00:00"}, "Nobody knows the future."),
        ({"since": "2999-01-01T00:00:00"}, "Nobody knows the future."),
        ({"at": "2026-01-01T00:00:00", "since": "2026-01-02T00:00:00"}, "It must be earlier than the other."),
        ({"at": "yesterday"}, "Enter a valid date/time."),
        ({"before": "0"}, "Ensure this value is greater than or equal to 1."),
    ],
)
def test_a_wrong_instant_is_said(console: Client, account: Account, asked: dict[str, str], said: str):
    answer = console.get(page(account), asked)

    assert answer.status_code == 200
    assert said in words(answer)


def test_more_entries_than_a_page_are_on_the_next(console: Client, customer: Customer):
    account = factories.account(customer)
    for _ in range(51):
        factories.grant(account, "1")

    first = console.get(page(account))
    second = console.get(page(account) + first.context["following_url"])

    assert [len(answer.context["entries"].rows) for answer in (first, second)] == [50, 1]
    assert second.context["following_url"] == ""


def test_who_may_not_see_accounts_sees_no_explanation(client: Client, account: Account):
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))

    assert client.get(page(account)).status_code in (302, 403)


# All three


@time_machine.travel(NOON + 3 * HOUR, tick=False)
@pytest.mark.parametrize("at", ["2026-11-20T11:59:59Z", "2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z"])
def test_shell_admin_and_api_say_the_same(shell: Shell, console: Client, used: Account, customer: Customer, at: str):
    api = APIClient(headers={"authorization": f"Bearer {factories.api_key(customer)}"})

    told = api.get("/api/credits/explain", {"at": at}).json()
    said = shell("explain_balance", customer.pk, "--at", at, "--entries", 99)
    shown = console.get(page(used), {"at": at.removesuffix("Z")})

    sums = f"balance {told['balance']}, held {told['held']}, available {told['available']}"
    assert said[0].endswith(sums)
    assert [strip_tags(str(figure.value)) for figure in shown.context["figures"]] == [
        told["available"], told["balance"], told["held"],
    ]  # fmt: skip
    listed = [int(line.split()[0]) for line in said if re.match(r" {4,}\d+  2026", line)]
    assert listed == [entry["sequence"] for entry in told["entries"]]
    assert [int(strip_tags(row[0])) for row in shown.context["entries"].rows] == listed
    assert [UUID(hold["id"]) for hold in told["holds"]] == list(
        used.holds.filter(status="PENDING").values_list("pk", flat=True) if at >= "2026-11-20T12" else []
    )
