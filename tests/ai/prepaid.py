"""The product as its callers and its operator see it."""

import json
import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import requests

from billing.models import UsageRecord
from credits.amounts import UNIT
from credits.models import Account, Hold
from tests.simulator import RunningSimulator

MODEL = "openai/gpt-4o-mini"
QUESTION = [{"role": "user", "content": "What is a ledger?"}]
PATIENCE_SECONDS = 20


def thorough(usually: int, in_make_prove: int) -> int:
    """How often to try one's luck."""
    return in_make_prove if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else usually


class Prepaid:
    """A caller with a key, at a server."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {api_key}"}

    def post(self, path: str, body: Any, *, stream: bool = False, **headers: str) -> requests.Response:
        """POST ``body``, as JSON unless it is bytes. Headers are written with ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(
            self.url + path,
            data=data,
            headers={"Content-Type": "application/json", **self.headers, **sent},
            stream=stream,
            timeout=PATIENCE_SECONDS,
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, headers=self.headers, timeout=PATIENCE_SECONDS, **options)

    def chat(self, *, hang_up_after: int | None = None, **body: Any) -> requests.Response:
        """Ask ``QUESTION``. A streamed answer is read to its end, or until some bytes have come."""
        question = {"model": MODEL, "messages": QUESTION, **body}
        answer = self.post("/v1/chat/completions", question, stream=hang_up_after is not None)
        if hang_up_after is not None:
            read = 0
            while read < hang_up_after:
                read += len(answer.raw.read1(65536))
            answer.raw.close()
            answer.close()
        return answer


def events_of(body: bytes) -> list[Any]:
    """The payloads of a stream of server-sent events, ``[DONE]`` as it stands."""
    payloads = [line[5:].strip() for line in body.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:")]
    return [payload.decode() if payload == b"[DONE]" else json.loads(payload) for payload in payloads]


def text_of(body: bytes) -> str:
    """The text of a streamed answer."""
    choices = [choice for event in events_of(body) if event != "[DONE]" for choice in event.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def until(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until ``condition`` is true, and return what it said."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)
    return found


def balance(account: Account) -> tuple[int, int]:
    """The account's balance and what is held of it, in credits."""
    account.refresh_from_db()
    return account.balance // UNIT, account.held // UNIT


def pending() -> list[Hold]:
    return list(Hold.objects.filter(status=Hold.Status.PENDING))


def usage() -> UsageRecord:
    """The one call that there was, once it is concluded."""
    until(lambda: Hold.objects.exists() and not pending())
    return UsageRecord.objects.get()


def assert_charged_as_booked(simulator: RunningSimulator) -> None:
    """
    Every hold is resolved, and whatever the provider booked is what was charged for, no more and no less.

    A free answer of the provider was free for the customer, and the costs are the same to the last digit.
    """
    until(lambda: not pending())
    booked = {entry["id"]: Decimal(entry["cost"]) for entry in simulator.ended_books()}
    records = UsageRecord.objects.exclude(generation_id="")
    recorded = {record.generation_id: Decimal(record.provider_cost or 0) for record in records}
    charged = {record.generation_id for record in records if record.charged}
    assert recorded == booked
    assert charged == {id_ for id_, cost in booked.items() if cost}
