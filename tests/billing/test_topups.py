"""``POST /api/billing/credits/topup``: USDC for a payment, once per payment, and never given by oneself."""

import time
import uuid

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from credits.models import Account, Currency, Grant
from tests import factories
from tests.accounts.tokens import SERVICE_SECRET, service_token

pytestmark = pytest.mark.django_db

URL = "/api/billing/credits/topup"
PAID = {"user_id": "user_anna", "amount_usdc": "25.00", "reference": "pi_1"}


@pytest.fixture
def anna(settings) -> User:
    settings.SERVICE_JWT_SECRET = SERVICE_SECRET
    return factories.UserFactory.create(external_id="user_anna")


@pytest.fixture
def operator(anna: User) -> APIClient:
    factories.UserFactory.create(external_id="user_boss", is_staff=True)
    return person("user_boss")


def person(external_id: str) -> APIClient:
    token = service_token(userId=external_id, exp=int(time.time()) + 60)
    return APIClient(headers={"authorization": f"Bearer {token}"})


def top_up(client: APIClient, body: dict, key: str = ""):
    return client.post(URL, body, headers={"idempotency-key": key or uuid.uuid4().hex})


def test_a_payment_that_came_in_is_in_the_balance(operator: APIClient, anna: User):
    response = top_up(operator, PAID)

    assert response.status_code == 201
    body = response.json()
    shown = person("user_anna").get("/api/billing/credits").json()
    assert body == {**shown, "amount_usdc": "25.00", "reference": "pi_1"}
    assert (shown["user_id"], shown["balance_usdc"]) == ("user_anna", "25.00")
    grant = Grant.objects.get()
    assert (grant.category, grant.source, grant.account.currency) == ("PURCHASE", "topup:pi_1", "usdc")
    assert grant.actor == f"user:{User.objects.get(external_id='user_boss').pk}"
    [entry] = person("user_anna").get("/api/billing/credits/transactions").json()["transactions"]
    assert (entry["kind"], entry["amount"], entry["reference"]) == ("GRANT", "25.00", "topup:pi_1")


@pytest.mark.parametrize("key", ["", "the-same"], ids=["another request", "the same request"])
def test_a_payment_counts_once(operator: APIClient, key: str):
    first, second = top_up(operator, PAID, key), top_up(operator, PAID, key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert Grant.objects.count() == 1


@pytest.mark.parametrize("changed", [{"amount_usdc": "26"}, {"user_id": "user_boss"}])
def test_a_payment_is_of_one_amount_and_of_one_customer(operator: APIClient, changed: dict):
    top_up(operator, PAID)

    response = top_up(operator, PAID | changed)

    assert (response.status_code, response.json()["error"]) == (409, "source_conflict")
    assert Account.objects.filter(currency=Currency.USDC, balance__gt=0).count() == 1


def test_nobody_tops_up_themselves(anna: User, api: APIClient, anonymous: APIClient):
    named = top_up(person("user_anna"), PAID)
    unnamed = top_up(person("user_anna"), {"amount_usdc": "25"})
    by_key = top_up(api, PAID)

    assert (named.status_code, named.json()["error"]) == (403, "forbidden")
    assert (unnamed.status_code, unnamed.json()["error"]) == (503, "payments_not_taken")
    assert by_key.status_code == 403
    assert top_up(anonymous, PAID).status_code == 401
    assert Grant.objects.count() == 0


def test_a_person_without_an_id_outside_goes_by_ours(operator: APIClient):
    nameless = factories.UserFactory.create(external_id=None)

    assert top_up(operator, PAID | {"user_id": str(nameless.pk)}).json()["user_id"] == str(nameless.pk)


def test_a_team_goes_by_its_id_outside(operator: APIClient):
    factories.TeamFactory.create(external_id="org_1")

    assert top_up(operator, PAID | {"user_id": "org_1"}).json()["user_id"] == "org_1"


@pytest.mark.parametrize("name", ["user_nobody", "0", "999999999999999999", "9" * 30, "١"])
def test_a_customer_that_nobody_knows_is_not_found(operator: APIClient, name: str):
    assert top_up(operator, PAID | {"user_id": name}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (PAID | {"amount_usdc": 25}, "body.amount_usdc"),
        (PAID | {"amount_usdc": "0"}, "body.amount_usdc"),
        (PAID | {"amount_usdc": "-1"}, "body.amount_usdc"),
        (PAID | {"amount_usdc": "1e3"}, "body.amount_usdc"),
        (PAID | {"amount_usdc": "0.00000001"}, "body.amount_usdc"),
        ({"user_id": "user_anna", "reference": "pi_1"}, "body.amount_usdc"),
        ({"user_id": "user_anna", "amount_usdc": "1"}, "body.reference"),
        ({"reference": "pi_1", "amount_usdc": "1"}, "body.user_id"),
        (PAID | {"reference": ""}, "body.reference"),
        (PAID | {"reference": "x" * 201}, "body.reference"),
        (PAID | {"campaign": "spring"}, "body"),
    ],
)
def test_a_wrong_field_is_named(operator: APIClient, body: dict, field: str):
    response = top_up(operator, body)

    assert response.status_code == 400
    assert [detail["field"] for detail in response.json()["details"]] == [field]


def test_more_than_an_account_can_hold_is_refused(operator: APIClient):
    top_up(operator, PAID | {"amount_usdc": "900000000000"})

    response = top_up(operator, PAID | {"amount_usdc": "900000000000", "reference": "pi_2"})

    assert (response.status_code, response.json()["details"][0]["field"]) == (400, "body.amount_usdc")


def test_a_top_up_needs_an_idempotency_key(operator: APIClient):
    assert operator.post(URL, PAID).json()["error"] == "idempotency_key_missing"
