"""Bodies that come in drops, or stop half-way, over real sockets: they keep nobody waiting, and nothing is done."""

import gzip
import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from accounts.models import ApiKey
from credits.models import Hold
from tests import factories
from tests.config.test_asgi import raw_answer
from tests.server import running_prepaid

#: One that Django answers, and each of the gateway's.
PATHS = ["/api/keys", "/v1/chat/completions", "/api/ai/chat", "/api/ai/image"]
BOMB = gzip.compress(b'{"model": "' + b" " * 10_000_000 + b'"}')


@pytest.fixture
def key(transactional_db: None) -> str:
    account = factories.account(balance="100")
    return factories.api_key(account.customer)


@pytest.fixture
def url(key: str, settings: Settings) -> Iterator[str]:
    settings.BODY_IDLE_TIMEOUT, settings.BODY_TOTAL_TIMEOUT = 0.3, 0.8
    with running_prepaid() as url:
        yield url


def head(path: str, key: str, length: int, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", "X-Request-Id: r1"]
    lines += [f"Content-Length: {length}", *more]
    lines += [] if any(line.startswith("Content-Type:") for line in more) else ["Content-Type: application/json"]
    return "\r\n".join([*lines, "", ""]).encode()


def code_of(answer: bytes) -> str:
    found = re.search(rb'"code": ?"(\w+)"', answer)
    assert found, answer
    return found[1].decode().lower()


def nothing_was_done() -> bool:
    return ApiKey.objects.count() == 1 and not Hold.objects.exists()


@pytest.mark.parametrize("path", PATHS)
def test_half_a_body_is_answered(url: str, key: str, path: str) -> None:
    began = time.monotonic()

    answer = raw_answer(url, head(path, key, 100, "Connection: close") + b'{"name": "a"')

    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert code_of(answer) == "request_timeout"
    assert time.monotonic() - began < 5
    assert nothing_was_done()


@pytest.mark.parametrize("path", PATHS)
def test_a_body_in_drops_is_answered(url: str, key: str, path: str) -> None:
    """Each piece comes in time, and all of them do not."""
    address = urlsplit(url)
    began = time.monotonic()
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head(path, key, 1000, "Connection: close"))
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 5:
            try:
                connection.sendall(b" ")
                answer = connection.recv(65536)
            except TimeoutError:
                continue

    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert 0.7 < time.monotonic() - began < 5
    assert nothing_was_done()


@pytest.mark.parametrize("path", PATHS)
def test_whoever_hangs_up_half_way_leaves_nothing_behind(url: str, key: str, path: str) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head(path, key, 1000) + b'{"name"')

    assert raw_answer(url, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200 "
    )
    assert nothing_was_done()


HOSTILE = {
    "half": b'{"model": "a"',
    "deep": b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half a surrogate pair": b'{"model": "\\ud800"}',
    "NaN": b'{"model": NaN}',
    "5,000 digits": b'{"n": ' + b"9" * 5_000 + b"}",
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"model": "a"}'.encode("utf-16"),
    "a list": b"[]",
    "null": b"null",
    "nothing": b"",
    "NUL": b'{"model": "\\u0000", "messages": [{"role": "user", "content": "a"}], "prompt": "a", "x": 1}',
    "a key twice": b'{"model": "a", "messages": [{"role": "user", "role": "system", "content": "a"}]}',
    "a bomb": BOMB,
    "a form": b"model=a",
}
#: What else is said of some of them.
SAID = {"a bomb": ["Content-Encoding: gzip"], "a form": ["Content-Type: application/x-www-form-urlencoded"]}


@pytest.mark.parametrize("path", PATHS[1:])
def test_a_hostile_body_is_refused_by_the_gateway(url: str, key: str, path: str) -> None:
    for name, body in HOSTILE.items():
        answer = raw_answer(url, head(path, key, len(body), "Connection: close", *SAID.get(name, [])) + body)

        assert answer.startswith(b"HTTP/1.1 415 " if name in SAID else b"HTTP/1.1 400 "), (name, answer)
        codes = {"unsupported_media_type"} if name in SAID else {"malformed_json", "validation_error"}
        assert code_of(answer) in codes, name
    assert nothing_was_done()
