"""Requests that stop before their body begins keep no connection open, and answers that nobody reads no memory."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from pytest_django import Settings

from config.protocol import HttpProtocol
from tests.server import Server

pytestmark = pytest.mark.usefixtures("one_database")

HEAD_TIMEOUT = 0.3
LARGE = 20_000_000
WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-Half"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * HEAD_TIMEOUT)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"OK"})


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    settings.HEAD_TIMEOUT = HEAD_TIMEOUT
    yield from served(application)


def served(application: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, http=HttpProtocol, lifespan="off", log_config=None, log_level="error")
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def told(port: int, *pieces: bytes, pause: float = 0) -> tuple[bytes, float]:
    """Send ``pieces``; return all that comes until the server hangs up, and after how long that was."""
    began, answer = time.monotonic(), b""
    # What is sent to a connection that is closed already resets it.
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        while part := connection.recv(65536):
            answer += part
    return answer, time.monotonic() - began


def test_half_a_head_is_closed(port: int) -> None:
    answer, seconds = told(port, HALF)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert HEAD_TIMEOUT - 0.05 < seconds < 5


def test_a_head_in_drops_is_closed(port: int) -> None:
    """Each piece comes in time, and all of them do not."""
    answer, _ = told(port, *[bytes([letter]) for letter in HALF[:20]], pause=HEAD_TIMEOUT / 10)

    assert b"200" not in answer


def test_whoever_says_nothing_is_told_nothing(port: int) -> None:
    assert told(port)[0] == b""


def test_half_a_head_after_a_whole_request_is_closed(port: int) -> None:
    answer, _ = told(port, WHOLE, HALF, pause=0.05)

    assert [line for line in answer.split(b"\r\n") if line.startswith((b"OK", b"HTTP"))] == [
        b"HTTP/1.1 200 OK",
        b"OKHTTP/1.1 408 Request Timeout",
    ]


def test_an_answer_on_its_way_is_not_cut_off(port: int) -> None:
    answer, _ = told(port, SLOW, HALF)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"OKHTTP/1.1 408 " in answer


def test_a_slow_answer_is_not_a_slow_head(port: int) -> None:
    answer, _ = told(port, SLOW.replace(b"Host: a", b"Host: a\r\nConnection: close"))

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"OK")


# Answers that nobody reads


@pytest.fixture
def generous(settings: Settings) -> Iterator[int]:
    """A server whose answer is more than all buffers between it and a client hold."""
    settings.CLIENT_WRITE_TIMEOUT = 0.5

    async def generous(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        await send({"type": "http.response.body", "body": b"x" * LARGE})

    yield from served(generous)


def test_answer_that_nobody_reads_is_not_kept(generous: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", generous))
        connection.sendall(WHOLE)
        time.sleep(1.5)

        connection.settimeout(5)
        read = 0
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                read += len(part)
    assert read < LARGE


def test_answer_that_is_read_slowly_is_sent_whole(generous: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", generous))
        connection.sendall(WHOLE)
        connection.settimeout(5)
        read, began = 0, time.monotonic()
        while read < LARGE:
            read += len(connection.recv(1_000_000))
            time.sleep(0.01)
    assert time.monotonic() - began > 1
