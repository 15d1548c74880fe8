"""
64 clients in two processes hold random amounts of one account: all that it affords, and nothing else.

Each transaction says what was held before it, so that all of them can be put into the order in
which the lock let them through, and every single decision is worked out again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from credits import services
from credits.models import Account, Hold

ATTEMPTS = int(os.environ.get("ATTEMPTS") or 6_400)
CLIENTS, PROCESSES = 64, 2
ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(600),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's transactions lock all that there is"),
]

Decision = tuple[int, list[tuple[int, bool]]]


class Wrong(AssertionError):
    """More was admitted than the balance affords, or less."""


@pytest.fixture
def spent(customer) -> Account:
    """An account that affords two thirds of what will be asked of it, from three grants."""
    account = services.account_of(customer)
    for number in range(3):
        services.grant(
            account=account,
            amount=ATTEMPTS * 50 * 2 // 9,
            category="PURCHASE",
            source=f"proof:{number}",
            priority=3 - number,
            actor="system",
            now=timezone.now(),
        )
    account.refresh_from_db()
    return account


def decisions(database_url: str, account: Account, *options: str) -> list[Decision]:
    """Let them spend; return every transaction's decisions in the order of the lock."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "SECRET_KEY", "API_KEY_PEPPER")},
        "PREPAID_ENV_FILE": os.devnull,
        "DATABASE_URL": database_url,
        "DATABASE_POOL_SIZE": "0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    counts = [str(account.pk), str(CLIENTS // PROCESSES), str(-(-ATTEMPTS // CLIENTS))]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.spender", *counts, str(1000 * number), *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [line for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    connection.close()
    parsed = [(before, [(price, admitted) for price, admitted in asked]) for before, asked in map(json.loads, lines)]
    return sorted(parsed, key=lambda decision: (decision[0], any(admitted for _, admitted in decision[1])))


def prove(balance: int, made: list[Decision]) -> Iterator[tuple[int, bool]]:
    """Work out every decision again, in order, and yield it."""
    held = 0
    for before, asked in made:
        if before != held:
            raise Wrong(f"{before} was held where {held} must have been")
        for price, admitted in asked:
            if admitted != (price <= balance - held):
                raise Wrong(f"{price} of {balance - held} was {'admitted' if admitted else 'refused'}")
            held += price if admitted else 0
            yield price, admitted
    assert Account.objects.get().held == held
    assert sum(Hold.objects.values_list("amount", flat=True)) == held


def test_what_the_balance_affords_is_admitted_and_nothing_else(database_url, spent):
    made = decisions(database_url, spent)

    proved = list(prove(spent.balance, made))

    assert len(proved) >= ATTEMPTS
    assert 0 <= spent.balance - sum(price for price, admitted in proved if admitted) < 100
    assert any(not admitted for _, admitted in proved)


@pytest.mark.books_are_cooked
def test_the_proof_is_red_where_nobody_locks(database_url, spent):
    """Check and then debit, without the lock in between."""
    made = decisions(database_url, spent, "--unlocked")

    admitted = sum(price for _, asked in made for price, is_admitted in asked if is_admitted)
    with pytest.raises(Wrong):
        list(prove(spent.balance, made))
    assert admitted > spent.balance
