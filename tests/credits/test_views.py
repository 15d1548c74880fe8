"""What a customer reads of balances and grants."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import Customer
from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, Currency, Grant
from tests import factories

BALANCE = "/api/credits/me"
GRANTS = "/api/credits/grants"


def hold(account: Account, amount: int, *, now: datetime) -> str:
    hold_id = services.new_hold_id()
    request = HoldRequest(hold_id, account.pk, hold_id, credits(amount), now + timedelta(minutes=20))
    services.place_holds([request], now=now)
    return hold_id


def settle(hold_id: str, amount: int, *, now: datetime) -> None:
    services.settle_holds([(hold_id, credits(amount))], actor="system", now=now)


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


# The balance


def test_balance_tells_what_can_be_spent(api: APIClient, account: Account, now: datetime):
    settle(hold(account, 3, now=now), 3, now=now)
    hold(account, 2, now=now)

    response = api.get(BALANCE)

    assert response.status_code == 200
    assert response.json() == {
        "creditsRemaining": 95,
        "lastSyncedAt": instant(now),
        "balance": "97",
        "held": "2",
        "available": "95",
        "owed": "0",
    }


def test_balance_that_is_not_whole_is_decimal_text(api: APIClient, account: Account):
    factories.grant(account, "0.5")

    body = api.get(BALANCE).json()

    assert (body["creditsRemaining"], body["available"]) == ("100.5", "100.5")


def test_customer_without_an_account_has_nothing_and_reading_opens_none(api: APIClient, customer: Customer):
    factories.account(balance="9")

    response = api.get(BALANCE)

    assert response.json() == {
        "creditsRemaining": 0,
        "lastSyncedAt": None,
        "balance": "0",
        "held": "0",
        "available": "0",
        "owed": "0",
    }
    assert not Account.objects.filter(customer=customer).exists()


def test_grant_that_fell_due_counts_as_gone_though_nothing_has_booked_it(
    api: APIClient, account: Account, now: datetime
):
    past = now - timedelta(days=2)
    factories.grant(account, "7", now=past, expires_at=now - timedelta(days=1))

    body = api.get(BALANCE).json()

    account.refresh_from_db()
    assert (body["balance"], body["available"]) == ("100", "100")
    assert account.balance == credits(107)


def test_hold_keeps_its_claim_on_a_grant_that_fell_due(api: APIClient, customer: Customer, now: datetime):
    account = factories.account(customer)
    past = now - timedelta(days=2)
    factories.grant(account, "7", now=past, expires_at=now - timedelta(days=1))
    hold(account, 3, now=past)

    body = api.get(BALANCE).json()

    assert (body["balance"], body["held"], body["available"]) == ("3", "3", "0")


def test_grant_counts_from_the_instant_it_takes_effect(api: APIClient, account: Account, now: datetime):
    past = now - timedelta(days=2)
    factories.grant(account, "5", now=past, effective_at=now - timedelta(seconds=1))
    factories.grant(account, "1000", now=past, effective_at=now + timedelta(days=1))

    assert api.get(BALANCE).json()["available"] == "105"


def test_balance_is_in_credits_and_of_the_caller_alone(api: APIClient, customer: Customer, account: Account):
    factories.account(customer, "50", currency=Currency.USDC)
    factories.account(balance="9")

    assert api.get(BALANCE).json()["available"] == "100"


def test_balance_takes_one_statement_however_many_grants_there_are(api: APIClient, account: Account):
    api.get(BALANCE)
    for _ in range(5):
        factories.grant(account, "1")

    with CaptureQueriesContext(connection) as queries:
        assert api.get(BALANCE).json()["available"] == "105"

    assert len(queries) == 2  # the key, the balance


# Grants


def test_grants_are_listed_newest_first_with_what_is_left(api: APIClient, customer: Customer, now: datetime):
    account = factories.account(customer)
    month = now + timedelta(days=30)
    first = factories.grant(account, "10", now=now, source="pack:1", category=Grant.Category.PURCHASE, memo="Ten")
    second = factories.grant(
        account, "5.5", now=now, source="plan:1", category=Grant.Category.PLAN, priority=50, expires_at=month
    )
    settle(hold(account, 2, now=now), 1, now=now)
    hold(account, 1, now=now)

    response = api.get(GRANTS)

    assert response.status_code == 200
    assert response.json() == {
        "grants": [
            {
                "id": second.pk,
                "category": "PLAN",
                "currency": "credits",
                "amount": "5.5",
                "remaining": "4.5",
                "held": "1",
                "source": "plan:1",
                "memo": "",
                "priority": 50,
                "effectiveAt": instant(now),
                "expiresAt": instant(month),
                "createdAt": instant(now),
            },
            {
                "id": first.pk,
                "category": "PURCHASE",
                "currency": "credits",
                "amount": "10",
                "remaining": "10",
                "held": "0",
                "source": "pack:1",
                "memo": "Ten",
                "priority": 100,
                "effectiveAt": instant(now),
                "expiresAt": None,
                "createdAt": instant(now),
            },
        ],
        "pagination": {"page": 1, "pageSize": 50, "total": 2, "pages": 1},
    }


def test_what_is_left_of_grants_follows_the_clock(api: APIClient, customer: Customer, now: datetime):
    account = factories.account(customer)
    past, tomorrow = now - timedelta(days=2), now + timedelta(days=1)
    factories.grant(account, "7", now=past, expires_at=now - timedelta(days=1))
    hold(account, 3, now=past)
    factories.grant(account, "5", now=past, effective_at=now - timedelta(seconds=1))
    factories.grant(account, "9", now=past, effective_at=tomorrow)
    factories.grant(account, "4", now=past, effective_at=past + timedelta(hours=1), expires_at=now - timedelta(hours=1))

    left = [grant["remaining"] for grant in api.get(GRANTS).json()["grants"]]

    assert left == ["0", "0", "5", "3"]


def test_grants_are_the_callers_alone_and_of_one_currency(api: APIClient, customer: Customer, account: Account):
    usdc = factories.account(customer, currency=Currency.USDC)
    deposit = factories.grant(usdc, "1")
    factories.account(balance="9")

    in_credits = api.get(GRANTS).json()["grants"]
    in_usdc = api.get(GRANTS, {"currency": "usdc"}).json()["grants"]

    assert [grant["id"] for grant in in_credits] == [account.grants.get().pk]
    assert [grant["id"] for grant in in_usdc] == [deposit.pk]


def test_grants_can_be_narrowed_to_a_category(api: APIClient, account: Account):
    plan = factories.grant(account, "1", category=Grant.Category.PLAN)

    body = api.get(GRANTS, {"category": "PLAN"}).json()

    assert [grant["id"] for grant in body["grants"]] == [plan.pk]
    assert body["pagination"]["total"] == 1


def test_grants_come_in_pages_that_cost_the_same(api: APIClient, customer: Customer):
    account = factories.account(customer)
    made = [factories.grant(account, "1").pk for _ in range(5)]
    api.get(GRANTS)

    beyond = api.get(GRANTS, {"page": 4, "pageSize": 2})
    with CaptureQueriesContext(connection) as queries:
        second = api.get(GRANTS, {"page": 2, "pageSize": 2})

    assert [grant["id"] for grant in second.json()["grants"]] == [made[2], made[1]]
    assert second.json()["pagination"] == {"page": 2, "pageSize": 2, "total": 5, "pages": 3}
    assert beyond.json()["grants"] == []
    assert len(queries) == 3


@pytest.mark.parametrize(
    ("parameters", "field", "code"),
    [
        ({"page": "0"}, "query.page", "OUT_OF_RANGE"),
        ({"pageSize": "101"}, "query.pageSize", "OUT_OF_RANGE"),
        ({"pageSize": "many"}, "query.pageSize", "OUT_OF_RANGE"),
        ({"currency": "eur"}, "query.currency", "INVALID_CHOICE"),
        ({"category": "plan"}, "query.category", "INVALID_CHOICE"),
        ({"category": ""}, "query.category", "INVALID_CHOICE"),
    ],
)
def test_wrong_parameter_is_named(api: APIClient, parameters: dict[str, str], field: str, code: str):
    response = api.get(GRANTS, parameters)

    assert response.status_code == 400
    body = response.json()
    assert (body["error"], body["code"]) == ("Validation failed", "VALIDATION_ERROR")
    assert [(fault["field"], fault["code"]) for fault in body["details"]] == [(field, code)]


# Both


@pytest.mark.parametrize("path", [BALANCE, GRANTS])
def test_unknown_parameter_is_refused(api: APIClient, path: str):
    response = api.get(path, {"unexpected": "1"}, headers={"x-request-id": "r-1"})

    assert response.status_code == 400
    assert response.json() == {
        "error": "Validation failed",
        "code": "VALIDATION_ERROR",
        "message": "Request validation failed",
        "requestId": "r-1",
        "details": [{"field": "query", "message": 'Unrecognized key: "unexpected"', "code": "UNRECOGNIZED_KEYS"}],
    }


@pytest.mark.parametrize("path", [BALANCE, GRANTS])
def test_reading_needs_a_credential_with_the_scope_read(anonymous: APIClient, customer: Customer, path: str):
    without = factories.api_key(customer, scopes=["ai"])

    refused = anonymous.get(path)
    forbidden = anonymous.get(path, headers={"authorization": f"Bearer {without}"})

    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("path", [BALANCE, GRANTS])
def test_answer_is_304_until_something_changes(api: APIClient, account: Account, path: str):
    first = api.get(path)
    same = api.get(path, headers={"if-none-match": first["ETag"]})
    factories.grant(account, "1")
    changed = api.get(path, headers={"if-none-match": first["ETag"]})

    assert first["Cache-Control"] == "private, no-cache"
    assert first["Vary"] == "Authorization, X-Api-Key, X-User-Id, X-Customer-Id, origin"
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert changed.status_code == 200


def test_balance_says_since_when_it_is_so_once_that_is_safely_past(api: APIClient, customer: Customer, now: datetime):
    account = factories.account(customer)
    factories.grant(account, "1", now=now - timedelta(hours=1))
    settled = api.get(BALANCE)
    unchanged = api.get(BALANCE, headers={"if-modified-since": settled["Last-Modified"]})
    factories.grant(account, "1", now=now)
    fresh = api.get(BALANCE, headers={"if-modified-since": settled["Last-Modified"]})

    assert unchanged.status_code == 304
    assert fresh.status_code == 200
    assert "Last-Modified" not in fresh


def test_balance_that_changed_by_the_clock_alone_is_not_304(api: APIClient, customer: Customer, now: datetime):
    account = factories.account(customer)
    factories.grant(account, "1", now=now - timedelta(days=2), expires_at=now - timedelta(hours=1))

    response = api.get(BALANCE, headers={"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"})

    assert response.status_code == 200
    assert response.json()["available"] == "0"
