"""The database refuses what nobody may be: two owners, a budget without a period, an invitation to own."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import ApiKey, Customer, Invitation, Membership
from tests import factories

pytestmark = pytest.mark.django_db


def refused(name: str, act: Any) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        act()


@pytest.mark.parametrize("kept", ["customer", "api_key"])
@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"budget": 1}, "budget_has_a_period"),
        ({"budget_period": "DAY"}, "budget_has_a_period"),
        ({"budget": 0, "budget_period": "DAY"}, "budget_has_a_period"),
        ({"budget": 1, "budget_period": "YEAR"}, "budget_has_a_period"),
        ({"requests_per_minute": 0}, "limits_allow_something"),
        ({"tokens_per_minute": 0}, "limits_allow_something"),
        ({"concurrent_calls": 0}, "limits_allow_something"),
    ],
)
def test_a_limit_is_whole_and_allows_something(
    kept: str, fields: dict[str, Any], rule: str, customer: Customer, api_key: str
) -> None:
    rows: Any = Customer.objects.filter(pk=customer.pk) if kept == "customer" else ApiKey.objects.all()

    refused(f"{kept}_{rule}", lambda: rows.update(**fields))


@pytest.mark.parametrize("terms", [{"end_user_budget": 1}, {"end_user_budget_period": "DAY"}])
def test_a_budget_of_end_users_has_a_period(customer: Customer, terms: dict[str, Any]) -> None:
    rows = Customer.objects.filter(pk=customer.pk)

    refused("customer_end_user_budget_has_a_period", lambda: rows.update(**terms))


def test_a_customer_has_one_owner(customer: Customer) -> None:
    another = factories.UserFactory.create()

    refused("membership", lambda: Membership.objects.create(customer=customer, user=another, role="OWNER"))
    Membership.objects.create(customer=customer, user=another, role="ADMIN")


def test_an_address_is_invited_once_at_a_time(now: datetime) -> None:
    team = factories.TeamFactory.create()

    def invite(digest: str, **fields: Any) -> Invitation:
        terms = {"email": "a@example.com", "role": "MEMBER", "expires_at": now + timedelta(days=7), **fields}
        return Invitation.objects.create(customer=team, digest=digest, **terms)

    first = invite("1")
    refused("invitation", lambda: invite("2"))
    refused("invitation_makes_no_owner", lambda: invite("3", email="b@example.com", role="OWNER"))
    Invitation.objects.filter(pk=first.pk).update(declined_at=now)
    invite("4")
