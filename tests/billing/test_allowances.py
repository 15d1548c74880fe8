"""Limits over REST: shown with what of them is used, set by owners and by administrators."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry, Customer, User
from billing.calls import Call
from billing.counters import Counters
from billing.operations import Conclude
from credits.amounts import credits
from credits.models import Account
from tests import factories
from tests.accounts.people import join, person, signed_in, team_of
from tests.accounts.tokens import SERVICE_SECRET
from tests.billing.test_batch import COMPLETED, admit, commit

pytestmark = pytest.mark.django_db

__all__ = ["admit"]

BUDGET = {"amount": "5", "period": "DAY"}
LIMITS = {"requestsPerMinute": 60, "tokensPerMinute": None, "concurrentCalls": 2}
NONE = {"requestsPerMinute": None, "tokensPerMinute": None, "concurrentCalls": None}


@pytest.fixture(autouse=True)
def service_secret(settings: Any) -> None:
    settings.SERVICE_JWT_SECRET = SERVICE_SECRET


@pytest.fixture
def team(db: None) -> Customer:
    return team_of(person(email="owner@example.com"))


@pytest.fixture
def owner(team: Customer) -> APIClient:
    return signed_in(team.members.get())


def url(customer: Customer, *, admin: bool = False) -> str:
    return f"/api/{'admin/' if admin else ''}customers/{customer.pk}/limits"


def test_customer_has_no_limits_until_its_owner_sets_some(owner: APIClient, team: Customer) -> None:
    before = owner.get(url(team)).json()
    after = owner.patch(url(team), {"budget": BUDGET, "limits": LIMITS}, format="json").json()

    assert before == {"budget": None, "limits": NONE, "used": {"concurrentCalls": 0}, "fixed": False}
    assert after["budget"] == {**BUDGET, "currency": "credits"}
    assert after["limits"] == LIMITS
    assert {name: after["used"][name] for name in ("spent", "held", "left")} == {"spent": "0", "held": "0", "left": "5"}
    team.refresh_from_db()
    assert (team.budget, team.budget_period, team.concurrent_calls) == (credits(5), "DAY", 2)
    assert team.limited_at is not None
    entry = AuditEntry.objects.get(action="customer.limited")
    assert entry.details == {"fields": ["budget", "budget_period", "concurrent_calls", "requests_per_minute"]}


def test_what_is_left_out_stays_and_null_lifts(owner: APIClient, team: Customer) -> None:
    owner.patch(url(team), {"budget": BUDGET, "limits": LIMITS}, format="json")

    kept = owner.patch(url(team), {"budget": None}, format="json").json()
    same = owner.patch(url(team), {}, format="json").json()

    assert (kept["budget"], kept["limits"]) == (None, LIMITS)
    assert same == kept


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"budget": {"amount": "5"}}, "body.budget.period"),
        ({"budget": {"amount": "0", "period": "DAY"}}, "body.budget.amount"),
        ({"budget": {"amount": "5", "period": "YEAR"}}, "body.budget.period"),
        ({"budget": {"amount": 5.5, "period": "DAY"}}, "body.budget.amount"),
        ({"limits": {"requestsPerMinute": 0}}, "body.limits.requestsPerMinute"),
        ({"limits": {"callsPerDay": 1}}, "body.limits"),
        ({"fixed": True}, "body"),
    ],
)
def test_wrong_field_is_named(owner: APIClient, team: Customer, body: dict[str, Any], field: str) -> None:
    answer = owner.patch(url(team), body, format="json")

    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field)


@pytest.mark.parametrize(("role", "status"), [("ADMIN", 200), ("MEMBER", 403), ("BILLING", 403), ("READ_ONLY", 403)])
def test_owners_and_administrators_of_a_team_limit_it(team: Customer, role: str, status: int) -> None:
    member = signed_in(join(person(), team, role))

    assert member.patch(url(team), {"limits": LIMITS}, format="json").status_code == status
    assert member.get(url(team)).status_code == 200


def test_limits_that_an_administrator_fixed_are_not_lifted_by_their_customer(
    administrator: APIClient, owner: APIClient, team: Customer
) -> None:
    fixed = administrator.patch(url(team, admin=True), {"budget": BUDGET, "fixed": True}, format="json")
    refused = owner.patch(url(team), {"budget": None}, format="json")
    administrator.patch(url(team, admin=True), {"fixed": False}, format="json")
    lifted = owner.patch(url(team), {"budget": None}, format="json")

    assert fixed.json()["fixed"] is True
    assert administrator.get(url(team, admin=True)).json()["limits"] == NONE
    assert (refused.status_code, refused.json()["code"]) == (403, "LIMITS_ARE_FIXED")
    assert (lifted.status_code, lifted.json()["budget"]) == (200, None)


def test_limits_show_what_is_used_of_them(api: APIClient, account: Account, admit: Any) -> None:
    now = timezone.now()
    ApiKey.objects.update(budget=credits(10), budget_period="MONTH", concurrent_calls=5)
    first, second = commit(admit(quantity=2), admit(quantity=3), now=now)
    assert isinstance(second, Call)
    commit(Conclude(first, COMPLETED), now=now)

    body = api.get(f"/api/keys/{ApiKey.objects.get().pk}/limits").json()

    assert body["limits"] == {**NONE, "concurrentCalls": 5}
    assert (body["budget"]["amount"], body["used"]["spent"], body["used"]["held"]) == ("10", "1", "3")
    assert (body["used"]["left"], body["used"]["concurrentCalls"]) == ("6", 1)


def test_limits_of_anothers_key_are_not_there(api: APIClient) -> None:
    factories.api_key()

    theirs = ApiKey.objects.order_by("-pk")[0]

    assert api.get(f"/api/keys/{theirs.pk}/limits").status_code == 404


def test_limits_that_are_set_in_the_console_count_from_then_on(team: Customer) -> None:
    console = Client()
    console.force_login(User.objects.create_superuser("root@example.com"))
    address = reverse("admin:accounts_customer_change", args=[team.pk])
    form = {
        "name": team.name, "time_zone": "UTC", "budget": credits(3), "budget_period": "WEEK",
        "requests_per_minute": "", "tokens_per_minute": "", "concurrent_calls": 4,
        "end_user_budget": credits(1), "end_user_budget_period": "DAY",
        **{f"memberships-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")},
    }  # fmt: skip

    answer = console.post(address, form)
    without_period = console.post(address, {**form, "budget_period": ""})

    assert answer.status_code == 302
    team.refresh_from_db()
    assert (team.budget, team.budget_period, team.concurrent_calls) == (credits(3), "WEEK", 4)
    assert team.limited_at is not None
    assert team.end_users_limited_at is not None
    assert without_period.status_code == 200


def test_nothing_is_locked_for_whoever_has_no_limits(account: Account) -> None:
    assert Counters.open([], [], now=timezone.now()).changes().rows == []
