"""One port for two applications, over real sockets."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from pytest_django import Settings

from tests.server import running_prepaid

LIMIT = 1024 * 1024


@pytest.fixture
def prepaid(transactional_db: None) -> Iterator[str]:
    with running_prepaid() as url:
        yield url


def raw_answer(url: str, request: bytes) -> bytes:
    """Return all that the server says to ``request`` until it hangs up."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_each_path_reaches_its_application(prepaid: str) -> None:
    answers = {
        path: requests.get(prepaid + path, timeout=10) for path in ("/v1/models", "/healthz", "/api/keys", "/v1")
    }

    assert list(answers["/v1/models"].json()["error"]) == ["message", "type", "param", "code"]
    assert answers["/healthz"].json() == {"status": "ok"}
    assert answers["/api/keys"].json()["code"] == "UNAUTHORIZED"
    assert answers["/v1"].json()["code"] == "NOT_FOUND"


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(prepaid: str) -> None:
    head = f"POST /api/keys HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: r1\r\nContent-Length: {LIMIT + 1}\r\n\r\n"

    answer = raw_answer(prepaid, head.encode())

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert b"x-request-id: r1" in answer.lower()
    assert b'"code": "REQUEST_BODY_TOO_LARGE"' in answer
    assert b'"requestId": "r1"' in answer


def test_a_body_in_chunks_is_refused_once_it_is_too_long(prepaid: str) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = b"POST /api/keys HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = raw_answer(prepaid, head + chunk * 17)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "REQUEST_BODY_TOO_LARGE"' in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_of_the_greatest_length_is_read(prepaid: str, api_key: str) -> None:
    body = b'{"name": "a"' + b" " * (LIMIT - 13) + b"}"
    assert len(body) == LIMIT
    headers = {"X-Api-Key": api_key, "Content-Type": "application/json"}

    assert requests.post(f"{prepaid}/api/keys", body, headers=headers, timeout=10).status_code == 201


def test_a_body_in_chunks_is_refused_and_not_taken_for_an_empty_one(prepaid: str, api_key: str) -> None:
    headers = {"X-Api-Key": api_key, "Content-Type": "application/json"}

    answer = requests.post(f"{prepaid}/api/keys", iter([b'{"name": "a"}']), headers=headers, timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (411, "LENGTH_REQUIRED")


def test_the_proxys_user_is_not_believed_for_what_a_client_says_of_its_address(
    prepaid: str, settings: Settings
) -> None:
    settings.TRUSTED_PROXY_NETWORKS = ["10.0.0.0/8"]
    settings.TRUSTED_PROXY_SECRET = "the secret of the proxy, which is long enough"
    headers = {
        "X-User-Id": "anna",
        "X-Proxy-Secret": "the secret of the proxy, which is long enough",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
    }

    assert requests.get(f"{prepaid}/api/keys", headers=headers, timeout=10).status_code == 401
