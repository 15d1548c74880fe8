"""
OpenAI's responses, as OpenRouter speaks them: without a memory.

The usage is in the response that the last event carries, however it ended. What was said before has to be in the
request, for nobody could tell how long it is, and what is answered later could not be settled.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from accounts.errors import PrepaidError
from ai.http import invalid
from ai.protocols.base import Translator, Verbatim, Wanted
from ai.protocols.errors import text_of
from ai.protocols.fields import is_streamed, model_of
from ai.protocols.openai import OpenAI, feature_of
from ai.providers.base import Usage, part_of, read_cost, read_count, read_text
from ai.streaming import Scanner, error_of
from billing.errors import UnpricedField

#: What is kept elsewhere, and so has no price that could be told from the request.
KEPT_ELSEWHERE = {
    "background": "Answers that come later cannot be settled here. Leave it out.",
    "conversation": "Nothing is stored here. Send the whole conversation as input.",
    "previous_response_id": "Nothing is stored here. Send the whole conversation as input.",
    "prompt": "Prompts that are stored elsewhere have no price here. Send the text as input.",
}
ENDED = {"completed", "incomplete", "failed", "cancelled"}
NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d+)')


class Responses(OpenAI):
    """Fields that we do not read pass through to the provider, as its clients expect."""

    def read(self, payload: dict[str, Any]) -> Wanted:
        model = model_of(payload)
        given = payload.get("input")
        if not given or not isinstance(given, str | list):
            raise invalid("body.input", "Send a text, or a list of at least one item.", "invalid_input")
        streamed = is_streamed(payload)
        for name, message in KEPT_ELSEWHERE.items():
            if payload.get(name):
                raise UnpricedField(f"body.{name}", message)
        return Wanted(
            feature=feature_of(payload),
            quantity=1,
            model=model,
            streamed=streamed,
            path="responses",
            payload=payload,
            limit_fields=("max_output_tokens",),
        )

    def scanner(self) -> Scanner:
        return ResponsesScanner()

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return Numbered(self, request_id)

    def failure(self, error: PrepaidError, request_id: str) -> bytes:
        return _failure(error, 0)


class Numbered(Verbatim):
    """Events are numbered, so the last one goes on counting."""

    _last = b""

    def feed(self, chunk: bytes) -> bytes:
        self._last = chunk
        return chunk

    def fail(self, error: PrepaidError) -> bytes:
        numbers = NUMBER.findall(self._last)
        return b"\n\n" + _failure(error, int(numbers[-1]) + 1 if numbers else 0)


class ResponsesScanner(Scanner):
    def read(self, event: dict[str, Any]) -> None:
        is_whole = "type" not in event
        response = event if is_whole else event.get("response")
        if event.get("type") == "error":
            self.error = error_of(event) or event
        if not isinstance(response, Mapping):
            return
        status = response.get("status")
        failure = error_of(dict(response)) or ({"message": status} if status == "failed" else None)
        if failure is not None:
            self.error = {"error_type": response.get("error_type"), **failure}
        self.usage = _usage(response) or self.usage
        self.is_done = self.is_done or status in ENDED


def _usage(response: Mapping[str, Any]) -> Usage | None:
    usage = response.get("usage")
    if not isinstance(usage, Mapping):
        return None
    cost, cost_report = read_cost(usage.get("cost"))
    return Usage(
        cost=cost,
        cost_report=cost_report,
        prompt_tokens=read_count(usage.get("input_tokens")),
        completion_tokens=read_count(usage.get("output_tokens")),
        cached_tokens=read_count(part_of(usage, "input_tokens_details").get("cached_tokens")),
        reasoning_tokens=read_count(part_of(usage, "output_tokens_details").get("reasoning_tokens")),
        model=read_text(response.get("model")),
    )


def _failure(error: PrepaidError, number: int) -> bytes:
    stated = {"type": "error", "code": error.code, "message": text_of(error), "param": None, "sequence_number": number}
    return b"event: error\ndata: " + orjson.dumps(stated) + b"\n\n"
