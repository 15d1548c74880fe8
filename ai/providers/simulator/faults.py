"""
How a simulated answer can be made to differ from a good one.

One grammar, in three places; where they disagree, the later one counts:

* set by ``POST /_simulator/faults``, for the next requests or for all, of one model or of any;
* in the request's ``metadata``: ``{"simulate": "status=429&retry_after=2"}``;
* after the model's name: ``openai/gpt-4o-mini?chunks=50&interval_ms=20&reset=3``.

A *position* is the number of content chunks that have been delivered when the fault
strikes, or ``headers`` for before the answer's headers. An answer that is not streamed
knows ``headers``, 0 (before its first byte) and 1 (half of it).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import parse_qsl

BEFORE_HEADERS = -1


@dataclass(frozen=True, slots=True)
class Faults:
    """What to do. None or empty: as a good provider does."""

    chunks: int | None = None
    """Words of the answer, which are its chunks and its completion tokens; or the texts that get a vector."""
    interval_ms: int | None = None
    """Milliseconds after each chunk."""
    images: int | None = None
    """Images in an answer of an image model; 1 unless told."""
    empty: int | None = None
    """1: an answer of no tokens and without a finish reason, which costs nothing."""

    status: int | None = None
    """Refuse with this status and OpenRouter's error body."""
    retry_after: int | None = None
    """Seconds, sent with a refusal."""
    message: str = ""
    """The text of a refusal or of an error inside an answer."""

    stall: int | None = None
    """Position from which on nothing comes any more, until the client hangs up."""
    reset: int | None = None
    """Position at which the connection is reset (RST)."""
    reset_bytes: int | None = None
    """Reset the connection when this many bytes of the body are sent."""
    truncate: int | None = None
    """Position at which the body ends, cleanly: without usage and ``[DONE]``, or in the midst of JSON."""
    error: int | None = None
    """Position at which an error comes inside the answer of status 200; not charged, unless ``bill=sent``."""
    error_code: str = "502"
    """That error's code; digits are sent as a number, and of ``none`` no error is told, only that it is the end."""
    garbage: int | None = None
    """1: status 200 with a page of HTML."""

    usage: str = ""
    """``none``, ``repeated`` (twice, the first of half), or ``late`` (after ``[DONE]``)."""
    cost: str = ""
    """Sent as it stands for the cost (``-1``, ``NaN``, ``"0.1"``), or ``absent``; the books keep the true one."""
    no_id: int | None = None
    """1: no ``X-Generation-Id``."""
    bill: str = ""
    """``whole`` or ``sent``: what an answer costs that the client hung up on; else as its model does."""
    generation_ms: int | None = None
    """Milliseconds after its end until ``GET /generation`` knows of it; -1: never."""

    drip_ms: int | None = None
    """Write single bytes, this many milliseconds apart."""
    split: int | None = None
    """1: write each event in two parts."""
    crlf: int | None = None
    """1: end lines with CR LF."""

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """
        Read faults by name, from text or JSON values.

        :raises ValueError: if a name is unknown or a value is none of its kind
        """
        kinds = {field.name: field.type for field in fields(cls)}
        if unknown := sorted(values.keys() - kinds.keys()):
            raise ValueError(f"There is no fault {unknown[0]!r}. There are: {', '.join(kinds)}.")
        read: dict[str, Any] = {
            name: str(value) if kinds[name] is str else _number(value) for name, value in values.items()
        }
        return cls(**read)


def _number(value: object) -> int | None:
    if value is None:
        return None
    return BEFORE_HEADERS if value == "headers" else int(str(value))


def split_model(model: str) -> tuple[str, dict[str, str]]:
    """Return the model's name alone, and the faults written after it."""
    name, _, query = model.partition("?")
    return name, read_text(query)


def read_text(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


@dataclass(slots=True)
class Rule:
    """Faults for the requests to ``path``, of ``model`` or of any, ``times`` more times or for good."""

    faults: dict[str, Any]
    path: str = "chat/completions"
    model: str | None = None
    times: int | None = None


class Rules:
    """The faults that were set from outside. The newest that fits counts."""

    def __init__(self) -> None:
        self._rules: deque[Rule] = deque(maxlen=100)

    def add(self, rule: Rule) -> None:
        """:raises ValueError: as ``Faults.parse``"""
        Faults.parse(rule.faults)
        self._rules.appendleft(rule)

    def take(self, path: str, model: str | None = None) -> dict[str, Any]:
        """Return the faults for one request, and count it."""
        for rule in self._rules:
            if rule.path == path and rule.model in (None, model):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                return rule.faults
        return {}

    def clear(self) -> None:
        self._rules.clear()
