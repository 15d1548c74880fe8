"""
Server-sent events as they pass by: where one ends, and the few that must be read.

Bytes go to the client as they came. Only an event that carries ``usage`` or an error, or may be the last, is
parsed; the others cost a search for those words. Reads may split an event anywhere.
"""

import re
from collections.abc import Iterator
from typing import Any

from ai.providers.base import Usage, parse_exact, read_answer, read_usage

#: A longer line is passed on, but not read: the provider is asked for its record instead.
LONGEST_LINE = 16 * 1024 * 1024
#: Who runs the model. In the text of an answer the quotes would be escaped.
UPSTREAM = re.compile(rb'[{,]\s*"provider"\s*:\s*"([^"\\]{1,80})"')


class LineBuffer:
    """Cuts a stream of bytes into whole lines, however the reads split them. CR LF counts as LF."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines that ``chunk`` completes, in one piece that ends with LF, or nothing."""
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            if len(self._rest) < LONGEST_LINE:
                self._rest += chunk
            else:
                self._rest.clear()
            return b""
        if not self._rest:
            self._rest += rest
            return whole + newline
        lines = bytes(self._rest) + whole + newline
        self._rest = bytearray(rest)
        return lines

    def flush(self) -> bytes:
        """Return what stands after the last LF: a stream may end without one."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest


def payloads(lines: bytes) -> Iterator[bytes]:
    """Yield what stands behind ``data:`` in each of ``lines``. Comments and other fields are passed over."""
    for line in lines.split(b"\n"):
        if line.startswith(b"data:"):
            yield line[5:].strip()


class Scanner:
    """
    Reads in a provider's answer what settles it: here in OpenAI's shape, in its subclasses in others.

    ``usage`` is the last complete one, ``error`` the provider's error, ``is_done`` whether the end of the stream has
    come, ``delivered`` how many units of the feature have: None where the usage tells whether they have.
    """

    #: What an event holds that may be a stream's last.
    end = b"[DONE]"

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.error: dict[str, Any] | None = None
        self.is_done = False
        self.delivered: int | None = None
        self._lines = LineBuffer()
        self._last = b""

    @property
    def upstream(self) -> str:
        """Who runs the model behind the provider, as the events say that came last; empty if they do not."""
        named = UPSTREAM.search(self._last)
        return named[1].decode("utf-8", "replace") if named else ""

    @property
    def has_ended(self) -> bool:
        """Whether the provider has said its last word: what ends without one was broken off."""
        return self.is_done or self.usage is not None or self.error is not None

    def read_whole(self, body: bytes) -> None:
        """
        Read an answer that came in one piece.

        :raises ProviderGarbled: if it is no JSON object
        """
        self.read(read_answer(body))

    def read(self, event: dict[str, Any]) -> None:
        """Read a whole answer, or an event that carries ``usage`` or ``error``."""
        self.usage = read_usage(event) or self.usage
        self.error = error_of(event) or self.error

    def read_end(self, payload: bytes) -> None:
        """Read an event that holds ``end``, which may be part of its text."""
        if payload == b"[DONE]":
            self.is_done = True

    def feed(self, chunk: bytes) -> None:
        lines = self._lines.feed(chunk)
        if lines:
            self._last = lines
            self._scan(lines)

    def close(self) -> None:
        """Read what the stream ended with, if it ended without a newline."""
        self._scan(self._lines.flush())

    def _scan(self, lines: bytes) -> None:
        if b'"usage"' in lines or b'"error"' in lines:
            for payload in payloads(lines):
                if b'"usage"' in payload or b'"error"' in payload:
                    event = parsed(payload)
                    if event is not None:
                        self.read(event)
        if self.end in lines:
            for payload in payloads(lines):
                if self.end in payload:
                    self.read_end(payload)


def parsed(payload: bytes) -> dict[str, Any] | None:
    """Return an event's payload, if it is a JSON object."""
    try:
        event = parse_exact(payload)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def error_of(event: dict[str, Any]) -> dict[str, Any] | None:
    """
    Return the error that an event or an answer carries, at its top or in a choice.

    An answer that ends for no other reason than an error is one as well.
    """
    choices = event.get("choices")
    carriers = [event, *(choices if isinstance(choices, list) else [])]
    for carrier in carriers:
        error = carrier.get("error") if isinstance(carrier, dict) else None
        if error:
            return error if isinstance(error, dict) else {"message": str(error)}
    for carrier in carriers[1:]:
        if isinstance(carrier, dict) and carrier.get("finish_reason") == "error":
            return {"message": "The answer ends with an error."}
    return None
