"""Balances that administrators correct and grants that they give: movements of the ledger, each once."""

from datetime import datetime, timedelta
from functools import partial

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from credits import services
from credits.administration.adjustments.services import adjust, change_to, reference_of
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, Grant, LedgerEntry
from credits.reversals import reverse
from tests import factories
from tests.accounts.people import team_of
from tests.administration import ask, fields_of, refusals
from tests.racing import at_once

pytestmark = pytest.mark.django_db

GIFT = {"adjustment": 50, "reason": "sorry for the outage"}


@pytest.fixture
def url(user: User) -> str:
    return f"/api/admin/users/{user.pk}/credits"


def hold(account: Account, amount: int) -> None:
    now = timezone.now()
    request = HoldRequest(services.new_hold_id(), account.pk, None, amount, now + timedelta(hours=1))
    services.place_holds([request], now=now)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "users/{user}/credits", None),
        ("PUT", "users/{user}/credits", {"credits": 1000, "reason": "mine"}),
        ("PUT", "credits/{account}", {"adjustment": 1000, "reason": "mine"}),
        ("POST", "users/{user}/grants", {"amount": "1000", "reason": "mine"}),
        ("POST", "customers/{customer}/grants", {"amount": "1000", "reason": "mine"}),
    ],
)
def test_nobody_else_reads_or_gives(administrator, api, account, user, method, path, body) -> None:
    path = path.format(user=user.pk, account=account.pk, customer=account.customer_id)

    assert refusals((method, f"/api/admin/{path}", body), api=api) == [401, 403, 403]
    assert Account.objects.get().balance == credits(100)


def test_more_is_given_and_said_in_the_ledger(administrator: APIClient, account: Account, user: User, url: str) -> None:
    body = ask(administrator, "PUT", url, GIFT).json()

    assert (body["creditsRemaining"], body["adjusted"], body["userId"], body["id"]) == (150, "50", user.pk, account.pk)
    entry = LedgerEntry.objects.latest("pk")
    boss = User.objects.get(external_id="user_boss")
    assert (entry.kind, entry.amount, entry.memo, entry.actor) == (
        "GRANT", credits(50), "sorry for the outage", f"user:{boss.pk}",
    )  # fmt: skip
    audit = AuditEntry.objects.get(action="credits.adjusted")
    assert (audit.customer, audit.subject, audit.details) == (
        account.customer,
        f"account:{account.pk}",
        {"amount": "50", "currency": "credits", "reference": entry.grant.source.split(":", 2)[2]},
    )
    assert {name: body[name] for name in administrator.get(url).json()} == administrator.get(url).json()


@pytest.mark.parametrize(
    ("asked", "left", "adjusted"),
    [
        ({"credits": 30}, 30, "-70"),
        ({"credits": "30.5"}, "30.5", "-69.5"),
        ({"credits": 100}, 100, "0"),
        ({"credits": 0}, 0, "-100"),
        ({"credits": 400}, 400, "300"),
        ({"adjustment": -30}, 70, "-30"),
        ({"adjustment": "-0.0000001"}, "99.9999999", "-0.0000001"),
        ({"adjustment": -500}, 0, "-100"),
    ],
)
def test_a_balance_is_set_or_changed(administrator, account, url, asked, left, adjusted) -> None:
    body = ask(administrator, "PUT", url, {**asked, "reason": "counted again"}).json()

    assert (body["creditsRemaining"], body["adjusted"]) == (left, adjusted)


def test_what_is_held_for_calls_is_not_taken(administrator: APIClient, account: Account, url: str) -> None:
    hold(account, credits(60))

    body = ask(administrator, "PUT", url, {"adjustment": -500, "reason": "fraud"}).json()

    assert (body["creditsRemaining"], body["held"], body["balance"], body["adjusted"]) == (0, "60", "60", "-40")
    assert ask(administrator, "PUT", url, {"credits": 0, "reason": "fraud"}).json()["adjusted"] == "0"


def test_what_is_owed_is_paid_beside_it(administrator: APIClient, user: User, url: str) -> None:
    account, now = factories.account(user.personal_customer), timezone.now()
    factories.grant(account, "20", source="purchase:1")
    services.debit(
        account=account, amount=credits(20), kind="ADJUSTMENT", reference="r", actor="system", memo="m", now=now
    )
    reverse(
        account=account, source="purchase:1", key="refund:1", kind="REFUND", asked=credits(20), as_of=now,
        actor="system", now=now,
    )  # fmt: skip

    body = ask(administrator, "PUT", url, {"credits": 5, "reason": "goodwill"}).json()

    assert (body["creditsRemaining"], body["owed"], body["adjusted"]) == (5, "0", "25")


def test_grants_that_fell_due_do_not_count(administrator: APIClient, user: User, url: str) -> None:
    account, now = factories.account(user.personal_customer), timezone.now()
    factories.grant(account, "40", now=now - timedelta(days=2), expires_at=now - timedelta(days=1))

    body = ask(administrator, "PUT", url, {"credits": 10, "reason": "new month"}).json()

    assert (body["creditsRemaining"], body["adjusted"]) == (10, "10")


def test_the_same_request_counts_once(administrator: APIClient, account: Account, url: str) -> None:
    answers = [ask(administrator, "PUT", url, GIFT, key="one") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"
    account.refresh_from_db()
    assert account.balance == credits(150)
    assert administrator.put(url, GIFT).json()["error"] == "idempotency_key_missing"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"credits": 1}, "body.reason"),
        ({"credits": 1, "reason": ""}, "body.reason"),
        ({"credits": 1, "reason": "x" * 501}, "body.reason"),
        ({"reason": "x"}, "body.credits"),
        ({"credits": 1, "adjustment": 1, "reason": "x"}, "body.credits"),
        ({"credits": -1, "reason": "x"}, "body.credits"),
        ({"credits": 1.5, "reason": "x"}, "body.credits"),
        ({"credits": True, "reason": "x"}, "body.credits"),
        ({"credits": None, "reason": "x"}, "body.credits"),
        ({"credits": 10**12, "reason": "x"}, "body.credits"),
        ({"credits": 10**30, "reason": "x"}, "body.credits"),
        ({"credits": "1e3", "reason": "x"}, "body.credits"),
        ({"adjustment": 0, "reason": "x"}, "body.adjustment"),
        ({"adjustment": "0.00000001", "reason": "x"}, "body.adjustment"),
        ({"adjustment": 922_337_203_685, "reason": "x"}, "body.adjustment"),
        ({"adjustment": 1, "reason": "x", "note": "y"}, "body"),
    ],
)
def test_a_wrong_field_of_an_adjustment_is_named(administrator, account, url, body, field: str) -> None:
    assert fields_of(ask(administrator, "PUT", url, body)) == [field]
    account.refresh_from_db()
    assert account.balance == credits(100)


@pytest.mark.parametrize(
    ("path", "body", "field", "code"),
    [
        ("credits", {"adjustment": 0, "reason": "x"}, "body.adjustment", "ZERO"),
        ("credits", {"reason": "x"}, "body.credits", "REQUIRED"),
        ("credits", {"adjustment": 922_337_203_685, "reason": "x"}, "body.adjustment", "MAX_VALUE"),
        ("credits", {"credits": 922_337_203_686, "reason": "x"}, "body.credits", "INVALID"),
        ("grants", {"amount": "922337203685", "reason": "x"}, "body.amount", "MAX_VALUE"),
        ("grants", {"amount": "1", "reason": "x", "effectiveAt": "2020-01-01"}, "body.effectiveAt", "INVALID"),
        ("grants", {"amount": "1", "reason": "x", "expiresAt": "2020-01-01"}, "body.expiresAt", "INVALID"),
    ],
)
def test_what_is_wrong_has_a_code(administrator, account, user, path: str, body, field: str, code: str) -> None:
    method = "PUT" if path == "credits" else "POST"

    refused = ask(administrator, method, f"/api/admin/users/{user.pk}/{path}", body)

    [detail] = refused.json()["details"]
    assert (refused.status_code, detail["field"], detail["code"]) == (400, field, code)
    account.refresh_from_db()
    assert account.balance == credits(100)


def test_who_is_no_user_is_not_found(administrator: APIClient) -> None:
    for method, path, body in (("GET", "credits", None), ("PUT", "credits", GIFT), ("POST", "grants", GIFT)):
        refused = ask(administrator, method, f"/api/admin/users/999999/{path}", body)
        assert (refused.status_code, refused.json()["error"]) == (404, "user_not_found")


def test_request_has_the_same_name_in_the_ledger_for_good(user: User) -> None:
    customer = user.personal_customer

    assert reference_of(customer, "key") == f"api:{customer.pk}:2c70e12b7a0646f92279f427c7b38e73"


def test_an_account_is_adjusted_in_its_own_currency(administrator: APIClient, user: User) -> None:
    team = team_of(user)
    account = factories.account(team, "3", currency="usdc")
    url = f"/api/admin/credits/{account.pk}"

    body = ask(administrator, "PUT", url, {"adjustment": "0.5", "reason": "bank fee"}).json()

    assert (body["currency"], body["balance"], body["userId"], body["customer"]["kind"]) == (
        "usdc",
        "3.5",
        None,
        "TEAM",
    )
    assert fields_of(ask(administrator, "PUT", url, {"credits": 1, "reason": "x"})) == ["body.adjustment", "body"]
    missing = ask(administrator, "PUT", "/api/admin/credits/999999", GIFT)
    assert (missing.status_code, missing.json()["error"]) == (404, "account_not_found")


def test_who_was_never_given_anything_has_no_account(administrator: APIClient, url: str) -> None:
    assert administrator.get(url).json()["error"] == "account_not_found"
    assert Account.objects.count() == 0
    assert ask(administrator, "PUT", url, GIFT).json()["creditsRemaining"] == 50


@pytest.mark.django_db(transaction=True)
def test_a_balance_that_many_set_at_once_is_what_they_set_it_to() -> None:
    account, now = factories.account(balance="30"), timezone.now()

    def set_to_100(number: int) -> int:
        terms = {"reference": f"r{number}", "reason": "x", "actor": "user:1", "now": now}
        return adjust(account, available=credits(100), **terms)

    changes = at_once(*(partial(set_to_100, number) for number in range(5)))

    account.refresh_from_db()
    assert sorted(changes) == [0, 0, 0, 0, credits(70)]
    assert account.balance == credits(100)


# Grants


def test_a_grant_is_given_on_its_terms(administrator: APIClient, user: User) -> None:
    later = timezone.now() + timedelta(days=30)
    body = {"amount": "100", "reason": "welcome", "priority": 5, "expiresAt": later.isoformat()}

    response = ask(administrator, "POST", f"/api/admin/users/{user.pk}/grants", body, key="w")
    again = ask(administrator, "POST", f"/api/admin/users/{user.pk}/grants", body, key="w")

    given, row = response.json(), Grant.objects.get()
    assert (response.status_code, again.json()) == (201, given)
    assert (given["amount"], given["remaining"], given["category"], given["priority"]) == ("100", "100", "PROMOTION", 5)
    assert (row.expires_at, row.memo) == (later, "welcome")
    audit = AuditEntry.objects.get(action="credits.granted")
    assert (audit.subject, audit.details) == (
        f"grant:{row.pk}",
        {"amount": "100", "currency": "credits", "reference": row.source},
    )


def test_a_team_is_given_usdc_that_takes_effect_later(administrator: APIClient, user: User) -> None:
    team = team_of(user)
    soon = (timezone.now() + timedelta(days=1)).isoformat()
    body = {"amount": "7", "reason": "credit note", "currency": "usdc", "category": "ADJUSTMENT", "effectiveAt": soon}

    given = ask(administrator, "POST", f"/api/admin/customers/{team.pk}/grants", body).json()

    assert (given["currency"], given["amount"], given["remaining"], given["category"]) == (
        "usdc",
        "7",
        "0",
        "ADJUSTMENT",
    )
    assert (
        ask(administrator, "POST", "/api/admin/customers/999999/grants", body).json()["error"] == "customer_not_found"
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": 5}, "body.amount"),
        ({"amount": "0"}, "body.amount"),
        ({"amount": "-5"}, "body.amount"),
        ({"reason": ""}, "body.reason"),
        ({"currency": "test"}, "body.currency"),
        ({"category": "PURCHASE"}, "body.category"),
        ({"category": "PLAN"}, "body.category"),
        ({"priority": -1}, "body.priority"),
        ({"priority": 40000}, "body.priority"),
        ({"effectiveAt": "2020-01-01"}, "body.effectiveAt"),
        ({"expiresAt": "2020-01-01"}, "body.expiresAt"),
        ({"expiresAt": "tomorrow"}, "body.expiresAt"),
        ({"source": "mine"}, "body"),
    ],
)
def test_a_wrong_field_of_a_grant_is_named(administrator, user, changed, field: str) -> None:
    body = {"amount": "5", "reason": "x", **changed}

    assert fields_of(ask(administrator, "POST", f"/api/admin/users/{user.pk}/grants", body)) == [field]
    assert Grant.objects.count() == 0


def test_a_grant_may_begin_now_and_ends_later_than_it_begins(administrator: APIClient, user: User) -> None:
    now = timezone.now().replace(microsecond=0)
    second = timedelta(seconds=1)

    def fields(**terms: datetime) -> list[str]:
        body = {"amount": "5", "reason": "x", **{name: at.isoformat() for name, at in terms.items()}}
        response = ask(administrator, "POST", f"/api/admin/users/{user.pk}/grants", body)
        return [] if response.status_code == 201 else fields_of(response)

    with time_machine.travel(now, tick=False):
        assert fields(effectiveAt=now - second) == ["body.effectiveAt"]
        assert fields(effectiveAt=now, expiresAt=now + second) == []
        assert fields(expiresAt=now) == ["body.expiresAt"]
        assert fields(effectiveAt=now + second, expiresAt=now + second) == ["body.expiresAt"]
        assert fields(effectiveAt=now + 2 * second, expiresAt=now + second) == ["body.expiresAt"]
        assert fields(effectiveAt=now + second, expiresAt=now + 2 * second) == []


def test_of_what_is_wanted_a_unit_more_pays_debts_too() -> None:
    assert [change_to(wanted, available=0, owed=5) for wanted in (0, 1)] == [0, 6]


@given(wanted=st.integers(0, 10**18), available=st.integers(0, 10**18), owed=st.integers(0, 10**18))
def test_what_can_be_spent_is_what_was_wanted_and_debts_are_paid_by_more_alone(wanted: int, available: int, owed: int):
    change = change_to(wanted, available=available, owed=owed)

    assert available + change - (min(owed, change) if change > 0 else 0) == wanted
    assert change >= -available
    assert (change > 0) == (wanted > available)
