"""Lists of users and balances for administrators: found, narrowed, paged, and in few queries whatever their length."""

import pytest
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer, User
from credits.models import Account
from tests import factories
from tests.accounts.people import person, team_of
from tests.administration import fields_of, queries, refusals

pytestmark = pytest.mark.django_db

USERS, CREDITS = "/api/admin/users", "/api/admin/credits"


@pytest.fixture
def ada() -> User:
    return person(email="ada@example.com", name="Ada Lovelace")


def names(response) -> list[str]:
    return [row["name"] for row in response.json()["users"]]


@pytest.mark.parametrize("path", [USERS, f"{USERS}/1", CREDITS])
def test_others_are_refused(administrator: APIClient, api: APIClient, path: str) -> None:
    assert refusals(("GET", path, None), api=api) == [401, 403, 403]


def test_a_user_is_shown_in_the_words_of_the_first_clients(administrator: APIClient, ada: User) -> None:
    account = factories.account(ada.personal_customer, "10")
    factories.usage(account, "1")
    key = ApiKey.objects.get(pk=ApiKey.objects.create(customer=ada.personal_customer, mode="test", digest="d").pk)
    factories.usage(factories.account(ada.personal_customer, "5", currency="test"), api_key=key)

    page = administrator.get(USERS, {"includeUsageCount": "true"}).json()

    [found, boss] = page["users"]
    assert page["pagination"] == {"page": 1, "pageSize": 50, "total": 2, "pages": 1}
    assert (found["id"], found["clerkId"], found["email"]) == (ada.pk, ada.external_id, "ada@example.com")
    assert (found["isActive"], found["isStaff"], found["deletedAt"]) == (True, False, None)
    assert (found["creditBalance"]["creditsRemaining"], found["_count"]) == (9, {"usageHistory": 1})
    assert (boss["creditBalance"], boss["_count"]) == (None, {"usageHistory": 0})
    assert administrator.get(f"{USERS}/{ada.pk}").json() == found
    assert "_count" not in administrator.get(USERS).json()["users"][0]
    assert "_count" not in administrator.get(USERS, {"includeUsageCount": "false"}).json()["users"][0]


@pytest.mark.parametrize("text", ["ADA@", "lovel", "person-1"])
def test_users_are_searched(administrator: APIClient, ada: User, text: str) -> None:
    person(email="charles@example.org", name="Charles")

    assert names(administrator.get(USERS, {"search": text})) == ["Ada Lovelace"]


def test_users_are_narrowed_and_ordered(administrator: APIClient, ada: User) -> None:
    bob, eve = person(name="Bob", is_active=False), person(name="Eve")
    Customer.objects.filter(user=eve).update(suspended_at="2026-01-01T00:00:00Z")
    boss = User.objects.get(external_id="user_boss")

    assert names(administrator.get(USERS, {"status": "inactive"})) == [bob.name]
    assert names(administrator.get(USERS, {"status": "suspended"})) == [eve.name]
    assert names(administrator.get(USERS, {"status": "active"})) == [ada.name, boss.name]
    assert names(administrator.get(USERS, {"sort": "name"})) == [ada.name, bob.name, boss.name, eve.name]
    assert names(administrator.get(USERS, {"page": 2, "pageSize": 2})) == [ada.name, boss.name]
    assert names(administrator.get(USERS, {"page": 9})) == []


@pytest.mark.parametrize("url", [USERS, CREDITS])
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"page": "0"}, "query.page"),
        ({"page": "-1"}, "query.page"),
        ({"page": "NaN"}, "query.page"),
        ({"page": "9" * 30}, "query.page"),
        ({"pageSize": "101"}, "query.pageSize"),
        ({"search": "x" * 201}, "query.search"),
        ({"search": "a\0"}, "query.search"),
        ({"includeUsageCount": "yes"}, "query.includeUsageCount"),
        ({"surprise": "1"}, "query"),
    ],
)
def test_a_wrong_parameter_is_named(administrator: APIClient, url: str, asked, field: str) -> None:
    assert fields_of(administrator.get(url, asked)) == [field]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"status": "gone"}, "query.status"),
        ({"sort": "password"}, "query.sort"),
    ],
)
def test_a_wrong_choice_of_users_is_named(administrator: APIClient, asked, field: str) -> None:
    assert fields_of(administrator.get(USERS, asked)) == [field]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"minCredits": "lots"}, "query.minCredits"),
        ({"maxCredits": "1e9"}, "query.maxCredits"),
        ({"maxCredits": "9" * 13}, "query.maxCredits"),
        ({"minCredits": "5", "maxCredits": "4"}, "query.maxCredits"),
        ({"currency": "doge"}, "query.currency"),
    ],
)
def test_a_wrong_choice_of_balances_is_named(administrator: APIClient, asked, field: str) -> None:
    assert fields_of(administrator.get(CREDITS, asked)) == [field]


def test_the_smallest_balances_come_first(administrator: APIClient, ada: User) -> None:
    team = team_of(ada, name="Engines")
    for customer, balance in ((ada.personal_customer, "30"), (team, "5"), (None, "200")):
        factories.account(customer, balance)
    factories.account(ada.personal_customer, "9", currency="usdc")

    def found(**asked) -> list[int]:
        return [row["creditsRemaining"] for row in administrator.get(CREDITS, asked).json()["creditBalances"]]

    assert found() == [5, 30, 200]
    assert found(minCredits="5.5") == [30, 200]
    assert found(maxCredits="30") == [5, 30]
    assert found(search="engines") == [5]
    assert found(search="ada@example") == [30]
    assert found(currency="usdc") == [9]
    [row] = administrator.get(CREDITS, {"search": "Engines"}).json()["creditBalances"]
    assert (row["user"], row["userId"], row["customer"]) == (
        None, None, {"id": team.pk, "kind": "TEAM", "name": "Engines"},
    )  # fmt: skip


def test_a_list_takes_as_many_queries_for_many_as_for_one(administrator: APIClient, ada: User) -> None:
    asked = {"includeUsageCount": "true"}
    factories.usage(factories.account(ada.personal_customer, "10"))
    few = [queries(lambda: administrator.get(url, asked)) for url in (USERS, CREDITS)]  # noqa: B023  (called at once)

    for _ in range(8):
        factories.usage(factories.account(balance="10"))

    many = [queries(lambda: administrator.get(url, asked)) for url in (USERS, CREDITS)]  # noqa: B023  (called at once)
    assert Account.objects.count() == 9
    assert many == few
    assert max(many) <= 6
