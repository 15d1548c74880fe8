"""The gateway while its ledger is slow, full or away: nothing is sold on trust, and nothing sold is forgotten."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from ai import settlement
from billing.models import UsageRecord
from credits.models import Hold
from tests.ai.prepaid import MODEL, Prepaid, assert_charged_as_booked, balance, pending, until
from tests.ai.processes import ServerProcess, wire_to
from tests.server import running_prepaid

postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite is never away")


@contextmanager
def frozen_ledger() -> Iterator[None]:
    """Hold the lock that every transaction of the ledger needs first."""
    if connection.vendor == "sqlite":
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()
    else:
        locked, done = threading.Event(), threading.Event()

        def lock() -> None:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("LOCK TABLE credits_account, credits_hold IN ACCESS EXCLUSIVE MODE")
                locked.set()
                done.wait()
                cursor.execute("ROLLBACK")
            connection.close()

        holder = threading.Thread(target=lock)
        holder.start()
        locked.wait()
        try:
            yield
        finally:
            done.set()
            holder.join()


def test_full_ledger_refuses_and_no_provider_is_called(transactional_db, settings, simulator, account, api_key):
    settings.LEDGER_QUEUE_SIZE = 2
    with running_prepaid(provider_url=simulator.url) as url, ThreadPoolExecutor(12) as callers:
        prepaid = Prepaid(url, api_key)
        prepaid.chat()
        with frozen_ledger():
            answers = [callers.submit(prepaid.chat) for _ in range(12)]
            refused = until(lambda: len(done := [answer for answer in answers if answer.done()]) >= 5 and done)
            assert len(simulator.requests()) == 1
        statuses = sorted(answer.result().status_code for answer in answers)

    assert [answer.result().status_code for answer in refused] == [503] * len(refused)
    assert {answer.result().json()["error"]["code"] for answer in refused} == {"ledger_busy"}
    assert {answer.result().headers["Retry-After"] for answer in refused} == {"1"}
    served = statuses.count(200)
    assert statuses == [200] * served + [503] * (12 - served)
    assert len(simulator.books()) == served + 1
    assert balance(account) == (100 - 1 - served, 0)


def test_answer_does_not_wait_for_a_ledger_that_is_frozen(prepaid, simulator, account, monkeypatch):
    monkeypatch.setattr(settlement, "RECEIPT_WITHIN", 0.3)
    monkeypatch.setattr(settlement, "CONCLUDE_AGAIN_AFTER", (0.1,))
    answer = prepaid.post(
        "/v1/chat/completions",
        {"model": f"{MODEL}?chunks=8&interval_ms=50", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
        stream=True,
    )
    with frozen_ledger():
        started = time.monotonic()
        content = answer.content

        assert time.monotonic() - started < 5
        assert b"data: [DONE]\n\n" in content

    assert_charged_as_booked(simulator)
    assert (UsageRecord.objects.count(), balance(account)) == (1, (99, 0))


@postgresql
def test_database_that_is_away_sells_nothing(database_url, simulator, account, api_key):
    with wire_to(database_url) as wire, ServerProcess(wire.url, simulator.url) as server:
        prepaid = Prepaid(server.url, api_key)
        assert prepaid.chat().status_code == 200
        wire.cut()
        with ThreadPoolExecutor(8) as callers:
            started = time.monotonic()
            first = callers.submit(prepaid.chat)
            time.sleep(1)
            later = list(callers.map(lambda _: prepaid.chat(), range(7)))
            waited = time.monotonic() - started
            refusals = [first.result(), *later]
        assert len(simulator.requests()) == 1
        wire.mend()
        mended = prepaid.chat()

    assert {answer.status_code for answer in refusals} == {503}
    assert {answer.json()["error"]["code"] for answer in refusals} == {"ledger_unreachable"}
    assert {answer.headers["Retry-After"] for answer in refusals} == {"2"}
    assert waited < 3, "who comes later is refused at once"
    assert mended.status_code == 200
    assert balance(account) == (98, 0)


@postgresql
@pytest.mark.parametrize("stream", [False, True])
def test_database_that_goes_away_during_a_call_is_told_of_its_end_later(
    database_url, simulator, account, api_key, stream
):
    with wire_to(database_url) as wire, ServerProcess(wire.url, simulator.url) as server:
        prepaid = Prepaid(server.url, api_key)
        with ThreadPoolExecutor(1) as caller:
            answered = caller.submit(prepaid.chat, stream=stream, model=f"{MODEL}?chunks=10&interval_ms=50")
            until(lambda: simulator.books() and pending())
            if stream:
                until(lambda: pending()[0].reference)
            wire.cut()
            started = time.monotonic()
            answer = answered.result()
            waited = time.monotonic() - started
        assert answer.status_code == 200
        assert b"[DONE]\n\n" in answer.content if stream else answer.json()["choices"]
        assert waited < 7
        time.sleep(2.5)  # until the ledger has given up, so that it must be asked again
        assert balance(account) == (100, 1)
        wire.mend()

        until(lambda: not pending())
        assert_charged_as_booked(simulator)

    assert (Hold.objects.count(), UsageRecord.objects.count(), balance(account)) == (1, 1, (99, 0))


@postgresql
def test_process_that_dies_while_the_database_is_away_leaves_its_calls_to_the_providers_record(
    database_url, simulator, account, api_key, settings
):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "simulated"
    with wire_to(database_url) as wire, ServerProcess(wire.url, simulator.url) as server:
        prepaid = Prepaid(server.url, api_key)
        with ThreadPoolExecutor(2) as callers:
            body = {"stream": True, "model": f"{MODEL}?chunks=10&interval_ms=50"}
            answered = [callers.submit(prepaid.chat, **body) for _ in range(2)]
            until(lambda: [bool(hold.reference) for hold in pending()] == [True, True])
            wire.cut()
            assert all(b"data: [DONE]" in answer.result().content for answer in answered)
        server.kill()
    assert balance(account) == (100, 2)

    call_command("resolve_holds", older_than=0, stdout=StringIO())

    assert_charged_as_booked(simulator)
    assert (UsageRecord.objects.count(), balance(account)) == (2, (98, 0))
