"""
Group commit: what queues while one transaction runs goes into the next, together.

A request does not open a transaction. It puts its operation into the queue and waits;
one thread a process takes all that has queued and commits it in a handful of statements,
however many requests there are. Under load a commit serves dozens of requests; alone, a
request waits for nobody.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from credits.errors import LedgerBusy, LedgerUnreachable

logger = logging.getLogger(__name__)

LARGEST_BATCH = 256
#: After a shared batch the next one is awaited this long, in seconds, so that it is shared by more.
LINGER = 0.002
#: Waits before each further try when the database is away, in seconds.
RETRY_AFTER = (0.05, 0.2, 1.0, 2.0)

Operation = Any
Outcome = Any


class Commit(Protocol):
    def __call__(self, operations: Sequence[Operation], *, again: bool) -> Sequence[Outcome]: ...


Waiting = tuple[Operation, asyncio.AbstractEventLoop, "asyncio.Future[Outcome]"]


class GroupCommit:
    """
    One ledger thread and its bounded queue.

    ``commit`` takes a batch of operations and returns an outcome for each, in their order;
    an exception as an outcome is raised to the one who asked. It is one transaction. When
    the connection broke, nobody knows whether it was committed, so it is called once more
    with ``again=True`` and must not do anything twice.
    """

    def __init__(self, commit: Commit, *, capacity: int) -> None:
        self._commit = commit
        self._capacity = capacity
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._door = threading.Lock()
        self._closed = False
        self._was_shared = False
        self._is_away = False

    async def run(self, operation: Operation, *, may_be_refused: bool = True) -> Outcome:
        """
        Commit ``operation`` with whatever else is waiting and return its outcome.

        What may be refused is refused at once where it would have to wait: behind ``capacity``
        others, or for a database that is away. What may not, such as the end of what was begun,
        is kept waiting. A caller that is cancelled no longer waits, but its operation still happens.

        :raises LedgerBusy: if ``capacity`` operations wait already, or it is closed; nothing was written
        :raises LedgerUnreachable: if the database cannot be reached
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()
        with self._door:  # nothing may queue behind the end, and nobody beyond the capacity
            if self._closed or (may_be_refused and self._queue.qsize() >= self._capacity):
                raise LedgerBusy
            if may_be_refused and self._is_away:
                raise LedgerUnreachable
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
                self._thread.start()
            self._queue.put((operation, loop, answer))
        return await answer

    @property
    def depth(self) -> int:
        """How many operations wait."""
        return self._queue.qsize()

    def close(self, timeout: float) -> bool:
        """Commit what waits, accept nothing more, and say whether all was done within ``timeout`` seconds."""
        with self._door:
            self._closed = True
            self._queue.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        # A connection of its own: a pool would wait ten seconds before it says that the database is away.
        options = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "pool"}
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
        try:
            while batch := self._next_batch():
                operations = [operation for operation, _, _ in batch]
                outcomes = self._outcomes(operations)
                self._is_away = False  # or it is time that somebody looks again
                _deliver(batch, outcomes)
        finally:
            connection.close()

    def _next_batch(self) -> list[Waiting]:
        """Wait for one operation and take all others that have queued; empty when it is time to stop."""
        first = self._queue.get()
        if first is None:
            return []
        if self._was_shared:
            time.sleep(LINGER)
        batch = [first]
        while len(batch) < LARGEST_BATCH:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._queue.put(None)
                break
            batch.append(waiting)
        self._was_shared = len(batch) > 1
        return batch

    def _outcomes(self, operations: Sequence[Operation], *, again: bool = False) -> Sequence[Outcome]:
        """Commit, patiently where the database is away; a batch that fails for another reason is taken apart."""
        for pause in (*RETRY_AFTER, None):
            try:
                return self._commit(operations, again=again)
            except (OperationalError, InterfaceError) as error:
                close_old_connections()
                if pause is None:
                    logger.exception("The ledger could not be reached.")
                    return [LedgerUnreachable() for _ in operations]
                logger.warning("The ledger could not be reached, trying again in %s s: %s", pause, error)
                self._is_away = again  # once may be a connection that has grown old
                time.sleep(pause)
                again = True
            except Exception as error:
                if len(operations) == 1:
                    logger.exception("An operation on the ledger failed.")
                    return [error]
                logger.warning("A batch of %s failed and is taken apart: %s", len(operations), error)
                half = len(operations) // 2
                halves = operations[:half], operations[half:]
                return [outcome for part in halves for outcome in self._outcomes(part, again=again)]
        raise AssertionError("the last pause is None")


def _deliver(batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
    """Wake each event loop once for all its answers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Outcome], Outcome]]] = defaultdict(list)
    for (_, loop, answer), outcome in zip(batch, outcomes, strict=True):
        by_loop[loop].append((answer, outcome))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer, answers)
        except RuntimeError:  # the loop was closed meanwhile; what is committed stays committed
            logger.warning("%s answers of the ledger found nobody waiting.", len(answers))


def _answer(answers: Sequence[tuple["asyncio.Future[Outcome]", Outcome]]) -> None:
    for answer, outcome in answers:
        if answer.done():
            continue
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
