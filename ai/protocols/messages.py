"""
Anthropic's messages, as OpenRouter speaks them.

A stream tells its usage in two places: what was read in ``message_start``, what was written and what it cost in
``message_delta``, of which the last one counts. Usage without a cost settles nothing: part of the prompt may have come
from a cache, at prices of its own, so the provider's record of the generation is asked for.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from accounts.errors import PrepaidError
from ai.http import invalid
from ai.protocols.base import Relayed, Wanted
from ai.protocols.errors import text_of
from ai.protocols.fields import is_streamed, list_of, model_of
from ai.providers.base import CostReport, Usage, read_cost, read_count, read_text
from ai.streaming import Scanner, error_of, parsed
from billing.catalogue import Feature
from billing.errors import UnpricedField

KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
ORDINARY_SPEEDS = (None, "standard")


class Messages(Relayed):
    """Fields that we do not read pass through to the provider, as its clients expect."""

    def read(self, payload: dict[str, Any]) -> Wanted:
        model = model_of(payload)
        list_of(payload, "messages", "Send at least one message.")
        streamed = is_streamed(payload)
        if payload.get("speed") not in ORDINARY_SPEEDS:
            raise UnpricedField("body.speed", "Only the standard speed has a price here. Leave it out.")
        return Wanted(
            feature=Feature.AI_TEXT_CHAT,
            quantity=1,
            model=model,
            streamed=streamed,
            path="messages",
            payload=_with_models(payload),
            limit_fields=("max_tokens",),
        )

    def scanner(self) -> Scanner:
        return MessagesScanner()

    def error(self, error: PrepaidError, request_id: str) -> bytes:
        kind = KINDS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
        stated = {"type": kind, "message": text_of(error), "code": error.code, **error.extra}
        return orjson.dumps({"type": "error", "error": stated, "request_id": request_id})

    def failure(self, error: PrepaidError, request_id: str) -> bytes:
        return b"event: error\ndata: " + self.error(error, request_id) + b"\n\n"


class MessagesScanner(Scanner):
    end = b"message_stop"

    def __init__(self) -> None:
        super().__init__()
        self._model = ""
        self._told: dict[str, Any] = {}

    def read(self, event: dict[str, Any]) -> None:
        self.error = error_of(event) or self.error
        message = event.get("message")
        carrier = message if isinstance(message, Mapping) else event
        usage = carrier.get("usage")
        if not isinstance(usage, Mapping):
            return
        self._model = read_text(carrier.get("model")) or self._model
        self._told |= {name: value for name, value in usage.items() if value is not None}
        if carrier is event:  # of ``message_start`` it is only what was read
            self.usage = self._usage() or self.usage

    def read_end(self, payload: bytes) -> None:
        event = parsed(payload)
        self.is_done = self.is_done or (event is not None and event.get("type") == "message_stop")

    def _usage(self) -> Usage | None:
        told = self._told
        cost, cost_report = read_cost(told.get("cost"))
        if cost_report is CostReport.ABSENT:
            return None
        read = [told.get(f"{kind}input_tokens") for kind in ("", "cache_read_", "cache_creation_")]
        return Usage(
            cost=cost,
            cost_report=cost_report,
            prompt_tokens=sum(read_count(count) or 0 for count in read),
            completion_tokens=read_count(told.get("output_tokens")),
            cached_tokens=read_count(told.get("cache_read_input_tokens")),
            model=self._model,
        )


def _with_models(payload: dict[str, Any]) -> dict[str, Any]:
    """
    Return the body with its ``fallbacks`` as ``models``, which OpenRouter treats alike: each has to have a price.

    :raises ValidationFailed: if they are no list of models, or both are there
    """
    fallbacks = payload.get("fallbacks")
    if not fallbacks:
        return payload
    names = [each.get("model") if isinstance(each, dict) else None for each in _listed(fallbacks)]
    if payload.get("models") or not names or not all(isinstance(name, str) and name for name in names):
        message = 'fallbacks is a list such as [{"model": "anthropic/claude-sonnet-4.5"}], without models beside it.'
        raise invalid("body.fallbacks", message, "invalid_fallbacks")
    return {**{name: value for name, value in payload.items() if name != "fallbacks"}, "models": names}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
