"""``X-Customer-Id``: for which customer a request is, and that there is no way to another's."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys
from accounts.errors import AddressNotAllowed, CustomerNotFound, PermissionDenied, Suspended
from accounts.models import ApiKey, Customer, Membership, User
from billing import batch
from billing.calls import Call
from billing.operations import Admit
from credits import services
from tests import factories
from tests.accounts import tokens

pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Customer:
    return factories.TeamFactory.create()


@pytest.fixture
def person() -> User:
    return factories.UserFactory.create(external_id="anna")


@pytest.fixture(autouse=True)
def secret(settings: Any) -> None:
    settings.SERVICE_JWT_SECRET = tokens.SERVICE_SECRET


def join(person: User, team: Customer, role: str) -> None:
    Membership.objects.update_or_create(user=person, customer=team, defaults={"role": role})


def balance(anonymous: APIClient, **headers: Any) -> Any:
    given = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    token = tokens.service_token(sub="anna", exp=int(timezone.now().timestamp()) + 600)
    return anonymous.get("/api/credits/me", headers={"authorization": f"Bearer {token}", **given})


def test_a_member_reads_the_customer_that_they_choose(anonymous: APIClient, person: User, team: Customer) -> None:
    factories.account(team, "7")
    factories.account(person.personal_customer, "3")
    join(person, team, "READ_ONLY")

    assert balance(anonymous).json()["creditsRemaining"] == 3
    assert balance(anonymous, x_customer_id=team.pk).json()["creditsRemaining"] == 7
    assert balance(anonymous, x_customer_id=person.personal_customer.pk).json()["creditsRemaining"] == 3


@pytest.mark.parametrize("text", ["0", "-1", "+1", "01", "1.0", "1e3", "one", "", " ", "1,2", "9" * 19, "\u0661"])
def test_what_can_be_no_customer_is_not_found(anonymous: APIClient, person: User, text: str) -> None:
    assert (balance(anonymous, x_customer_id=text).status_code) == 404


def test_others_and_unknown_customers_are_the_same_404(anonymous: APIClient, person: User, team: Customer) -> None:
    others, unknown = balance(anonymous, x_customer_id=team.pk), balance(anonymous, x_customer_id=10**17)

    assert (others.status_code, others.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")
    assert {**others.json(), "requestId": ""} == {**unknown.json(), "requestId": ""}


def test_a_new_person_finds_no_team_and_appears(anonymous: APIClient, team: Customer) -> None:
    assert balance(anonymous, x_customer_id=team.pk).status_code == 404
    assert User.objects.filter(external_id="anna").exists()


def test_who_has_left_is_out_at_once(anonymous: APIClient, person: User, team: Customer) -> None:
    join(person, team, "ADMIN")
    assert balance(anonymous, x_customer_id=team.pk).status_code == 200

    Membership.objects.filter(user=person, customer=team).delete()

    assert balance(anonymous, x_customer_id=team.pk).status_code == 404


def test_a_suspended_team_does_not_suspend_its_members(anonymous: APIClient, person: User, team: Customer) -> None:
    join(person, team, "OWNER")
    Customer.objects.filter(pk=team.pk).update(suspended_at=team.created_at)

    assert balance(anonymous, x_customer_id=team.pk).json()["code"] == "SUSPENDED"
    assert balance(anonymous).status_code == 200


def test_a_key_is_its_customers_alone(api: APIClient, customer: Customer, team: Customer) -> None:
    def status(chosen: Any) -> int:
        return api.get("/api/keys", headers={"x-customer-id": str(chosen)}).status_code

    assert (status(customer.pk), status(team.pk), status("x")) == (200, 404, 404)


@pytest.mark.parametrize(("networks", "status"), [("127.0.0.0/8", 200), ("192.0.2.0/24", 403), ("::1", 403)])
def test_a_key_is_for_its_networks(anonymous: APIClient, customer: Customer, networks: str, status: int) -> None:
    text = factories.api_key(customer)
    ApiKey.objects.update(allowed_addresses=networks)

    assert anonymous.get("/api/keys", headers={"x-api-key": text}).status_code == status


def test_a_hop_of_ours_says_where_a_key_is_used(anonymous: APIClient, customer: Customer, settings: Any) -> None:
    text = factories.api_key(customer)
    ApiKey.objects.update(allowed_addresses="192.0.2.0/24")

    def status() -> int:
        headers = {"x-api-key": text, "x-forwarded-for": "192.0.2.7"}
        return anonymous.get("/api/keys", headers=headers).status_code

    assert status() == 403
    settings.TRUSTED_HOPS = ["127.0.0.1"]
    assert status() == 200


# At the gateway


def admit(now: datetime, **fields: Any) -> Any:
    asked = {
        "hold_id": services.new_hold_id(),
        "key_digest": "",
        "external_id": "anna",
        "impersonated": False,
        "request_id": "req-1",
        "feature": "ai_text_chat",
        "quantity": 1,
        "provider": "openrouter",
        "model": "openai/gpt-4o-mini",
        "streamed": True,
        "lifetime": timedelta(hours=1),
    }
    return batch.commit([Admit(**{**asked, **fields})], again=False, now=now)[0]


def test_a_call_is_paid_by_the_customer_that_is_chosen(person: User, team: Customer, now: datetime) -> None:
    accounts = {chosen.pk: factories.account(chosen, "5") for chosen in (team, person.personal_customer)}
    join(person, team, "MEMBER")

    own, chosen, other = admit(now), admit(now, customer_id=team.pk), admit(now, customer_id=10**9)

    assert isinstance(own, Call)
    assert isinstance(chosen, Call)
    assert own.account_id == accounts[person.personal_customer.pk].pk
    assert (chosen.account_id, chosen.customer_id) == (accounts[team.pk].pk, team.pk)
    assert isinstance(other, CustomerNotFound)


@pytest.mark.parametrize(
    ("role", "refusal"),
    [
        ("OWNER", None),
        ("ADMIN", None),
        ("MEMBER", None),
        ("BILLING", PermissionDenied),
        ("READ_ONLY", PermissionDenied),
    ],
)
def test_roles_that_may_not_call_models(
    person: User, team: Customer, now: datetime, role: str, refusal: type[Exception] | None
) -> None:
    factories.account(team, "5")
    join(person, team, role)

    assert type(admit(now, customer_id=team.pk)) is (refusal or Call)


def test_suspended_and_inactive_spend_nothing(person: User, team: Customer, now: datetime) -> None:
    factories.account(team, "5")
    factories.account(person.personal_customer, "5")
    join(person, team, "OWNER")
    Customer.objects.filter(pk=team.pk).update(suspended_at=now)

    assert isinstance(admit(now, customer_id=team.pk), Suspended)
    assert isinstance(admit(now), Call)
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert isinstance(admit(now), Suspended)
    assert isinstance(admit(now, customer_id=10**9), Suspended)


def test_a_key_calls_for_its_own_customer_from_its_own_networks(
    customer: Customer, team: Customer, api_key: str, now: datetime
) -> None:
    factories.account(customer, "5")
    ApiKey.objects.update(allowed_addresses="192.0.2.0/24")
    key = {"external_id": "", "key_digest": keys.digest(api_key, pepper=settings.API_KEY_PEPPER)}

    assert isinstance(admit(now, **key), AddressNotAllowed)
    assert isinstance(admit(now, **key, address="192.0.2.9"), Call)
    assert isinstance(admit(now, **key, address="192.0.2.9", customer_id=customer.pk), Call)
    assert isinstance(admit(now, **key, address="192.0.2.9", customer_id=team.pk), CustomerNotFound)
