"""What front ends read that know no UI message parts: a plain text, and the data stream of the AI SDK's version 4."""

from typing import Any

import orjson

from accounts.errors import PrepaidError
from ai.errors import ProviderBrokeOff
from ai.protocols.base import Translator
from ai.protocols.deltas import Deltas, File, Piece, Source, ToolDelta, Words
from billing.calls import Receipt


class TextTranslator(Translator):
    """The text, as it comes. Whoever needs to know that it broke off reads another format."""

    def __init__(self) -> None:
        self._deltas = Deltas()

    def feed(self, chunk: bytes) -> bytes:
        pieces = self._deltas.feed(chunk)
        return "".join(piece.text for piece in pieces if isinstance(piece, Words) and piece.kind == "text").encode()

    def finish(self, receipt: Receipt | None) -> bytes:
        return b""

    def fail(self, error: PrepaidError) -> bytes:
        return b""


class DataTranslator(Translator):
    """A line for each piece: a letter or digit that says what it is, a colon, and JSON."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._deltas = Deltas()
        self._sources = 0
        self._started = False
        self._told_failure = False

    def feed(self, chunk: bytes) -> bytes:
        out = [] if self._started else [_line("f", {"messageId": f"msg-{self._request_id}"})]
        self._started = True
        out += [line for piece in self._deltas.feed(chunk) for line in self._translate(piece)]
        if self._deltas.failed and not self._told_failure:
            out.append(self._break_off(ProviderBrokeOff()))
        return b"".join(out)

    def finish(self, receipt: Receipt | None) -> bytes:
        if self._told_failure:
            return b""
        start = b"" if self._started else self.feed(b"")
        ended = {"finishReason": self._deltas.reason, "usage": self._deltas.tokens}
        calls = [
            _line("9", {"toolCallId": call.id, "toolName": call.name, "args": call.input})
            for call in self._deltas.tools.values()
        ]
        told = _line("8", [self._deltas.metadata(self._request_id, receipt)])
        return start + b"".join([*calls, told, _line("e", {**ended, "isContinued": False}), _line("d", ended)])

    def fail(self, error: PrepaidError) -> bytes:
        return (b"" if self._started else self.feed(b"")) + self._break_off(error)

    def _break_off(self, error: PrepaidError) -> bytes:
        self._told_failure = self._deltas.failed = True
        return _line("3", error.message)

    def _translate(self, piece: Piece) -> list[bytes]:
        match piece:
            case Words(kind, text):
                return [_line("0" if kind == "text" else "g", text)]
            case File(url, media_type):
                # It knows files as base64 only; what is elsewhere is a source.
                head, is_data, data = url.partition(";base64,")
                if is_data and head.startswith("data:"):
                    return [_line("k", {"data": data, "mimeType": media_type})]
                return [self._source(url, "")]
            case Source(url, title):
                return [self._source(url, title)]
            case ToolDelta(call, text, is_first):
                begun = _line("b", {"toolCallId": call.id, "toolName": call.name})
                more = _line("c", {"toolCallId": call.id, "argsTextDelta": text})
                return [*([begun] if is_first else []), *([more] if text else [])]

    def _source(self, url: str, title: str) -> bytes:
        self._sources += 1
        titled = {"title": title} if title else {}
        return _line("h", {"sourceType": "url", "id": str(self._sources), "url": url, **titled})


def _line(kind: str, value: Any) -> bytes:
    return kind.encode() + b":" + orjson.dumps(value) + b"\n"
