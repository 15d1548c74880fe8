"""
From an admitted call to its conclusion, whatever happens between.

A settlement is entered when the credits are held and left when they are resolved, or when
the hold carries all that the worker needs to resolve it. There is no third way out.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from accounts.errors import PrepaidError
from ai.attempts import Attempts
from ai.desk import desk
from ai.errors import ProviderError
from ai.providers.base import Generation, Provider, Usage
from ai.threads import in_thread
from billing.calls import Call, Ending, Receipt, Report

logger = logging.getLogger(__name__)

#: Waits before each question for the provider's record, in seconds; what they leave open is the worker's.
ASK_AFTER = (0.1, 0.4, 1.5, 4.0, 10.0, 30.0, 90.0)
#: For how long an answer waits for its receipt, in seconds. Its conclusion then goes on without it.
RECEIPT_WITHIN = 2.0
#: Waits before a conclusion that the ledger could not take is tried again; the last one repeats.
CONCLUDE_AGAIN_AFTER = (1.0, 5.0, 15.0)

#: What goes on after its request has ended; a shutdown waits for it.
background: set["asyncio.Task[Any]"] = set()


class Settlement:
    """
    Use as ``async with``. ``conclude`` says how the call ended; leaving without it means that nobody knows.

    Then a call whose generation is known is asked about at the provider, in the background
    and later by the worker; one that never reached a provider is released.
    """

    def __init__(self, call: Call, provider: Provider) -> None:
        self.call = call
        self.generation_id = ""
        self.receipt: Receipt | None = None
        self.attempts = Attempts(provider)
        #: How much of its price an answer costs that was kept; None while it is a new one.
        self.kept_percent: int | None = None
        self._provider = provider
        self._began = time.monotonic()
        self._first_byte: float | None = None
        self._is_identified = False
        self._is_left = False
        self._most_units: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_left:
            return
        maybe_billed, error_code = True, getattr(error, "code", "interrupted")
        if isinstance(error, ProviderError):
            self.generation_id = self.generation_id or error.generation_id
            maybe_billed = error.maybe_billed
        if self.generation_id and maybe_billed:
            await self.ask_later(error_code)
        else:
            await self.conclude(Ending.FAILED, None, error_code=error_code)

    async def identify(self) -> None:
        """Keep the generation's id on the hold before a byte is relayed, so that a dead process leaves a trace."""
        if self.generation_id and not self._is_identified:
            await desk().identify(self.call, self.generation_id)
            self._is_identified = True

    async def identify_if_possible(self) -> None:
        """Identify, but do without where the ledger is away: the conclusion will name the generation as well."""
        try:
            async with asyncio.timeout(RECEIPT_WITHIN):
                await self.identify()
        except (PrepaidError, TimeoutError) as error:
            logger.warning("The generation of hold %s is not kept yet: %r", self.call.hold_id, error)

    def mark_first_byte(self) -> None:
        if self._first_byte is None:
            self._first_byte = time.monotonic()

    async def conclude(
        self, ending: Ending, usage: Usage | None, *, delivered: int | None = None, error_code: str = ""
    ) -> Receipt | None:
        """
        Settle what was delivered (all that was asked for, unless said otherwise), or release.

        What is once in the ledger's queue is written, also when the request is cancelled while
        it waits. Returns None if the ledger is away: then it is tried again in the background,
        and the hold protects the money meanwhile.
        """
        self._is_left = True
        report = self._report(ending, usage, delivered, error_code)
        self.receipt = await self._conclude(report)
        return self.receipt

    async def ask_later(self, error_code: str = "", *, most_units: int | None = None) -> None:
        """
        Leave the call to the provider's record of it. ``error_code`` says what we know of its end, ``most_units``
        how many units were delivered, if that is known: the record tells no number.
        """
        self._is_left = True
        self._most_units = most_units
        known = self._report(Ending.UNKNOWN, None, 0, error_code)
        await asyncio.shield(in_background(self._identify_and_ask(known)))

    def leave_to(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Go on without the request: ``work`` concludes the call, in the background."""
        self._is_left = True
        in_background(work).set_name(name)

    async def _identify_and_ask(self, known: Report) -> None:
        await self.identify_if_possible()
        in_background(self._ask(known))

    async def _conclude(self, report: Report) -> Receipt | None:
        try:
            async with asyncio.timeout(RECEIPT_WITHIN):
                return await desk().conclude(self.call, report)
        except Exception:  # whatever it is, the ledger has logged it, and the answer is the client's all the same
            in_background(self._conclude_again(report))
            return None

    async def _conclude_again(self, report: Report) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(CONCLUDE_AGAIN_AFTER[min(attempt, len(CONCLUDE_AGAIN_AFTER) - 1)])
            attempt += 1
            try:
                await desk().conclude(self.call, report)
            except PrepaidError as error:
                logger.warning("Hold %s is not concluded yet: %s", self.call.hold_id, error.code)
            else:
                return

    async def _ask(self, known: Report) -> None:
        for pause in ASK_AFTER:
            await asyncio.sleep(pause)
            try:
                record = await in_thread(self._provider.generation, self.generation_id)
            except PrepaidError as error:
                logger.warning("The provider has not told the end of hold %s: %s", self.call.hold_id, error.code)
                continue
            if record is not None:
                was_relayed = known.first_token_ms is not None
                told = report_of(self.call, record, was_relayed=was_relayed, most_units=self._most_units)
                await self._conclude(
                    replace(
                        told,
                        error_code=known.error_code or told.error_code,
                        latency_ms=known.latency_ms,
                        first_token_ms=known.first_token_ms,
                        attempts=known.attempts,
                    )
                )
                return
        logger.warning("Hold %s is left to the worker: the provider has no record of it yet.", self.call.hold_id)

    def _report(self, ending: Ending, usage: Usage | None, delivered: int | None, error_code: str) -> Report:
        if delivered is None:
            delivered = self.call.quantity if is_worth_paying(usage) else 0
        delivered = min(delivered, self.call.quantity)
        if ending is Ending.COMPLETED and not delivered:
            ending, error_code = Ending.FAILED, error_code or "empty_answer"
        return Report(
            ending=ending,
            delivered=delivered,
            generation_id=self.generation_id,
            error_code=error_code,
            latency_ms=self._elapsed(time.monotonic()),
            first_token_ms=None if self._first_byte is None else self._elapsed(self._first_byte),
            attempts=tuple(attempt.as_json() for attempt in self.attempts.made),
            kept_percent=self.kept_percent,
            **_used(usage),
        )

    def _elapsed(self, instant: float) -> int:
        return int((instant - self._began) * 1000)


def report_of(call: Call, record: Generation, *, was_relayed: bool, most_units: int | None = None) -> Report:
    """
    How a call ended by the provider's own record.

    What was relayed is paid for. What never left us is not: the provider's cost is then ours. What
    the provider gave up on, and asks nothing for, is paid by nobody. The record does not tell how many
    units there were: no more than ``most_units``, if that is known.
    """
    was_given_up = record.finish_reason == "error" and not record.usage.cost
    delivered = call.quantity if was_relayed and is_worth_paying(record.usage) and not was_given_up else 0
    if most_units is not None:
        delivered = min(delivered, most_units)
    if not delivered:
        ending = Ending.FAILED
    elif record.cancelled:
        ending = Ending.CANCELLED
    else:
        ending = Ending.COMPLETED
    return Report(
        ending=ending,
        delivered=delivered,
        generation_id=record.id,
        error_code="" if delivered else "not_delivered",
        **_used(record.usage),
    )


def is_worth_paying(usage: Usage | None) -> bool:
    """Whether the provider says that it produced something: tokens of an answer, or a cost."""
    return usage is not None and bool(usage.completion_tokens or usage.cost)


def in_background(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Run ``work`` in a task that a shutdown waits for."""
    task = asyncio.create_task(work)
    background.add(task)
    task.add_done_callback(background.discard)
    return task


async def drain(seconds: float) -> None:
    """Wait for what goes on in the background and what comes of it; what is not done in time is the worker's."""
    deadline = time.monotonic() + seconds
    while background and (left := deadline - time.monotonic()) > 0:
        await asyncio.wait(background, timeout=left)
    for task in background:
        task.cancel()


def _used(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {
        "model": usage.model,
        "cost": "" if usage.cost is None else format(usage.cost, "f"),
        "cost_report": usage.cost_report.value,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
