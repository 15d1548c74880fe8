"""
PostgreSQL is stopped at once and killed under load, and the process that spends dies where it may hurt.

What was acknowledged is there, once. Where PostgreSQL is told to acknowledge what it has not
written (``synchronous_commit=off``), the same proof finds what is missing.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.postgres import SCHEMES, Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
CYCLES = int(os.environ.get("CYCLES") or 1)
TRIES_TO_LOSE = 5
#: Where ``tests.proofs.survivor`` can be told to die.
DEATHS = ("before the batch", "inside the transaction", "before the commit", "after the commit")

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not os.environ.get("DATABASE_URL", "").startswith(SCHEMES) and "CYCLES" not in os.environ,
        reason="PostgreSQL dies here, on a cluster of its own: with the tests on PostgreSQL and by make prove-crashes",
    ),
]


class Bank:
    """A database on a cluster that may die, and the processes that use it."""

    def __init__(self, cluster: Cluster, notes: Path) -> None:
        self.cluster, self.notes = cluster, notes
        self.url = cluster.start()
        self.run("manage.py", "migrate", "--verbosity", "0")
        self.run("-m", "tests.proofs.survivor", "prepare")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in ("PATH", "SECRET_KEY", "API_KEY_PEPPER")}
        fixed = {"PREPAID_ENV_FILE": os.devnull, "DATABASE_POOL_SIZE": "0", "LOG_LEVEL": "CRITICAL"}
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**kept, **fixed, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": self.url, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *arguments: str) -> None:
        assert self.start(*arguments).wait() == 0, f"{arguments} failed"

    def spend(self, seconds: float, **environment: str) -> subprocess.Popen[bytes]:
        return self.start("-m", "tests.proofs.survivor", "spend", str(seconds), str(self.notes), **environment)

    def wait_for_load(self) -> None:
        """Until some more has been acknowledged."""
        before = self.acknowledged_bytes()
        deadline = time.monotonic() + 60
        while self.acknowledged_bytes() < before + 20_000:
            assert time.monotonic() < deadline, "nothing is acknowledged"
            time.sleep(0.01)

    def acknowledged_bytes(self) -> int:
        return self.notes.stat().st_size if self.notes.exists() else 0

    def lost(self) -> list[str]:
        """What was acknowledged and is not there, or is there with another amount."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT id, amount, settled FROM credits_hold").fetchall()
        kept = {id_.hex: {"hold": amount, "settle": settled} for id_, amount, settled in found}
        notes = [line for line in self.notes.read_text().split("\n") if line]
        return [
            note
            for note in notes
            for what, hold_id, amount in [note.split()]
            if hold_id not in kept or kept[hold_id][what] != int(amount)
        ]

    def prove(self) -> None:
        assert self.lost() == []
        self.run("manage.py", "check_ledger")
        with psycopg.connect(self.url) as connection:
            spent = connection.execute("SELECT sum(settled) FROM credits_hold").fetchone()
            left = connection.execute("SELECT balance, held FROM credits_account").fetchone()
            doubled = connection.execute(
                "SELECT hold_id FROM credits_ledgerentry WHERE kind = 'USAGE' GROUP BY hold_id HAVING count(*) > 1"
            ).fetchall()
        assert spent is not None
        assert left is not None
        assert left[0] == 10**9 - spent[0]
        assert 0 <= left[1] <= left[0]
        assert doubled == []


@contextmanager
def bank(directory: Path, **options: str) -> Iterator[Bank]:
    cluster = Cluster(**options)
    try:
        yield Bank(cluster, directory / "acknowledged")
    finally:
        cluster.stop()


def test_what_was_acknowledged_survives_the_database(tmp_path):
    with bank(tmp_path) as survivor:
        spending = survivor.spend(CYCLES * 60)
        for cycle in range(CYCLES):
            survivor.wait_for_load()
            survivor.cluster.crash(signal.SIGKILL if cycle % 2 else signal.SIGQUIT)
        survivor.wait_for_load()
        spending.kill()
        spending.wait()

        survivor.prove()


def test_what_was_acknowledged_survives_the_process(tmp_path):
    with bank(tmp_path) as survivor:
        for where in DEATHS * max(1, CYCLES // len(DEATHS)):
            assert survivor.spend(60, DIE_AT=where).wait() == 9
            assert survivor.lost() == [], f"it died {where}"

        survivor.prove()


def test_the_proof_is_red_where_commits_are_not_written(tmp_path):
    """The server acknowledges at once and writes seconds later: a killed one has forgotten."""
    with bank(tmp_path, synchronous_commit="off", wal_writer_delay="10s") as forgetful:
        spending = forgetful.spend(600)
        lost: list[str] = []
        for _ in range(TRIES_TO_LOSE):
            forgetful.wait_for_load()
            forgetful.cluster.crash(signal.SIGKILL)
            lost = forgetful.lost()
            if lost:
                break
        spending.kill()
        spending.wait()

        assert lost
