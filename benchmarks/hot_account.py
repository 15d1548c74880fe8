"""
Holds and settlements a second on one account, and on many: ``make bench-hot``, on PostgreSQL.

A process has ``CLIENTS`` tasks that hold and settle one after the other, through group commit. It
is run alone and beside a second one, with ``synchronous_commit`` on. Deadlocks are PostgreSQL's own count.

What an operation costs in CPU is the kernel's account: the process that asks and all of PostgreSQL. Their
sum says how many operations a core is good for, and so what the limit is where neither disk nor lock is waited for.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import django
import psycopg

from benchmarks import kernel

CLIENTS = 128
SECONDS = 5.0
ACCOUNTS = 50


def main() -> None:
    if sys.argv[1:2] == ["spend"]:
        django.setup()
        asyncio.run(_spend([int(id_) for id_ in sys.argv[3].split(",")], float(sys.argv[2])))
        return
    django.setup()
    accounts = _prepare()
    print(
        "| accounts | processes | holds and settlements/s | CPU µs: Prepaid | PostgreSQL | cores used | deadlocks |\n"
        "|--:|--:|--:|--:|--:|--:|--:|"
    )
    for ids, processes in ((accounts[:1], 1), (accounts[:1], 2), (accounts, 2)):
        rate, prepaid, database, cores = _measured(ids, processes)
        row = [f"{rate:,.0f}", f"{prepaid:.0f}", f"{database:.0f}", f"{cores:.2f}", _deadlocks()]
        print(f"| {len(ids)} | {processes} | {' | '.join(map(str, row))} |", flush=True)


def _prepare() -> list[int]:
    from django.core.management import call_command  # noqa: PLC0415 (after django.setup)
    from django.utils import timezone  # noqa: PLC0415

    from accounts.models import User  # noqa: PLC0415
    from credits import services  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    accounts = []
    for number in range(ACCOUNTS):
        person = User.objects.create_user(f"hot-{number}-{time.time_ns()}@example.com")
        accounts.append(services.account_of(person.personal_customer))
        services.grant(
            account=accounts[-1],
            amount=10**12,
            category="PURCHASE",
            source=f"hot:{accounts[-1].pk}",
            actor="system",
            now=timezone.now(),
        )
    return [account.pk for account in accounts]


def _measured(ids: list[int], processes: int) -> tuple[float, float, float, float]:
    """Return operations a second, microseconds of CPU for each in Prepaid and in PostgreSQL, and the cores in use."""
    command = [sys.executable, "-m", "benchmarks.hot_account", "spend", str(SECONDS), ",".join(map(str, ids))]
    database = _server_pid()
    before = kernel.cpu_seconds(database)
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    told = [[float(number) for number in process.communicate()[0].split()] for process in running]
    database_cpu = kernel.cpu_seconds(database) - before
    done, prepaid_cpu = sum(row[0] for row in told), sum(row[1] for row in told)
    seconds = statistics.mean(row[2] for row in told)
    return (
        done / seconds,
        prepaid_cpu / done * 1e6,
        database_cpu / done * 1e6,
        (prepaid_cpu + database_cpu) / seconds,
    )


def _server_pid() -> int:
    """PostgreSQL's first process, which all others come from; it has to run on this machine."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        return kernel.parent(int(row[0]))


def _deadlocks() -> int:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        found = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        row = found.fetchone()
    assert row is not None
    return int(row[0])


async def _spend(ids: list[int], seconds: float) -> None:
    """
    Print how many operations were acknowledged, the CPU time and the time that took, in seconds.

    A client goes from account to account, each its way."""
    from django.db import transaction  # noqa: PLC0415 (after django.setup)
    from django.utils import timezone  # noqa: PLC0415

    from credits import services  # noqa: PLC0415
    from credits.books import Books, HoldRequest  # noqa: PLC0415
    from credits.group_commit import GroupCommit  # noqa: PLC0415
    from credits.ledger import Why  # noqa: PLC0415

    why = Why("system")

    def commit(operations: Sequence[tuple[bool, str, int]], *, again: bool) -> list[Any]:
        now = timezone.now()
        settled = [hold_id for is_hold, hold_id, _ in operations if not is_hold]
        with transaction.atomic():
            books = Books.open({account_id for _, _, account_id in operations}, settled, now=now)
            for is_hold, hold_id, account_id in operations:
                if is_hold:
                    books.hold(HoldRequest(hold_id, account_id, None, 10, now + timedelta(hours=1)))
                else:
                    books.settle(hold_id, 7, why=why)
            books.save()
        return [None] * len(operations)

    done = 0

    async def client(number: int) -> None:
        nonlocal done
        turn = number
        while time.monotonic() < ends_at:
            turn += number % 2 * 2 - 1  # half of them go one way round, half the other
            operation = (services.new_hold_id(), ids[turn % len(ids)])
            await ledger.run((True, *operation))
            await ledger.run((False, *operation))
            done += 2

    ledger = GroupCommit(commit, capacity=CLIENTS * 2)
    began, worked = time.monotonic(), time.process_time()
    ends_at = began + seconds
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    print(done, time.process_time() - worked, time.monotonic() - began)
    ledger.close(60)


if __name__ == "__main__":
    main()
