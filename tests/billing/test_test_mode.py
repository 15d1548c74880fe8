"""What was used in tests stands apart, whichever way one looks."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer
from credits.models import Account, Currency
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def tester(api: APIClient, account: Account) -> APIClient:
    """A test key whose customer used 3 live credits, 1 of them without a key, and 7 test credits."""
    key = api.post("/api/keys", {"name": "CI", "mode": "test", "scopes": ["ai", "read", "manage"]}).json()
    tests = Account.objects.get(currency="test")
    factories.usage(account, "2", api_key=ApiKey.objects.get(mode="live"))
    factories.usage(account, "1")
    factories.usage(tests, "7", api_key_id=key["id"])
    return APIClient(headers={"x-api-key": key["key"]})


def read(client: APIClient, path: str, **query: Any) -> Any:
    response = client.get(path, query)
    assert response.status_code == 200, response.content
    return response.json()


def test_the_first_test_key_comes_with_test_credits_and_the_second_does_not(api: APIClient, customer: Customer) -> None:
    for _ in range(2):
        assert api.post("/api/keys", {"name": "CI", "mode": "test"}).status_code == 201

    assert [(row.currency, row.balance) for row in Account.objects.all()] == [("test", 10_000_000_000)]


def test_each_side_sees_its_own(api: APIClient, tester: APIClient) -> None:
    seen = {
        "balance": lambda client: read(client, "/api/credits/me")["balance"],
        "grants": lambda client: [row["amount"] for row in read(client, "/api/credits/grants")["grants"]],
        "statement": lambda client: [
            row["amount"] for row in read(client, "/api/credits/transactions")["transactions"]
        ],
        "explained": lambda client: read(client, "/api/credits/explain")["currency"],
        "used": lambda client: sorted(row["creditsUsed"] for row in read(client, "/api/credits/usage")["data"]),
        "sums": lambda client: read(client, "/api/credits/usage/summary")["totals"]["charged"],
        "csv": lambda client: b"".join(client.get("/api/credits/usage.csv").streaming_content).count(b"\n") - 1,
        "forecast": lambda client: read(client, "/api/credits/forecast")["available"],
    }

    assert {name: look(api) for name, look in seen.items()} == {
        "balance": "97",
        "grants": ["100"],
        "statement": ["-1", "-2", "100"],
        "explained": "credits",
        "used": [1, 2],
        "sums": "3",
        "csv": 2,
        "forecast": "97",
    }
    assert {name: look(tester) for name, look in seen.items()} == {
        "balance": "993",
        "grants": ["1000"],
        "statement": ["-7", "1000"],
        "explained": "test",
        "used": [7],
        "sums": "7",
        "csv": 1,
        "forecast": "993",
    }


def test_live_eyes_may_look_at_tests_but_not_the_other_way_around(api: APIClient, tester: APIClient) -> None:
    assert read(api, "/api/credits/usage/summary", mode="test")["totals"]["charged"] == "7"
    assert [row["amount"] for row in read(api, "/api/credits/grants", currency="test")["grants"]] == ["1000"]
    for path, query in [
        ("/api/credits/usage", {"mode": "live"}),
        ("/api/credits/usage/summary", {"mode": "live"}),
        ("/api/credits/grants", {"currency": "credits"}),
        ("/api/credits/transactions", {"currency": "usdc"}),
    ]:
        response = tester.get(path, query)
        assert (response.status_code, response.json()["details"][0]["code"]) == (400, "TEST_ONLY")


def test_a_test_keys_usage_is_its_own_for_whoever_looks(api: APIClient, tester: APIClient) -> None:
    key = ApiKey.objects.get(mode="test").pk

    assert read(api, f"/api/keys/{key}/usage")["totals"]["charged"] == "7"


def test_test_credits_are_given_once_per_idempotency_key(api: APIClient, customer: Customer) -> None:
    answers = [
        api.post("/api/keys/test-credits", {"amount": "12.5"}, headers={"idempotency-key": "one"}) for _ in range(2)
    ]

    assert [(answer.status_code, answer.json()["balance"]) for answer in answers] == [(201, "12.5")] * 2
    assert Account.objects.get().currency == Currency.TEST


@pytest.mark.parametrize("amount", ["0", "-1", "1000000.1", 5, None])
def test_test_credits_are_bounded(api: APIClient, amount: Any) -> None:
    headers = {"idempotency-key": "one"}

    assert api.post("/api/keys/test-credits", {"amount": amount}, headers=headers).status_code == 400


def test_whoever_may_not_make_keys_gets_no_test_credits(anonymous: APIClient, customer: Customer) -> None:
    headers = {"x-api-key": factories.api_key(customer, scopes=["ai", "read"]), "idempotency-key": "one"}

    assert anonymous.post("/api/keys/test-credits", {"amount": "1"}, headers=headers).status_code == 403


def test_the_operators_figures_are_without_tests(admin_client: Any, tester: APIClient) -> None:
    figures = {figure.title: figure.value for figure in admin_client.get("/admin/").context["figures"]}

    assert {title: value for title, value in figures.items() if "test" in title} == {}
    assert figures["credits used in 24 hours"] == "3"
