"""What an account holds at an instant, as the ledger would find it."""

from datetime import datetime, timedelta

import pytest

from credits import services
from credits.amounts import credits
from credits.balances import balance_at, balances_at
from credits.models import Account, Currency
from credits.reversals import reverse
from tests import factories

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def sums(account: Account, now: datetime) -> tuple[int, ...]:
    """Whole credits of balance, available and owed."""
    found = balance_at(customer=account.customer, currency=Currency.CREDITS, now=now)
    return tuple(units // credits(1) for units in (found.balance, found.available, found.owed))


def test_nobodys_balances_are_none_and_cost_nothing(django_assert_num_queries, now: datetime):
    with django_assert_num_queries(0):
        assert balances_at([], currency=Currency.CREDITS, now=now) == {}


def test_grants_of_one_size_each_count_until_they_expire(now: datetime):
    account = factories.account()
    for hours in (1, 1, 2):
        factories.grant(account, "10", now=now, expires_at=now + hours * HOUR)

    assert [sums(account, now + hours * HOUR)[0] for hours in range(3)] == [30, 10, 0]


def test_grant_that_takes_effect_pays_first_what_is_owed(now: datetime):
    account = factories.account()
    factories.grant(account, "30", now=now, source="pack:1")
    why = {"account": account, "actor": "system", "memo": "A test.", "now": now}
    services.debit(amount=credits(30), kind="ADJUSTMENT", reference="a", **why)
    reverse(source="pack:1", key="re_1", kind="REFUND", asked=credits(30), as_of=now, **why)
    factories.grant(account, "20", now=now, effective_at=now + HOUR)
    factories.grant(account, "100", now=now, effective_at=now + 2 * HOUR)

    assert [sums(account, now + hours * HOUR) for hours in range(3)] == [(0, 0, 30), (0, 0, 10), (90, 90, 0)]


def test_last_unit_expires_as_well_and_nothing_has_changed_it_but_the_clock(now: datetime):
    account = factories.account()
    factories.grant(account, "0.0000001", now=now, expires_at=now + HOUR)

    before, after = (
        balance_at(customer=account.customer, currency=Currency.CREDITS, now=instant) for instant in (now, now + HOUR)
    )

    assert (before.balance, before.changed_at) == (1, before.updated_at)
    assert (after.balance, after.changed_at) == (0, None)
