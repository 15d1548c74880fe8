"""One ledger thread, its queue, and what becomes of whoever waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection, connections

from credits import group_commit, services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.errors import LedgerBusy, LedgerUnreachable
from credits.group_commit import GroupCommit
from credits.models import Account, Hold
from tests import factories

PATIENCE = 10


class Ledger:
    """
    Commits numbers: the outcome of n is -n. It keeps every batch, and fails as it is told.

    While ``gate`` is closed a commit that has begun does not end.
    """

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.agains: list[bool] = []
        self.threads: set[str] = set()
        self.committed: list[Any] = []
        self.failures: list[Exception | None] = []
        self.poison: dict[Any, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def __call__(self, operations: Sequence[Any], *, again: bool) -> Sequence[Any]:
        self.batches.append(list(operations))
        self.agains.append(again)
        self.threads.add(threading.current_thread().name)
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        for operation in operations:
            if operation in self.poison:
                raise self.poison[operation]
        self.committed += operations
        return [-operation for operation in operations]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def queue(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[GroupCommit]:
    monkeypatch.setattr(group_commit, "RETRY_AFTER", (0.01, 0.01, 0.01, 0.01))
    queue = GroupCommit(ledger, capacity=1000)
    yield queue
    ledger.gate.set()
    assert queue.close(PATIENCE)


async def all_of(queue: GroupCommit, operations: Sequence[Any]) -> list[Any]:
    return await asyncio.gather(*map(queue.run, operations), return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (what it waits for happens in another thread)
            await asyncio.sleep(0.001)


async def behind_a_first(queue: GroupCommit, ledger: Ledger, operations: Sequence[Any]) -> list[Any]:
    """Run ``operations`` so that they queue while a first one, 0, is being committed."""
    ledger.gate.clear()
    tasks = [asyncio.create_task(queue.run(0))]
    await until(ledger.begun.is_set)
    tasks += [asyncio.create_task(queue.run(operation)) for operation in operations]
    await until(lambda: queue.depth == len(operations))
    ledger.gate.set()
    return (await asyncio.gather(*tasks, return_exceptions=True))[1:]


def test_operation_has_its_outcome(queue: GroupCommit, ledger: Ledger):
    assert asyncio.run(queue.run(7)) == -7
    assert ledger.agains == [False]


def test_what_queues_while_a_commit_runs_is_committed_together(queue: GroupCommit, ledger: Ledger):
    outcomes = asyncio.run(behind_a_first(queue, ledger, range(1, 101)))

    assert outcomes == [-number for number in range(1, 101)]
    assert ledger.batches == [[0], list(range(1, 101))]


def test_batch_has_a_largest_size(queue: GroupCommit, ledger: Ledger):
    outcomes = asyncio.run(behind_a_first(queue, ledger, range(1, 301)))

    assert outcomes == [-number for number in range(1, 301)]
    assert [len(batch) for batch in ledger.batches] == [1, 256, 44]


@pytest.mark.parametrize(
    ("shared", "batches"), [(0, [[10], [11]]), (1, [[0], [1], [10], [11]]), (2, [[0], [1, 2], [10, 11]])]
)
def test_after_a_batch_that_was_shared_the_next_is_awaited_a_moment(
    queue: GroupCommit, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, shared: int, batches: list[list[int]]
):
    monkeypatch.setattr(group_commit, "LINGER", 0.3)

    async def come_one_after_the_other() -> None:
        if shared:
            await behind_a_first(queue, ledger, range(1, shared + 1))
        first = asyncio.create_task(queue.run(10))
        await asyncio.sleep(0.1)
        await asyncio.gather(first, queue.run(11))

    asyncio.run(come_one_after_the_other())

    assert ledger.batches == batches


def test_thread_has_a_connection_of_its_own_beside_the_pool(monkeypatch: pytest.MonkeyPatch):
    shared = connections.settings["default"]
    own = dict(shared["OPTIONS"])
    monkeypatch.setitem(shared, "OPTIONS", {**own, "pool": {"max_size": 2}})
    queue = GroupCommit(lambda operations, *, again: [connection.settings_dict["OPTIONS"]], capacity=9)

    options = asyncio.run(queue.run(1))
    queue.close(PATIENCE)

    assert options == {name: value for name, value in own.items() if name != "pool"}
    assert shared["OPTIONS"]["pool"] == {"max_size": 2}


@pytest.mark.django_db(transaction=True)
def test_connection_of_the_thread_is_closed_with_it():
    opened: list[Any] = []

    def commit(operations: Sequence[Any], *, again: bool) -> Sequence[Any]:
        connection.ensure_connection()
        opened.append((connections["default"], connection.connection is not None))
        return operations

    queue = GroupCommit(commit, capacity=9)
    asyncio.run(queue.run(1))
    queue.close(PATIENCE)

    [(used, was_open)] = opened
    assert (was_open, used.connection) == (True, None)


def test_there_is_one_thread_however_many_begin_at_once(ledger: Ledger):
    queue = GroupCommit(ledger, capacity=1000)
    gate = threading.Barrier(8)
    outcomes: list[list[Any]] = []

    def begin(number: int) -> None:
        gate.wait()
        outcomes.append(asyncio.run(all_of(queue, range(number, 80, 8))))

    threads = [threading.Thread(target=begin, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = [thread for thread in threading.enumerate() if thread.name == "ledger"]
    closed = queue.close(PATIENCE)

    assert len(running) == 1
    assert running[0].daemon
    assert ledger.threads == {"ledger"}
    assert closed
    assert not running[0].is_alive()
    assert sorted(outcome for each in outcomes for outcome in each) == [-number for number in range(79, -1, -1)]
    assert sorted(ledger.committed) == list(range(80))


def test_poisonous_operation_fails_alone(queue: GroupCommit, ledger: Ledger):
    poison = ValueError("no")
    ledger.poison = {13: poison}

    outcomes = asyncio.run(behind_a_first(queue, ledger, range(1, 21)))

    assert outcomes == [poison if number == 13 else -number for number in range(1, 21)]
    assert sorted(ledger.committed) == [number for number in range(21) if number != 13]


def test_order_is_kept_when_a_batch_is_taken_apart(queue: GroupCommit, ledger: Ledger):
    ledger.poison = {13: ValueError(), 1: ValueError(), 20: ValueError()}

    asyncio.run(behind_a_first(queue, ledger, range(1, 21)))

    assert ledger.committed == [number for number in range(21) if number not in ledger.poison]


def test_refusal_is_an_outcome_of_its_own_operation(ledger: Ledger):
    refusal = LedgerBusy()
    queue = GroupCommit(
        lambda operations, *, again: [refusal if each == 2 else each for each in operations], capacity=9
    )

    outcomes = asyncio.run(all_of(queue, [1, 2, 3]))
    queue.close(PATIENCE)

    assert outcomes == [1, refusal, 3]


@pytest.mark.parametrize("failure", [OperationalError("gone"), InterfaceError("gone")])
def test_database_that_fails_is_tried_again_and_told_so(queue: GroupCommit, ledger: Ledger, failure: Exception):
    ledger.failures = [None, failure, failure]

    outcomes = asyncio.run(behind_a_first(queue, ledger, [1, 2]))

    assert outcomes == [-1, -2]
    assert ledger.batches == [[0], [1, 2], [1, 2], [1, 2]]
    assert ledger.agains == [False, False, True, True]


def test_part_of_a_batch_that_may_be_committed_is_told_so(queue: GroupCommit, ledger: Ledger):
    ledger.failures = [None, OperationalError("gone"), ValueError("another reason")]

    outcomes = asyncio.run(behind_a_first(queue, ledger, [1, 2]))

    assert outcomes == [-1, -2]
    assert ledger.batches == [[0], [1, 2], [1, 2], [1], [2]]
    assert ledger.agains == [False, False, True, True, True]


def test_database_that_stays_away_is_reported_and_the_next_is_tried(queue: GroupCommit, ledger: Ledger):
    ledger.failures = [OperationalError("gone")] * 5

    outcomes = asyncio.run(all_of(queue, [1]))
    later = asyncio.run(queue.run(2))

    assert [type(outcome) for outcome in outcomes] == [LedgerUnreachable]
    assert outcomes[0].headers == {"Retry-After": "2"}
    assert ledger.agains == [False, True, True, True, True, False]
    assert later == -2


def test_full_queue_refuses_and_writes_nothing(ledger: Ledger):
    queue = GroupCommit(ledger, capacity=3)

    async def overfill() -> tuple[list[Any], int]:
        ledger.gate.clear()
        first = asyncio.create_task(queue.run(0))
        await until(ledger.begun.is_set)
        waiting = [asyncio.create_task(queue.run(number)) for number in (1, 2, 3)]
        await until(lambda: queue.depth == 3)
        refused = await all_of(queue, [4, 5])
        depth = queue.depth
        ledger.gate.set()
        await asyncio.gather(first, *waiting)
        return refused, depth

    refused, depth = asyncio.run(overfill())
    taken_again = asyncio.run(queue.run(6))
    queue.close(PATIENCE)

    assert [type(outcome) for outcome in refused] == [LedgerBusy, LedgerBusy]
    assert refused[0].headers == {"Retry-After": "1"}
    assert depth == 3
    assert taken_again == -6
    assert ledger.committed == [0, 1, 2, 3, 6]


def test_what_may_not_be_refused_waits_behind_a_full_queue(ledger: Ledger):
    queue = GroupCommit(ledger, capacity=1)

    async def overfill() -> list[Any]:
        ledger.gate.clear()
        tasks = [asyncio.create_task(queue.run(0))]
        await until(ledger.begun.is_set)
        tasks += [asyncio.create_task(queue.run(number, may_be_refused=False)) for number in (1, 2, 3)]
        await until(lambda: queue.depth == 3)
        ledger.gate.set()
        return await asyncio.gather(*tasks)

    outcomes = asyncio.run(overfill())
    queue.close(PATIENCE)

    assert outcomes == [0, -1, -2, -3]


def test_nobody_new_waits_for_a_database_that_is_away(queue: GroupCommit, ledger: Ledger):
    async def come_late() -> tuple[list[Any], list[Any]]:
        ledger.failures = [OperationalError("gone")] * 2
        first = asyncio.create_task(queue.run(1))
        await until(lambda: len(ledger.batches) == 2)
        ledger.gate.clear()
        await until(lambda: len(ledger.batches) == 3)
        late = await all_of(queue, [2])
        end = asyncio.create_task(queue.run(3, may_be_refused=False))
        await until(lambda: queue.depth == 1)
        ledger.gate.set()
        return late, [await first, await end, await queue.run(4)]

    late, patient = asyncio.run(come_late())

    assert [type(outcome) for outcome in late] == [LedgerUnreachable]
    assert patient == [-1, -3, -4]


def test_close_commits_what_waits_and_accepts_nothing_more(ledger: Ledger):
    queue = GroupCommit(ledger, capacity=1000)

    async def close_under_way() -> tuple[list[Any], list[Any], bool]:
        ledger.gate.clear()
        tasks = [asyncio.create_task(queue.run(number)) for number in range(300)]
        await until(ledger.begun.is_set)
        closing = asyncio.create_task(asyncio.to_thread(queue.close, PATIENCE))
        await until(lambda: queue._closed)
        late = await all_of(queue, [1000])
        ledger.gate.set()
        return await asyncio.gather(*tasks), late, await closing

    outcomes, late, closed = asyncio.run(close_under_way())

    assert outcomes == [-number for number in range(300)]
    assert [type(outcome) for outcome in late] == [LedgerBusy]
    assert closed
    assert ledger.committed == list(range(300))


def test_close_says_when_it_is_not_done_in_time(ledger: Ledger):
    queue = GroupCommit(ledger, capacity=10)

    async def impatient() -> bool:
        ledger.gate.clear()
        task = asyncio.create_task(queue.run(1))
        await until(ledger.begun.is_set)
        done = await asyncio.to_thread(queue.close, 0.01)
        ledger.gate.set()
        await task
        return done

    assert asyncio.run(impatient()) is False
    assert queue.close(PATIENCE) is True


def test_close_of_what_was_never_used_is_done(ledger: Ledger):
    queue = GroupCommit(ledger, capacity=10)

    assert queue.close(0) is True
    assert [type(outcome) for outcome in asyncio.run(all_of(queue, [1]))] == [LedgerBusy]
    assert ledger.batches == []


def test_nobody_waits_for_ever_whatever_runs_into_the_end(ledger: Ledger):
    for _ in range(50):
        queue = GroupCommit(ledger, capacity=1000)
        closing = threading.Thread(target=queue.close, args=[PATIENCE])

        async def run_into_the_end(queue: GroupCommit = queue, closing: threading.Thread = closing) -> list[Any]:
            await queue.run(0)
            closing.start()
            async with asyncio.timeout(PATIENCE):
                return await all_of(queue, range(1, 50))

        outcomes = asyncio.run(run_into_the_end())
        closing.join()

        assert all(outcome == -n or isinstance(outcome, LedgerBusy) for n, outcome in enumerate(outcomes, start=1))


def test_operation_of_a_cancelled_caller_still_happens(queue: GroupCommit, ledger: Ledger):
    async def cancel_one() -> list[Any]:
        ledger.gate.clear()
        tasks = [asyncio.create_task(queue.run(0))]
        await until(ledger.begun.is_set)
        tasks += [asyncio.create_task(queue.run(number)) for number in (1, 2, 3)]
        await until(lambda: queue.depth == 3)
        tasks[2].cancel()
        ledger.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(cancel_one())

    assert outcomes[:2] + outcomes[3:] == [0, -1, -3]
    assert isinstance(outcomes[2], asyncio.CancelledError)
    assert ledger.committed == [0, 1, 2, 3]


def test_loop_that_is_closed_meanwhile_does_not_stop_the_others(queue: GroupCommit, ledger: Ledger):
    ledger.gate.clear()

    async def leave() -> None:
        task = asyncio.create_task(queue.run(1))
        await until(ledger.begun.is_set)
        task.cancel()

    asyncio.run(leave())
    ledger.gate.set()

    assert asyncio.run(queue.run(2)) == -2
    assert ledger.committed == [1, 2]


def test_loops_in_many_threads_share_commits_and_get_their_own_outcomes(queue: GroupCommit, ledger: Ledger):
    ledger.gate.clear()
    outcomes: dict[int, list[Any]] = {}

    def run(number: int) -> None:
        outcomes[number] = asyncio.run(all_of(queue, [number, number + 100]))

    threads = [threading.Thread(target=run, args=[number]) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    while queue.depth + sum(map(len, ledger.batches)) < 16 and time.monotonic() < deadline:
        time.sleep(0.001)
    ledger.gate.set()
    for thread in threads:
        thread.join()

    assert outcomes == {number: [-number, -number - 100] for number in range(1, 9)}
    assert len(ledger.batches) <= 3


# With the real ledger


def placing(operations: Sequence[HoldRequest], *, again: bool) -> Sequence[Any]:
    return services.place_holds(operations, now=operations[0].expires_at - timedelta(hours=1))


@pytest.mark.django_db(transaction=True)
def test_many_tasks_share_a_few_transactions_and_spend_no_more_than_there_is(account: Account, now: datetime):
    batches = []

    def commit(operations: Sequence[HoldRequest], *, again: bool) -> Sequence[Any]:
        batches.append(len(operations))
        return placing(operations, again=again)

    queue = GroupCommit(commit, capacity=1000)
    requests = [
        HoldRequest(services.new_hold_id(), account.pk, None, credits(1), now + timedelta(hours=1)) for _ in range(300)
    ]

    outcomes = asyncio.run(all_of(queue, requests))
    queue.close(PATIENCE)

    account.refresh_from_db()
    assert [isinstance(outcome, Hold) for outcome in outcomes] == [True] * 100 + [False] * 200
    assert (account.balance, account.held) == (credits(100), credits(100))
    assert len(batches) < 10


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection that could break")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_connection_that_breaks_is_replaced_and_nothing_happens_twice(now: datetime, committed: bool):
    account = factories.account(balance="10")
    breaks = [True]

    def commit(operations: Sequence[HoldRequest], *, again: bool) -> Sequence[Any]:
        if committed:
            outcomes = placing(operations, again=again)
        if breaks:
            breaks.pop()
            break_connection()
        return outcomes if committed else placing(operations, again=again)

    def break_connection() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    queue = GroupCommit(commit, capacity=10)
    request = HoldRequest(services.new_hold_id(), account.pk, None, credits(4), now + timedelta(hours=1))

    hold = asyncio.run(queue.run(request))
    queue.close(PATIENCE)

    account.refresh_from_db()
    assert hold == Hold.objects.get()
    assert account.held == credits(4)
