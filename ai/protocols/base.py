"""
A wire format: how clients ask, and how they are answered.

A protocol is one file beside this one and one route in ``ai.gateway``. It translates; it
neither calls a provider nor touches money.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from accounts.errors import PrepaidError
from ai.http import EVENT_STREAM, NOT_CACHED, Headers
from billing.calls import Receipt
from billing.catalogue import Feature


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a client asks for. ``payload`` is the body for the provider's ``path``, without ``user``.

    ``limit_fields`` are the names under which this path takes a limit of an answer's tokens, the usual one last;
    none where it takes none. ``calls`` is how often the provider is called for it.
    """

    feature: Feature
    quantity: int
    model: str
    streamed: bool
    path: str
    payload: dict[str, Any]
    limit_fields: tuple[str, ...] = ("max_completion_tokens", "max_tokens")
    calls: int = 1


class Translator(ABC):
    """Turns the provider's stream into the client's. One a stream."""

    @abstractmethod
    def feed(self, chunk: bytes) -> bytes:
        """Return what the client gets for ``chunk``, which may be split anywhere; may be nothing yet."""

    @abstractmethod
    def finish(self, receipt: Receipt | None) -> bytes:
        """Return what ends a whole answer; ``receipt`` is None while the provider is still asked for the cost."""

    @abstractmethod
    def fail(self, error: PrepaidError) -> bytes:
        """Return what ends an answer that broke off after its headers were sent."""


class Protocol(ABC):
    stream_headers: Headers = [EVENT_STREAM, *NOT_CACHED]

    @abstractmethod
    def read(self, payload: dict[str, Any]) -> Wanted:
        """
        Read a request's body.

        :raises ValidationFailed: with the field that is wrong
        """

    @abstractmethod
    def translator(self, wanted: Wanted, request_id: str) -> Translator: ...

    @abstractmethod
    def error(self, error: PrepaidError, request_id: str) -> bytes:
        """Return the body of a refusal in the shape that this format's clients read."""
