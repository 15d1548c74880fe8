"""The id of a request: whose it is, and where it is found again."""

import asyncio
import json
import logging
import uuid
from io import StringIO
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client

from accounts.requests import accept_request_id
from config.logging import json_formatter
from config.middleware import request_id

ACCEPTED = ["a", "0f9d-x_y.z:1/2", "~!@#$%^&*()", "x" * 128]
REPLACED = [None, "", " ", "a b", "a\tb", "a\n", "a\x7f", "x" * 129, "\u00e4", "\u0661", "a\x00"]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_visible_ascii_id_is_kept(text: str) -> None:
    assert accept_request_id(text) == text


@pytest.mark.parametrize("text", REPLACED)
def test_any_other_id_is_replaced_with_a_new_uuid(text: str | None) -> None:
    first, second = accept_request_id(text), accept_request_id(text)

    assert (str(uuid.UUID(first)), str(uuid.UUID(second))) == (first, second)
    assert first != second


def test_the_id_comes_back_on_every_answer(client: Client) -> None:
    answers = [client.get(path, headers={"x-request-id": "mine"}) for path in ("/healthz", "/api/keys", "/nowhere")]

    assert [(answer.status_code, answer["X-Request-Id"]) for answer in answers] == [
        (200, "mine"),
        (401, "mine"),
        (404, "mine"),
    ]


def test_the_id_comes_back_under_asgi() -> None:
    response = asyncio.run(AsyncClient().get("/healthz", headers={"x-request-id": "mine"}))

    assert (response.status_code, response["X-Request-Id"]) == (200, "mine")


def test_the_middleware_runs_in_the_manner_of_what_it_wraps() -> None:
    seen: list[str] = []

    async def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.request_id)  # type: ignore[attr-defined]
        return HttpResponse()

    wrapped: Any = request_id(view)
    request = HttpRequest()
    request.META["HTTP_X_REQUEST_ID"] = "mine"

    assert asyncio.iscoroutinefunction(wrapped)
    response = asyncio.run(wrapped(request))
    assert (seen, response["X-Request-Id"]) == (["mine"], "mine")


def test_a_refusal_is_logged_under_the_id_of_its_request(client: Client) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(json_formatter())
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        client.get("/api/nowhere?secret=1", headers={"x-request-id": "first"})
        client.get("/api/keys", headers={"x-request-id": "second"})
    finally:
        logger.removeHandler(handler)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["request_id"], line["event"], line["level"], line["status_code"]) for line in lines] == [
        ("first", "Not Found: /api/nowhere", "warning", 404),
        ("second", "Unauthorized: /api/keys", "warning", 401),
    ]
