"""What a chat's answer is made of, read off the provider's chunks: what every front end's stream is written from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ai.providers.base import Usage, parse_exact, read_usage
from ai.streaming import LineBuffer, error_of, payloads
from billing.admission import CREDITS
from billing.calls import Receipt
from credits.amounts import number

#: The provider's words for why an answer ended, as the AI SDK says them.
REASONS = {"content_filter": "content-filter", "length": "length", "stop": "stop", "tool_calls": "tool-calls"}
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of a text; ``kind`` is ``text`` or ``reasoning``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class File:
    url: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page that the answer refers to."""

    url: str
    title: str


@dataclass(slots=True)
class ToolCall:
    """A call of one of the caller's tools, as far as it has come. ``arguments`` is JSON once it is whole."""

    id: str
    name: str
    arguments: str = ""

    @property
    def input(self) -> Any:
        """What the tool is called with; text that is no JSON stays text."""
        try:
            return orjson.loads(self.arguments or "{}")
        except ValueError:
            return self.arguments


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """More of a tool call: its first piece, if ``is_first``, and a part of its arguments."""

    call: ToolCall
    text: str
    is_first: bool


Piece = Words | File | Source | ToolDelta


@dataclass(slots=True)
class Deltas:
    """
    Chunks in, pieces out, however they are split.

    ``failed`` is set by an error inside of the stream; what comes after it is not looked at. ``tools`` are the calls
    so far, in their order.
    """

    usage: Usage | None = None
    failed: bool = False
    reason: str = "unknown"
    tools: dict[int, ToolCall] = field(default_factory=dict)
    _lines: LineBuffer = field(default_factory=LineBuffer)

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        for payload in payloads(self._lines.feed(chunk)):
            if payload != DONE and not self.failed:
                yield from self._read(payload)

    def metadata(self, request_id: str, receipt: Receipt | None) -> dict[str, Any]:
        """What the end of the answer says of it: the request, the model, its tokens, and what it cost."""
        told: dict[str, Any] = {"requestId": request_id}
        if self.usage is not None:
            told["model"] = self.usage.model
            told["usage"] = self.tokens
        if receipt is not None:
            told["creditsCharged"] = number(receipt.charged)
            told["creditsRemaining"] = number(receipt.available)
            if receipt.currency != CREDITS:
                told["currency"] = receipt.currency
        return told

    @property
    def tokens(self) -> dict[str, int | None]:
        usage = self.usage or Usage()
        return {"promptTokens": usage.prompt_tokens, "completionTokens": usage.completion_tokens}

    def _read(self, payload: bytes) -> Iterator[Piece]:
        try:
            event = parse_exact(payload) if b'"usage"' in payload else orjson.loads(payload)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        self.usage = read_usage(event) or self.usage
        if error_of(event) is not None:
            self.failed = True
            return
        for choice in _listed(event.get("choices")):
            if isinstance(choice, dict):
                reason = choice.get("finish_reason")
                if isinstance(reason, str):
                    self.reason = REASONS.get(reason, "other")
                if isinstance(choice.get("delta"), dict):
                    yield from self._delta(choice["delta"])

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Piece]:
        for kind, text in (("reasoning", delta.get("reasoning")), ("text", delta.get("content"))):
            if isinstance(text, str) and text:
                yield Words(kind, text)
        for image in _listed(delta.get("images")):
            url = _at(image, "image_url", "url")
            if url:
                yield File(url, url[5:].partition(";")[0] if url.startswith("data:") else "image/png")
        for note in _listed(delta.get("annotations")):
            url = _at(note, "url_citation", "url")
            if url:
                yield Source(url, _at(note, "url_citation", "title"))
        for call in _listed(delta.get("tool_calls")):
            if isinstance(call, dict):
                yield from self._tool(call)

    def _tool(self, told: Mapping[str, Any]) -> Iterator[Piece]:
        """The id and the name come with the first piece of a call; one without them cannot be answered."""
        index, text = told.get("index"), _at(told, "function", "arguments")
        index = index if isinstance(index, int) else len(self.tools)
        call, is_first = self.tools.get(index), False
        if call is None:
            id_, name = told.get("id"), _at(told, "function", "name")
            if not isinstance(id_, str) or not id_ or not name:
                return
            call, is_first = ToolCall(id_, name), True
            self.tools[index] = call
        call.arguments += text
        yield ToolDelta(call, text, is_first)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(value: Any, outer: str, inner: str) -> str:
    """The text at ``value[outer][inner]``; empty if there is none."""
    holder = value.get(outer) if isinstance(value, Mapping) else None
    text = holder.get(inner) if isinstance(holder, Mapping) else None
    return text if isinstance(text, str) else ""
