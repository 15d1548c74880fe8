"""People who sign in, for tests of what they may do."""

import time
from typing import Any

from rest_framework.test import APIClient

from accounts.models import Customer, Membership, User
from tests import factories
from tests.accounts import tokens


def person(**fields: Any) -> User:
    """A user whom a token can name."""
    number = User.objects.count()
    return factories.UserFactory.create(external_id=f"person-{number}", **fields)


def signed_in(user: User, customer: Customer | None = None) -> APIClient:
    """A REST client of ``user`` in person, acting for ``customer`` if one is given."""
    token = tokens.service_token(sub=user.external_id, exp=int(time.time()) + 600)
    chosen = {} if customer is None else {"x-customer-id": str(customer.pk)}
    return APIClient(headers={"authorization": f"Bearer {token}", **chosen})


def team_of(owner: User, **others: str) -> Customer:
    """A team of ``owner``."""
    team = factories.TeamFactory.create(**others)
    join(owner, team, "OWNER")
    return team


def join(user: User, team: Customer, role: str = "MEMBER") -> User:
    Membership.objects.create(customer=team, user=user, role=role)
    return user


def role_of(user: User, team: Customer) -> str | None:
    return Membership.objects.filter(customer=team, user=user).values_list("role", flat=True).first()
