"""What a log line holds, and what it never holds."""

import json
import logging
import sys
import time
from typing import Any

import pytest
from structlog.contextvars import clear_contextvars

from config.logging import json_formatter, scrub
from tests.accounts import tokens
from tests.factories import UNKNOWN_KEY

KEY = UNKNOWN_KEY
TOKEN = tokens.service_token(sub="anna")


@pytest.fixture(autouse=True)
def _outside_of_any_request() -> None:
    clear_contextvars()


def line(message: str, *args: Any, exc_info: Any = None, **extra: Any) -> dict[str, Any]:
    logger = logging.getLogger("prepaid.tests")
    record = logger.makeRecord(logger.name, logging.INFO, "file", 1, message, args, exc_info, extra=extra)
    text = json_formatter().format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_a_line_is_json_with_its_fields() -> None:
    parsed = line("Settled %s.", "a hold", hold="h1", units=7)

    assert parsed.pop("timestamp").endswith("Z")
    assert parsed == {
        "event": "Settled a hold.",
        "logger": "prepaid.tests",
        "level": "info",
        "hold": "h1",
        "units": 7,
    }


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        TOKEN,
        f"Bearer {TOKEN}",
        "Basic dXNlcjpwYXNzd29yZA==",
        "sk-or-v1-0123456789abcdef",
        "sk_live_0123456789abcdef",
        "rk_test_0123456789abcdef",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "anna.bell+tag@mail.example.com",
        "postgresql://prepaid:hunter2secret@",
    ],
)
def test_credentials_and_addresses_are_blanked_out_everywhere(secret: str) -> None:
    try:
        raise ValueError(f"Key (value)=({secret}) exists")
    except ValueError:
        parsed = line(f"Refused <{secret}>", exc_info=sys.exc_info(), value=f"it was {secret}.")

    assert secret not in json.dumps(parsed)
    assert "ValueError: Key (value)=(" in parsed["exception"]


@pytest.mark.parametrize("name", ["request", "body", "headers", "ip", "client_addr", "peer", "scope"])
def test_fields_that_speak_of_a_person_are_left_out(name: str) -> None:
    assert name not in line("Refused.", **{name: "something"})


def test_only_plain_values_become_fields() -> None:
    parsed = line("Refused.", row={"a": 1}, rows=[1], thing=object(), count=1, ratio=0.5, ok=True, none=None)

    fields = {name: parsed[name] for name in parsed.keys() - {"event", "level", "logger", "timestamp"}}
    assert fields == {"count": 1, "ratio": 0.5, "ok": True, "none": None}


def test_a_uuid_or_a_date_is_no_secret() -> None:
    message = (
        "Hold 8a6e0804-2bd0-4672-b79d-d97027f9071a of gen-1700000000-abcdef at 2026-11-21T03:00:00Z, task-12345678"
    )

    assert line(message)["event"] == message


@pytest.mark.parametrize(
    "text", ["a" * 60_000, "a." * 30_000, "a-" * 30_000, "eyJ-" * 15_000, "a://" * 15_000, "a@" * 30_000]
)
def test_a_long_text_costs_no_more_than_its_length(text: str) -> None:
    """What a stranger sends as ``Host`` ends up in a line of the log."""
    began = time.process_time()

    scrub(text)

    assert time.process_time() - began < 0.5
