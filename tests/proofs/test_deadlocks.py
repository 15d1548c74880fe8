"""Many transactions, each over some accounts in any order: none waits for another that waits for it."""

import random
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import OperationalError, connection, transaction  # noqa: F401 (the condition of skipif names it)

from credits import services
from credits.books import HoldRequest
from credits.models import Account, Hold
from tests import factories
from tests.racing import at_once, raised

THREADS, EACH = 12, 12

pytestmark = [
    pytest.mark.proof,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's transactions lock all that there is"),
]

Move = Callable[[Sequence[HoldRequest], datetime], None]


@pytest.fixture
def accounts(db: None) -> list[Account]:
    return [factories.account(balance="100") for _ in range(4)]


def hold_and_settle(requests: Sequence[HoldRequest], now: datetime) -> None:
    """As the gateway does: all accounts of a batch at once, twice."""
    services.place_holds(requests, now=now)
    services.settle_holds([(request.id, 1) for request in reversed(requests)], actor="system", now=now)


def hold_one_after_another(requests: Sequence[HoldRequest], now: datetime) -> None:
    """Each account is locked when it is needed, in whatever order that is."""
    with transaction.atomic():
        for request in requests:
            services.place_holds([request], now=now)


def load(accounts: Sequence[Account], now: datetime, move: Move) -> list[Exception]:
    """Let all threads move money of two or three accounts at a time; stop at the first that fails."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    has_failed = threading.Event()

    def work(number: int) -> None:
        chance = random.Random(seed + number)
        for _ in range(EACH):
            if has_failed.is_set():
                return
            requests = [
                HoldRequest(services.new_hold_id(), account.pk, None, 10, now + timedelta(hours=1))
                for account in chance.sample(accounts, chance.choice([2, 3]))
            ]
            try:
                move(requests, now)
            except OperationalError:
                has_failed.set()
                raise

    return raised(at_once(*[partial(work, number) for number in range(THREADS)]))


def test_accounts_in_any_order_are_no_deadlock(accounts: list[Account], now: datetime):
    assert load(accounts, now, hold_and_settle) == []

    holds = Hold.objects.all()
    assert THREADS * EACH * 2 <= holds.count() <= THREADS * EACH * 3
    assert set(holds.values_list("status", "settled")) == {("SETTLED", 1)}


def test_the_proof_is_red_where_accounts_are_locked_one_after_another(accounts: list[Account], now: datetime):
    errors = load(accounts, now, hold_one_after_another)

    assert any("deadlock detected" in str(error) for error in errors)
