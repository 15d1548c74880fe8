"""All customers' usage and the dashboard: whose call, what it cost, and sums that tests are no part of."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, User
from billing.administration.usage.reading import dollars
from tests import factories
from tests.accounts.people import person, team_of
from tests.administration import fields_of, queries, refusals

pytestmark = pytest.mark.django_db

USAGE, DASHBOARD = "/api/admin/usage", "/api/admin/dashboard"


@pytest.fixture
def ada() -> User:
    return person(email="ada@example.com", name="Ada Lovelace")


def test_others_are_refused(administrator: APIClient, api: APIClient) -> None:
    for path in (USAGE, DASHBOARD):
        assert refusals(("GET", path, None), api=api) == [401, 403, 403]


def test_a_call_is_shown_with_whose_it_was_and_what_it_cost(administrator: APIClient, ada: User) -> None:
    account = factories.account(ada.personal_customer, "10")
    factories.usage(account, "2", provider_cost="0.00002", provider_cost_picos=20_000_000)

    page = administrator.get(USAGE).json()

    [call] = page["data"]
    assert {name: page[name] for name in ("total", "page", "pageSize")} == {"total": 1, "page": 1, "pageSize": 25}
    assert (call["operationType"], call["creditsUsed"], call["charged"]) == ("AI_TEXT_CHAT", 2, "2")
    assert (call["userId"], call["creditBalanceId"]) == (ada.pk, account.pk)
    assert call["user"] == {"name": "Ada Lovelace", "email": "ada@example.com"}
    assert (call["details"]["providerCost"], call["details"]["held"]) == ("0.00002", "2")


def test_calls_are_narrowed(administrator: APIClient, ada: User) -> None:
    now = timezone.now()
    account, team = factories.account(ada.personal_customer, "50"), team_of(ada, name="Engines")
    factories.usage(account, "1", created_at=now - timedelta(days=2))
    factories.usage(account, "2", created_at=now - timedelta(days=10))
    factories.usage(account, "3", created_at=now - timedelta(days=40))
    factories.usage(account, "4", feature="ai_image_generation")
    factories.usage(factories.account(team, "50"), "5", status="CANCELLED")
    test_key = ApiKey.objects.create(customer=team, mode="test", digest="d")
    factories.usage(factories.account(team, "50", currency="test"), "6", api_key=test_key)

    def found(**asked: str) -> list[str]:
        return [call["charged"] for call in administrator.get(USAGE, asked).json()["data"]]

    assert found() == ["5", "4", "1"]
    assert found(range="24hours") == ["5", "4"]
    assert found(range="30days") == ["5", "4", "1", "2"]
    assert found(range="all") == ["5", "4", "1", "2", "3"]
    assert found(type="AI_IMAGE_GENERATION") == ["4"]
    assert found(type="all", q="LOVELACE") == ["4", "1"]
    assert found(q="engines") == ["5"]
    assert found(status="CANCELLED") == ["5"]
    assert found(mode="test") == ["6"]
    assert found(range="all", page="2", pageSize="2") == ["1", "2"]
    assert found(page="9") == []
    assert administrator.get(USAGE, {"q": "engines"}).json()["data"][0]["user"] is None


def test_a_wrong_parameter_is_named(administrator: APIClient) -> None:
    wrong = [
        ({"type": "AI_VIDEO"}, "query.type"),
        ({"range": "90days"}, "query.range"),
        ({"q": "x" * 201}, "query.q"),
        ({"q": "a\0"}, "query.q"),
        ({"page": "0"}, "query.page"),
        ({"page": "NaN"}, "query.page"),
        ({"pageSize": "101"}, "query.pageSize"),
        ({"limit": "5"}, "query"),
    ]

    named = [(field, fields_of(administrator.get(USAGE, asked))) for asked, field in wrong]

    assert [each for each in named if each[1] != [each[0]]] == []
    assert fields_of(administrator.get(DASHBOARD, {"days": "7"})) == ["query"]


def test_the_dashboard_sums_up_what_was_used_and_is_left(administrator: APIClient, ada: User) -> None:
    now = timezone.now()
    account, team = factories.account(ada.personal_customer, "50"), team_of(person(), name="Engines")
    factories.usage(account, "1", provider_cost="0.5", provider_cost_picos=5 * 10**11)
    factories.usage(account, "2", created_at=now - timedelta(days=3))
    factories.usage(account, "7", created_at=now - timedelta(days=45))
    maker = person(name="Maker")
    made = ApiKey.objects.create(customer=team, created_by=maker, digest="m")
    factories.usage(factories.account(team, "9", currency="usdc"), "4", api_key=made)
    test_key = ApiKey.objects.create(customer=maker.personal_customer, mode="test", digest="d")
    factories.usage(factories.account(maker.personal_customer, "50", currency="test"), "6", api_key=test_key)

    body = administrator.get(DASHBOARD).json()

    assert (body["totalUsers"], body["activeUsers"]) == (4, 2)
    credits_used, usdc_used = body["usage"]
    assert [credits_used[name] for name in ("currency", "calls", "charged", "providerCost")] == [
        "credits", 2, "3", "0.50",
    ]  # fmt: skip
    assert [usdc_used[name] for name in ("currency", "calls", "charged")] == ["usdc", 1, "4"]
    assert [(row["currency"], row["charged"]) for row in body["days"]] == [
        ("credits", "2"), ("credits", "1"), ("usdc", "4"),
    ]  # fmt: skip
    assert [(row["currency"], row["balance"], row["accounts"]) for row in body["balances"]] == [
        ("credits", "40", 1), ("usdc", "5", 1),
    ]  # fmt: skip


def test_the_dashboard_of_a_new_installation_is_empty(administrator: APIClient) -> None:
    body = administrator.get(DASHBOARD).json()

    assert (body["totalUsers"], body["activeUsers"], body["usage"], body["days"], body["balances"]) == (
        1,
        0,
        [],
        [],
        [],
    )


def test_reads_take_as_many_queries_for_many_as_for_one(administrator: APIClient) -> None:
    factories.usage(factories.account(balance="10"))
    few = [queries(lambda: administrator.get(USAGE)), queries(lambda: administrator.get(DASHBOARD))]

    for _ in range(5):
        factories.usage(factories.account(balance="10"))

    assert [queries(lambda: administrator.get(USAGE)), queries(lambda: administrator.get(DASHBOARD))] == few


def test_dollars_are_written_exactly() -> None:
    assert [dollars(picos) for picos in (0, 1, 5 * 10**11, 12 * 10**12)] == ["0.00", "0.000000000001", "0.50", "12.00"]
