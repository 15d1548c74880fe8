"""Who is behind a customer's calls: kept with the usage, and limited by budgets of their own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry, Customer
from billing import audit
from billing.calls import Call
from billing.counters import GRACE
from billing.end_users import services
from billing.errors import BudgetExceeded, BudgetInUse
from billing.models import Counter, EndUser, UsageRecord
from billing.operations import Conclude
from billing.retention import LONGEST_PERIOD, erase_details
from credits.amounts import credits
from credits.models import Account, Hold
from tests import factories
from tests.billing.test_batch import COMPLETED, admit, commit
from tests.racing import at_once, raised

pytestmark = pytest.mark.django_db

__all__ = ["admit"]

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
DAILY = {"budget": {"amount": "2", "period": "DAY"}}


def limit_each(customer: Customer, amount: int | None = 2, now: datetime = NOON - GRACE) -> None:
    budget = None if amount is None else credits(amount)
    services.limit_each(customer, budget=budget, period="DAY" if budget else "", actor="system", now=now)


def limit_one(customer: Customer, name: str, amount: int | None, now: datetime = NOON - GRACE) -> None:
    budget = None if amount is None else credits(amount)
    services.limit_one(customer, name, budget=budget, period="DAY" if budget else "", actor="system", now=now)


def kinds(outcomes: list[Any]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


# Budgets


def test_each_end_user_has_the_same_budget_and_none_spends_anothers(account: Account, admit: partial[Any]) -> None:
    limit_each(account.customer)

    outcomes = commit(*[admit(end_user=name) for name in ("ada", "ada", "ada", "bob", "")], now=NOON)

    assert kinds(outcomes) == [Call, Call, BudgetInUse, Call, Call]
    assert outcomes[2].extra["limitOf"] == "endUser"
    assert set(outcomes[0].counted_as) == {f"customer:{account.customer_id}/user:ada"}
    assert outcomes[4].counted_as == {}


def test_budget_of_ones_own_takes_the_place_of_the_others(account: Account, admit: partial[Any]) -> None:
    limit_each(account.customer, 1)
    limit_one(account.customer, "ada", 3)
    limit_one(account.customer, "bob", None)

    outcomes = commit(*[admit(end_user=name, quantity=3) for name in ("ada", "bob", "eve")], now=NOON)

    assert kinds(outcomes) == [Call, Call, BudgetExceeded]


def test_one_end_user_can_be_limited_alone(account: Account, admit: partial[Any]) -> None:
    limit_one(account.customer, "ada", 1)

    assert kinds(commit(*[admit(end_user=name, quantity=2) for name in ("ada", "bob")], now=NOON)) == [
        BudgetExceeded,
        Call,
    ]


def test_what_an_end_user_spent_before_counts(account: Account, admit: partial[Any]) -> None:
    [earlier, other, running] = commit(
        admit(end_user="ada", quantity=3), admit(end_user="bob", quantity=9), admit(end_user="ada"), now=NOON
    )
    commit(Conclude(earlier, replace(COMPLETED, delivered=3)), Conclude(other, COMPLETED), now=NOON)
    limit_each(account.customer, 5, now=NOON)

    outcomes = commit(admit(end_user="ada", quantity=2), admit(end_user="ada"), now=NOON)

    assert kinds(outcomes) == [BudgetInUse, Call]
    assert outcomes[0].extra["used"] == "4"
    assert UsageRecord.objects.get(end_user="bob").charged == credits(1)
    assert running.end_user == "ada"


def test_budget_that_was_taken_away_and_given_again_has_forgotten_nothing(
    account: Account, admit: partial[Any]
) -> None:
    limit_each(account.customer, 5)
    commit(admit(end_user="ada"), now=NOON)
    limit_one(account.customer, "ada", None, now=NOON)
    [call] = commit(admit(end_user="ada", quantity=3), now=NOON)
    commit(Conclude(call, replace(COMPLETED, delivered=3)), now=NOON)
    services.limit_as_others(account.customer, "ada", actor="system", now=NOON + timedelta(minutes=1))

    outcomes = commit(admit(end_user="ada", quantity=2), admit(end_user="ada"), now=NOON + timedelta(minutes=1))

    assert kinds(outcomes) == [BudgetInUse, Call]


def test_limits_of_the_key_count_as_well(account: Account, admit: partial[Any]) -> None:
    ApiKey.objects.update(budget=credits(3), budget_period="DAY")
    limit_each(account.customer)

    outcomes = commit(*[admit(end_user=name, quantity=2) for name in ("ada", "bob")], now=NOON)

    assert [getattr(outcome, "extra", {}).get("limitOf") for outcome in outcomes] == [None, "key"]
    assert [*audit.findings_of_counters()] == []


@pytest.mark.usefixtures("one_database")  # PostgreSQL's statements go past Django's cursor
def test_naming_an_end_user_costs_nothing_where_none_is_limited(account: Account, admit: partial[Any]) -> None:
    commit(admit(), now=NOON)
    counts = []
    for end_user in ("", "ada"):
        with CaptureQueriesContext(connection) as caught:
            commit(admit(end_user=end_user), now=NOON)
        counts.append(len(caught))

    assert counts[0] == counts[1]


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_racing_calls_for_one_end_user_spend_their_budget_once(account: Account, admit: partial[Any]) -> None:
    limit_each(account.customer, 7)

    outcomes = at_once(*[lambda: commit(admit(end_user="ada"), now=NOON)[0]] * 24)

    assert raised([each for each in outcomes if not isinstance(each, BudgetInUse)]) == []
    assert kinds(outcomes).count(Call) == 7
    assert Counter.objects.get().held == credits(7)


# What is kept


def test_end_user_and_notes_are_kept_with_the_usage(account: Account, admit: partial[Any]) -> None:
    [call] = commit(admit(end_user="ada ☃", notes={"run": "42", 'a"b': "\\"}), now=NOON)
    kept = Call.from_context(Hold.objects.get().context)
    commit(Conclude(kept, COMPLETED), now=NOON)

    record = UsageRecord.objects.get()
    assert kept == call
    assert (record.end_user, record.notes) == ("ada ☃", {"run": "42", 'a"b': "\\"})


def test_usage_is_narrowed_to_an_end_user(api: APIClient, account: Account) -> None:
    factories.usage(account, end_user="ada", notes={"run": "42"})
    factories.usage(account, end_user="bob")

    page = api.get("/api/credits/usage", {"endUser": "ada"}).json()

    assert [(row["details"]["endUser"], row["details"]["notes"]) for row in page["data"]] == [("ada", {"run": "42"})]
    assert api.get("/api/credits/usage", {"endUser": ""}).status_code == 400
    csv = b"".join(api.get("/api/credits/usage.csv", {"endUser": "bob"}).streaming_content).splitlines()  # type: ignore[attr-defined]
    assert [line.split(b",")[-1] for line in csv] == [b"endUser", b"bob"]


def test_names_of_end_users_are_erased_with_what_they_called(account: Account, admit: partial[Any]) -> None:
    limit_each(account.customer)
    [call, _] = commit(admit(end_user="ada"), admit(end_user="eve"), now=NOON)
    commit(Conclude(call, COMPLETED), now=NOON)
    later = NOON + LONGEST_PERIOD + timedelta(seconds=1)

    erase_details(before=NOON + timedelta(seconds=1), limit=10)
    kept = Counter.objects.count()
    factories.usage(account, created_at=NOON)
    erase_details(before=later, limit=10)

    assert kept == 2
    assert [counter.end_user for counter in Counter.objects.all()] == ["eve"]  # her call runs
    assert not UsageRecord.objects.filter(end_user="ada").exists()


# Over REST


def test_budget_of_each_is_set_and_shown(api: APIClient, customer: Customer) -> None:
    before = api.get("/api/end-user-budget").json()
    after = api.put("/api/end-user-budget", DAILY, format="json").json()

    assert before == {"each": None}
    assert after == {"each": {"amount": "2", "period": "DAY", "currency": "credits"}}
    customer.refresh_from_db()
    assert (customer.end_user_budget, customer.end_user_budget_period) == (credits(2), "DAY")
    assert api.put("/api/end-user-budget", {"budget": None}, format="json").json() == {"each": None}
    assert AuditEntry.objects.filter(action="end_users.limited").count() == 2


@pytest.mark.parametrize("name", ["ada", "https://example.com/ada?x=1#y", "ada lovelace/", "☃ 100%"])
def test_end_user_gets_a_budget_and_loses_it(api: APIClient, account: Account, name: str) -> None:
    factories.usage(account, "1.5", end_user=name)
    url = f"/api/end-user?endUser={quote(name, safe='')}"
    api.put("/api/end-user-budget", {"budget": {"amount": "9", "period": "DAY"}}, format="json")

    own = api.put(url, DAILY, format="json").json()
    listed = api.get("/api/end-users").json()
    gone = api.delete(url)
    others = api.get(url).json()

    assert (own["endUser"], own["isOwn"], own["budget"]["amount"]) == (name, True, "2")
    assert (own["used"]["spent"], own["used"]["left"]) == ("1.5", "0.5")
    assert listed["endUsers"] == [{"endUser": name, "budget": own["budget"]}]
    assert (gone.status_code, api.delete(url).json()["code"]) == (204, "END_USER_NOT_LIMITED")
    assert (others["isOwn"], others["budget"]["amount"], others["used"]["left"]) == (False, "9", "7.5")


def test_end_user_without_limits_shows_none(api: APIClient) -> None:
    assert api.get("/api/end-user?endUser=ada").json() == {
        "endUser": "ada",
        "budget": None,
        "isOwn": False,
        "used": {"concurrentCalls": 0},
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "body.budget"), ({"budget": {"amount": "1"}}, "body.budget.period"), ({"budget": None, "x": 1}, "body")],
)
def test_wrong_field_is_named(api: APIClient, body: dict[str, Any], field: str) -> None:
    for url in ("/api/end-user?endUser=ada", "/api/end-user-budget"):
        answer = api.put(url, body, format="json")
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field)


def test_end_user_must_be_named(api: APIClient) -> None:
    for query in ("", "?endUser=", f"?endUser={'x' * 201}", "?endUser=a%00b"):
        answer = api.get(f"/api/end-user{query}")
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "query.endUser")


@pytest.mark.parametrize("terms", [{"mode": "test"}, {"budget": credits(1), "budget_period": "DAY"}])
def test_key_that_is_limited_lifts_no_limits(customer: Customer, terms: dict[str, Any]) -> None:
    limit_each(customer, now=timezone.now())
    key = factories.api_key(customer, **terms)
    client = APIClient(headers={"authorization": f"Bearer {key}"})

    answers = [
        client.put("/api/end-user-budget", {"budget": None}, format="json"),
        client.put("/api/end-user?endUser=ada", {"budget": None}, format="json"),
        client.delete("/api/end-user?endUser=ada"),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert not EndUser.objects.exists()


def test_end_users_are_their_customers_alone(api: APIClient, customer: Customer) -> None:
    stranger = factories.UserFactory.create().personal_customer
    limit_one(stranger, "ada", 1)

    assert api.get("/api/end-users").json()["endUsers"] == []
    assert api.delete("/api/end-user?endUser=ada").status_code == 404
    assert EndUser.objects.count() == 1
