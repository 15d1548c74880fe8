"""
The bank against the model, over random histories with crashes between any two statements.

``make prove-ledger`` lives through a million steps. A round of histories that ends badly says its
seed, and which steps were enough; ``make prove-ledger SEED=… STEPS=…`` lives through it again.
"""

import inspect
import os
import random
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from credits import books, ledger, services
from credits.models import Account, Currency
from tests import factories
from tests.simulation.machine import BankMachine

STEPS_OF_A_HISTORY = 50
MOST_HISTORIES_OF_A_ROUND = 50
SHARDS = 4
STEPS = int(os.environ.get("STEPS") or 20_000)
SEED = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))


@pytest.fixture
def accounts(db: None) -> list[Account]:
    """Of two customers, one of whom has two currencies."""
    one = factories.account()
    return [one, factories.account(one.customer, currency=Currency.USDC), factories.account()]


def live(accounts: Sequence[Account], histories: int, number: int, **options: Any) -> int:
    """Live through so many histories, which follow from ``number``. Returns the steps that were really taken."""
    taken = count()

    @seed(number)
    def history() -> BankMachine:
        return BankMachine(accounts, lambda: next(taken))

    chosen = settings(max_examples=histories, stateful_step_count=STEPS_OF_A_HISTORY, deadline=None, **options)
    run_state_machine_as_test(history, settings=chosen)
    return next(taken)


@pytest.mark.proof
@pytest.mark.timeout(max(900, STEPS))
@pytest.mark.parametrize("shard", range(SHARDS))
def test_bank_and_model_agree_after_every_step(shard: int, accounts: list[Account]):
    left = -(-STEPS // SHARDS)

    print(f"SEED={SEED} STEPS={STEPS}")  # shown when it fails

    for number in count(SEED + shard, SHARDS):
        histories = min(MOST_HISTORIES_OF_A_ROUND, -(-left // STEPS_OF_A_HISTORY))
        try:
            left -= live(accounts, histories, number)
        except Exception as error:
            steps = histories * STEPS_OF_A_HISTORY * SHARDS
            error.add_note(f"To live through it again: make prove-ledger SEED={number} STEPS={steps}")
            raise
        if left <= 0:
            return


def expire_an_instant_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.Lot, "is_due", lambda lot, now: lot.is_voided or (lot.expires_at or now) < now)


def free_one_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = books.Books.settle
    monkeypatch.setattr(books.Books, "settle", lambda self, hold, amount, **why: settle(self, hold, amount + 1, **why))


def grant_without_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "grant", inspect.unwrap(services.grant))


def take_every_adjustment_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = count()
    adjust = services.adjust
    monkeypatch.setattr(
        services, "adjust", lambda **terms: adjust(**{**terms, "reference": f"{terms['reference']}:{next(names)}"})
    )


@pytest.mark.parametrize(
    "bug",
    [
        expire_an_instant_late,
        free_one_too_few,
        grant_without_a_transaction,
        take_every_adjustment_for_a_new_one,
    ],
)
@pytest.mark.usefixtures("one_database")
def test_bank_and_model_disagree_over_a_bug(bug, accounts: list[Account], monkeypatch: pytest.MonkeyPatch):
    bug(monkeypatch)

    with pytest.raises(AssertionError):
        live(accounts, 200, 1, phases=[Phase.generate], database=None)
