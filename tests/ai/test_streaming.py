"""Streams as they pass: what is read of them, what they hold, and what they leave alone."""

import asyncio
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext
from decimal import Decimal
from itertools import count
from urllib.parse import urlsplit

import orjson
import pytest
import requests
from django.db import connection

from ai import relay
from ai.http import ClientGone, while_client_stays
from ai.streaming import LONGEST_LINE, LineBuffer, Scanner
from billing.models import UsageRecord
from tests import factories
from tests.ai.prepaid import MODEL, QUESTION, Prepaid, assert_charged_as_booked, balance, pending, until, usage
from tests.ai.processes import ServerProcess

#: Bytes of the server's memory.
MOST_OF_A_STREAM = 100 * 1024

STREAM = (
    b": OPENROUTER PROCESSING\r\n\r\n"
    b'data: {"id":"gen-1","choices":[{"delta":{"content":"\\"usage\\": \\u00e9"}}],"usage":null}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.5}}\r\n\r\n'
    b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":7,"cost":0.12}}\n\n'
    b"data: [DONE]\n\n"
)


def scanned(*pieces: bytes) -> Scanner:
    scanner = Scanner()
    for piece in pieces:
        scanner.feed(piece)
    scanner.close()
    return scanner


def test_usage_is_the_last_complete_one_wherever_the_stream_is_cut():
    whole = scanned(STREAM).usage

    assert whole is not None
    assert (whole.cost, whole.completion_tokens, whole.model) == (Decimal("0.12"), 7, "m")
    for offset in range(len(STREAM)):
        found = scanned(STREAM[:offset], STREAM[offset:])
        assert (found.usage, found.is_done, found.error) == (whole, True, None)
    assert scanned(*(STREAM[i : i + 1] for i in range(len(STREAM)))).usage == whole


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n"])
def test_last_event_needs_no_newline(end):
    assert scanned(b'data: {"usage":{"cost":1}}' + end).usage is not None
    assert scanned(b"data: [DONE]" + end).is_done
    assert scanned(b"data:[DONE]" + end).is_done


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"code": 502, "message": "x"}},
        {"error": "overloaded"},
        {"choices": [{"finish_reason": "error", "error": {"code": "server_error"}}]},
    ],
)
def test_error_is_found_at_the_top_and_in_a_choice(event):
    found = scanned(b"data: " + orjson.dumps(event) + b"\n\n")

    assert found.error
    assert found.has_ended


@pytest.mark.parametrize("event", [b'{"error":null}', b'{"error":{}}', b'{"choices":5,"error":0}', b'{"error"', b"[]"])
def test_what_is_no_error_is_none(event):
    found = scanned(b"data: " + event + b"\n\n")

    assert found.error is None
    assert not found.has_ended


def test_words_of_an_answer_are_not_taken_for_what_they_name():
    text = orjson.dumps({"choices": [{"delta": {"content": 'data: [DONE]\n{"usage": {"cost": 9}, "error": 1}'}}]})

    found = scanned(b"data: " + text + b"\n\n")

    assert (found.usage, found.error, found.is_done) == (None, None, False)


def test_line_without_end_does_not_fill_the_memory():
    lines = LineBuffer()
    piece = b"x" * (1024 * 1024)

    for _ in range(100):
        assert lines.feed(piece) == b""

    assert len(lines.flush()) <= LONGEST_LINE + len(piece)


def test_line_in_many_small_reads_takes_no_longer_than_it_has_bytes():
    def seconds(length: int) -> float:
        lines = LineBuffer()
        started = time.process_time()
        for _ in range(length // 1000):
            lines.feed(b"x" * 1000)
        assert len(lines.feed(b"\n")) == length + 1
        return time.process_time() - started

    assert seconds(10_000_000) < 1, "each read is copied once, not all that came before it with it"


# Readers that are slow


def connected(url: str, headers: dict[str, str], model: str) -> socket.socket:
    """A client with a small buffer that has asked for a stream, and reads nothing of it yet."""
    address = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((address.hostname, address.port))
    body = orjson.dumps({"model": model, "messages": QUESTION, "stream": True})
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines])
    client.sendall(head.encode() + b"\r\n\r\n" + body)
    return client


def test_slow_reader_slows_the_provider_and_fills_no_memory(database_url, simulator, account, api_key):
    with ServerProcess(database_url, simulator.url) as server:
        prepaid = Prepaid(server.url, api_key)
        prepaid.chat(stream=True)
        before = server.memory
        chunks = 100_000
        with closing(connected(server.url, prepaid.headers, f"{MODEL}?chunks={chunks}")):
            sent = -1
            while (now := simulator.books()[-1]["chunks"]) != sent:
                sent = now
                time.sleep(0.5)
            grown = server.memory - before
            assert simulator.books()[-1]["status"] == "RUNNING"
        simulator.ended_books()
        assert_charged_as_booked(simulator)

    assert sent < chunks / 2, "the provider was slowed down"
    assert grown < 16 * 1024 * 1024
    assert balance(account) == (98, 0)


def test_reader_that_has_stopped_is_taken_for_gone(prepaid, simulator, account, settings, monkeypatch):
    settings.PROVIDER_TOTAL_TIMEOUT = 1
    monkeypatch.setattr(relay, "SLOWEST_READER", 0.5)

    with closing(connected(prepaid.url, prepaid.headers, f"{MODEL}?chunks=100000")):
        record = usage()

        assert simulator.ended_books()[0]["status"] == "CANCELLED"
        assert_charged_as_booked(simulator)
    assert (record.status, balance(account)) == ("CANCELLED", (99, 0))


def test_reader_that_takes_nothing_is_given_up_long_before_the_provider(prepaid, simulator, account, settings):
    settings.CLIENT_WRITE_TIMEOUT = 1
    started = time.monotonic()

    with closing(connected(prepaid.url, prepaid.headers, f"{MODEL}?chunks=100000")):
        record = usage()

        assert simulator.ended_books()[0]["status"] == "CANCELLED"
        assert_charged_as_booked(simulator)
    assert time.monotonic() - started < 10
    assert (record.status, balance(account)) == ("CANCELLED", (99, 0))


@pytest.mark.usefixtures("one_database")
@pytest.mark.parametrize(
    ("writes", "is_gone"),
    [
        (lambda step: 7, True),
        (lambda step: 8, False),
        (lambda step: 2 * step + 1, False),
        (lambda step: 3 if step > 4 else step, True),
    ],
    ids=["a write waits", "the provider is waited for", "each write waits and ends", "the fourth write waits"],
)
def test_reader_is_gone_that_lets_one_write_wait_too_long(settings, writes, is_gone):
    settings.CLIENT_WRITE_TIMEOUT = 0.1
    steps = count()

    async def serve() -> None:
        async with while_client_stays(asyncio.Event().wait, 30, lambda: writes(next(steps))):
            await asyncio.sleep(0.5)

    with pytest.raises(ClientGone) if is_gone else nullcontext():
        asyncio.run(serve())


# Many at once


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no connections to count")
def test_open_streams_hold_no_connections(database_url, simulator, account, api_key):
    streams = int(os.environ.get("OPEN_STREAMS") or 200)
    factories.grant(account, str(streams))
    headers = {"Authorization": f"Bearer {api_key}"}
    body = {"model": f"{MODEL}?chunks=40&interval_ms={max(100, streams)}", "messages": QUESTION, "stream": True}
    seen = []

    def look() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%%') FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            seen.append(cursor.fetchone())

    with ServerProcess(database_url, simulator.url) as server, ExitStack() as opened:
        Prepaid(server.url, api_key).chat()
        before = server.memory
        sessions = [opened.enter_context(requests.Session()) for _ in range(streams)]

        def ask(session: requests.Session) -> requests.Response:
            return session.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, stream=True)

        with ThreadPoolExecutor(20) as callers:
            asked = [callers.submit(ask, session) for session in sessions]
            while not all(answer.done() for answer in asked):
                look()
                time.sleep(0.02)
        answers = [answer.result() for answer in asked]
        running, grown = len(pending()), server.memory - before
        opening = len(seen)  # transactions come and go as long as calls are admitted
        for _ in range(10):
            look()
            time.sleep(0.05)
        whole = [b"data: [DONE]\n\n" in answer.content for answer in answers]
        until(lambda: not pending())

    assert running == streams
    assert grown < streams * MOST_OF_A_STREAM
    assert max(count for count, _ in seen) <= 4
    assert [idle for _, idle in seen[opening:]] == [0] * 10
    assert whole == [True] * streams
    assert UsageRecord.objects.filter(status="COMPLETED").count() == streams + 1
    assert_charged_as_booked(simulator)
    assert balance(account) == (99, 0)
