"""``/api/me``: read, changed, taken along, and deleted so that nobody is there any more and the books stay."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.utils import timezone
from openapi_schema_validator import OAS31Validator
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry, Customer, Invitation, Membership, User
from accounts.profiles import forget_user
from accounts.teams.invitations import invite
from billing.profile.schema import EXPORT
from credits.models import Account, Grant, LedgerEntry
from tests import factories
from tests.accounts.people import join, person, role_of, signed_in, team_of

URL = "/api/me"
EMAIL, NAME = "ada.lovelace@example.com", "Ada Lovelace"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("service_secret")]


@pytest.fixture
def service_secret(settings: Any) -> None:
    settings.SERVICE_JWT_SECRET = "the service secret of the tests, which is long enough"


@pytest.fixture
def ada(db: None) -> User:
    return person(email=EMAIL, name=NAME)


def test_a_person_sees_who_they_are_and_for_whom_they_act(ada: User) -> None:
    team = team_of(ada)

    body = signed_in(ada, team).get(URL).json()

    assert (body["id"], body["email"], body["name"], body["timeZone"]) == (ada.pk, EMAIL, NAME, "UTC")
    assert (body["customerId"], [row["role"] for row in body["customers"]]) == (team.pk, ["OWNER", "OWNER"])


def test_name_and_time_zone_are_changed(ada: User) -> None:
    body = signed_in(ada).patch(URL, {"name": "Countess", "timeZone": "Europe/London"}).json()

    assert (body["name"], body["timeZone"], body["customers"][0]["name"]) == ("Countess", "Europe/London", "Countess")
    assert signed_in(ada).patch(URL, {}).json()["name"] == "Countess"


@pytest.mark.parametrize("body", [{"email": "x@example.com"}, {"name": "x" * 201}, {"timeZone": "Mars"}, {"name": 7}])
def test_nothing_else_is_changed(ada: User, body: Any) -> None:
    assert signed_in(ada).patch(URL, body).status_code == 400


def test_keys_are_not_people(api: APIClient) -> None:
    assert [api.get(URL).status_code, api.get(f"{URL}/export").status_code, api.delete(URL).status_code] == [403] * 3


def test_everything_is_exported_but_secrets_and_others(ada: User) -> None:
    account = factories.account(ada.personal_customer, "10")
    text = factories.api_key(ada.personal_customer)
    factories.usage(account, "2", api_key=ApiKey.objects.get())
    factories.account(factories.UserFactory.create(name="Somebody else").personal_customer, "7")

    response: Any = signed_in(ada).get(f"{URL}/export")

    raw = b"".join(response.streaming_content)
    body = json.loads(raw)
    assert response.headers["Content-Disposition"] == 'attachment; filename="prepaid.json"'
    assert [error.message for error in OAS31Validator(EXPORT).iter_errors(body)] == []
    counts = {name: len(rows) for name, rows in body.items() if name != "user"}
    assert counts == {
        "memberships": 1, "invitations": 0, "keys": 1, "accounts": 1, "grants": 1, "entries": 2, "usage": 1, "audit": 1,
    }  # fmt: skip
    assert (body["user"]["email"], body["accounts"][0]["balance"], body["usage"][0]["charged"]) == (EMAIL, "8", "2")
    key = ApiKey.objects.get()
    assert not any(secret.encode() in raw for secret in (text, key.digest, "Somebody else"))


# Deletion


def everything() -> str:
    """Every row of every table of ours, as text."""
    tables = [User, Customer, Membership, Invitation, ApiKey, AuditEntry, LogEntry, Account, Grant, LedgerEntry]
    return "".join(serializers.serialize("json", table._default_manager.all()) for table in tables)


def delete(user: User) -> Any:
    return signed_in(user).delete(URL, {"confirm": "DELETE"})


def by_themselves(user: User) -> None:
    assert delete(user).status_code == 204


def at_the_identity_provider(user: User) -> None:
    assert user.external_id
    assert forget_user(user.external_id, now=timezone.now()) == "user deactivated and pseudonymised"


HOWEVER = pytest.mark.parametrize("forget", [by_themselves, at_the_identity_provider])
Forget = Callable[[User], None]


@HOWEVER
def test_who_is_deleted_is_nowhere_and_the_books_stay(ada: User, forget: Forget) -> None:
    account = factories.account(ada.personal_customer, "10")
    key = factories.api_key(ada.personal_customer, name=f"{NAME}'s laptop")
    host = person()
    invite(team_of(host), email=EMAIL, role="MEMBER", invited_by=host, now=timezone.now())
    LogEntry.objects.log_actions(host.pk, [ada], 2, single_object=True)
    User.objects.filter(pk=ada.pk).update(is_staff=True, is_superuser=True)
    assert {EMAIL in everything(), NAME in everything()} == {True}

    forget(ada)

    text = everything()
    assert (EMAIL in text, NAME in text) == (False, False)
    account.refresh_from_db()
    assert (account.balance, account.entries.count()) == (100_000_000, 1)
    assert APIClient(headers={"x-api-key": key}).get("/api/keys").status_code == 401
    assert signed_in(ada).get(URL).status_code == 403
    ada.refresh_from_db()
    assert (ada.is_active, ada.deleted_at is not None, ada.external_id is not None) == (False, True, True)
    assert (ada.is_staff, ada.is_superuser) == (False, False)


@pytest.mark.parametrize("body", [{}, {"confirm": "yes"}, {"confirm": True}, {"confirm": "DELETE", "x": 1}])
def test_nobody_is_deleted_by_mistake(ada: User, body: Any) -> None:
    assert signed_in(ada).delete(URL, body).status_code == 400
    assert signed_in(ada).get(URL).status_code == 200


def test_the_owner_of_others_transfers_first(ada: User) -> None:
    team = team_of(ada)
    heir = join(person(), team)

    refused = delete(ada)

    assert (refused.status_code, refused.json()["code"], refused.json()["customers"]) == (
        409,
        "OWNER_MUST_TRANSFER",
        [team.pk],
    )
    signed_in(ada).post(f"/api/customers/{team.pk}/transfer", {"userId": heir.pk})
    assert delete(ada).status_code == 204
    assert (role_of(ada, team), role_of(heir, team)) == (None, "OWNER")


def test_whom_the_identity_provider_deletes_stays_the_owner_of_others_and_can_do_nothing(ada: User) -> None:
    team = team_of(ada)
    member = join(person(), team)

    at_the_identity_provider(ada)

    assert (role_of(ada, team), role_of(member, team)) == ("OWNER", "MEMBER")
    assert signed_in(ada, team).get("/api/credits/me").status_code == 403
    assert signed_in(member, team).get("/api/credits/me").status_code == 200


@HOWEVER
def test_a_team_of_one_is_given_up_and_keys_of_other_teams_go_on(ada: User, forget: Forget) -> None:
    alone, other = team_of(ada), team_of(owner := person())
    join(ada, other, "ADMIN")
    closed, kept = factories.api_key(alone, created_by=ada), factories.api_key(other, created_by=ada)

    forget(ada)

    alone.refresh_from_db()
    assert alone.closed_at is not None
    assert [APIClient(headers={"x-api-key": key}).get("/api/keys").status_code for key in (closed, kept)] == [401, 200]
    assert ApiKey.objects.get(customer=other).created_by == owner
