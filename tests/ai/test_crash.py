"""Server processes that are killed, and that are told to stop, in the midst of answers."""

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from billing.models import UsageRecord
from credits.models import Hold
from tests.ai.prepaid import (
    MODEL,
    QUESTION,
    Prepaid,
    assert_charged_as_booked,
    balance,
    pending,
    text_of,
    thorough,
    until,
)
from tests.ai.processes import ServerProcess

BILLED_WHOLE = "google/gemini-2.5-flash"


@pytest.fixture
def provider(simulator, settings):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "simulated"
    return simulator


def resolve_holds(**options) -> str:
    out = StringIO()
    call_command("resolve_holds", stdout=out, **{"older_than": 0, "wait": 10, **options})
    return out.getvalue()


class Reader(threading.Thread):
    """Reads one answer to its end, or until the connection breaks."""

    def __init__(self, prepaid: Prepaid, model: str, *, stream: bool = True) -> None:
        super().__init__()
        self._prepaid = prepaid
        self._body = {"model": model, "messages": QUESTION, "stream": stream}
        self.content = b""
        self.is_whole = False
        self.start()

    def run(self) -> None:
        with contextlib.suppress(requests.RequestException, OSError):
            answer = self._prepaid.post("/v1/chat/completions", self._body, stream=True)
            for piece in answer.iter_content(None):
                self.content += piece
            self.is_whole = True


@contextlib.contextmanager
def server(database_url: str, provider, **options) -> Iterator[ServerProcess]:
    with ServerProcess(database_url, provider.url, **options) as process:
        yield process
    connection.close()


def test_killed_server_leaves_nothing_uncharged_and_nothing_held(database_url, provider, account, api_key):
    with server(database_url, provider) as process:
        prepaid = Prepaid(process.url, api_key)
        prepaid.chat(stream=True)
        named = [
            Reader(prepaid, f"{model}?chunks=30&{fault}")
            for model in (MODEL, BILLED_WHOLE)
            for fault in ("stall=0", "stall=1", "stall=20", "interval_ms=100", "usage=none&interval_ms=200")
        ]
        until(lambda: len([hold for hold in pending() if hold.reference]) == 10)
        nameless = Reader(prepaid, f"{MODEL}?stall=headers")
        whole = Reader(prepaid, f"{MODEL}?stall=1", stream=False)
        until(lambda: len([hold for hold in pending() if hold.reference]) == 11 and len(pending()) == 12)
        time.sleep(0.3)
        process.kill()
        for reader in [*named, nameless, whole]:
            reader.join()
    assert not any(reader.is_whole for reader in [*named, nameless, whole])
    assert balance(account) == (99, 12)
    booked = {entry["id"]: Decimal(entry["cost"]) for entry in provider.ended_books()}

    with server(database_url, provider) as process:
        summary = resolve_holds()
        assert Prepaid(process.url, api_key).chat().status_code == 200

    # What was asked for whole was never sent on, and the provider's cost of it is ours.
    unsent = UsageRecord.objects.get(streamed=False, status="FAILED")
    assert (unsent.charged, Decimal(unsent.provider_cost)) == (0, booked[unsent.generation_id])
    costs = {id_: cost for id_, cost in booked.items() if id_ != unsent.generation_id}
    records = UsageRecord.objects.filter(streamed=True)
    assert {record.generation_id: Decimal(record.provider_cost) for record in records if record.generation_id} == {
        id_: cost for id_, cost in costs.items() if id_ in {record.generation_id for record in records}
    }
    assert {record.generation_id for record in records if record.charged} == {
        id_ for id_, cost in costs.items() if cost
    }
    assert UsageRecord.objects.filter(status="UNKNOWN").count() == 1
    assert summary.endswith("11 resolved, 1 booked as our loss, 0 still waiting for the provider.\n")
    assert pending() == []
    charged = records.filter(charged__gt=0).count() + 1
    assert balance(account) == (100 - charged, 0)


@pytest.mark.proof
def test_server_that_is_killed_at_any_moment_leaves_nothing_open(database_url, provider, account, api_key):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(thorough(2, 40)):
        with server(database_url, provider) as process:
            prepaid = Prepaid(process.url, api_key)
            readers = [
                Reader(prepaid, f"{MODEL}?chunks={chance.randint(1, 40)}&interval_ms={chance.randint(0, 40)}")
                for _ in range(10)
            ]
            time.sleep(chance.uniform(0.05, 1.0))
            process.kill()
            for reader in readers:
                reader.join()
        provider.ended_books()
        resolve_holds()
        assert pending() == []
        call_command("check_ledger", verbosity=0)

    named = UsageRecord.objects.exclude(generation_id="")
    booked = {entry["id"]: Decimal(entry["cost"]) for entry in provider.books()}
    for record in named:
        assert Decimal(record.provider_cost) == booked[record.generation_id], f"seed {seed}"
        assert bool(record.charged) == bool(booked[record.generation_id]), f"seed {seed}"
    # Only what no process had the time to name is missing, and it is written down as lost.
    missing = booked.keys() - {record.generation_id for record in named}
    lost = UsageRecord.objects.filter(status="UNKNOWN", generation_id="", charged=0).count()
    assert len(missing) <= lost, f"seed {seed}"
    assert balance(account) == (100 - named.filter(charged__gt=0).count(), 0), f"seed {seed}"


def test_server_that_is_told_to_stop_finishes_its_answers(database_url, provider, account, api_key):
    with server(database_url, provider, drain_seconds=10) as process:
        prepaid = Prepaid(process.url, api_key)
        readers = [
            Reader(prepaid, f"{MODEL}?chunks=20&interval_ms=60"),
            Reader(prepaid, f"{MODEL}?chunks=20&interval_ms=60&usage=none&generation_ms=300"),
            Reader(prepaid, f"{MODEL}?chunks=20&interval_ms=60", stream=False),
        ]
        until(lambda: len(provider.books()) == 3 and all(reader.content for reader in readers[:2]))
        process.terminate()
        process.wait()
        for reader in readers:
            reader.join()

    assert [reader.is_whole for reader in readers] == [True, True, True]
    assert [len(text_of(reader.content).split()) for reader in readers[:2]] == [20, 20]
    assert b"data: [DONE]\n\n" in readers[0].content
    assert pending() == []
    assert_charged_as_booked(provider)
    assert balance(account) == (97, 0)


def test_server_that_may_not_finish_settles_what_the_provider_tells_at_once(database_url, provider, account, api_key):
    with server(database_url, provider, drain_seconds=1) as process:
        readers = [Reader(Prepaid(process.url, api_key), f"{MODEL}?chunks=400&interval_ms=50") for _ in range(5)]
        until(lambda: all(reader.content for reader in readers))
        time.sleep(0.3)
        process.terminate()
        process.wait()
        for reader in readers:
            reader.join()

    assert not any(b"[DONE]" in reader.content for reader in readers)
    assert pending() == []
    assert_charged_as_booked(provider)
    assert balance(account) == (95, 0)


def test_server_that_may_not_finish_leaves_the_rest_to_the_worker(database_url, provider, account, api_key):
    with server(database_url, provider, drain_seconds=1) as process:
        model = f"{MODEL}?chunks=400&interval_ms=50&generation_ms=4000"
        readers = [Reader(Prepaid(process.url, api_key), model) for _ in range(5)]
        until(lambda: all(reader.content for reader in readers))
        time.sleep(0.3)
        process.terminate()
        process.wait()
        for reader in readers:
            reader.join()

    assert [bool(hold.reference) for hold in pending()] == [True] * 5
    assert balance(account) == (100, 5)
    resolve_holds()
    assert_charged_as_booked(provider)
    assert (Hold.objects.count(), balance(account)) == (5, (95, 0))
