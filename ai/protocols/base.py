"""
A wire format: how clients ask, and how they are answered.

A protocol is one file beside this one and one line in ``ai.gateway.PROTOCOLS``. It translates; it
neither calls a provider nor touches money.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from accounts.errors import PrepaidError
from ai.http import EVENT_STREAM, NOT_CACHED, Headers
from ai.streaming import Scanner
from billing.calls import Receipt
from billing.catalogue import Feature
from credits.amounts import display


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a client asks for. ``payload`` is the body for the provider's ``path``, without ``user``.

    ``limit_fields`` are the names under which this path takes a limit of an answer's tokens, the usual one last;
    none where it takes none. ``calls`` is how often the provider is called for it. ``prompts`` counts those of one
    call: each may be as long as the model's context, and is answered for itself. ``told`` are the fields that the
    path knows of those that we add: the routing with the highest price, and the user.
    """

    feature: Feature
    quantity: int
    model: str
    streamed: bool
    path: str
    payload: dict[str, Any]
    limit_fields: tuple[str, ...] = ("max_completion_tokens", "max_tokens")
    calls: int = 1
    prompts: int = 1
    told: tuple[str, ...] = ("provider", "user")


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


class Verbatim(Translator):
    """Bytes are relayed as they come."""

    def __init__(self, protocol: "Relayed", request_id: str) -> None:
        self._protocol = protocol
        self._request_id = request_id

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self, receipt: Receipt | None) -> bytes:
        """The headers are long gone, so what was charged follows as a comment, which clients leave aside."""
        if receipt is None:
            return b""
        charged, left = display(receipt.charged), display(receipt.available)
        return f": credits charged={charged} available={left} currency={receipt.currency}\n\n".encode()

    def fail(self, error: PrepaidError) -> bytes:
        return b"\n\n" + self._protocol.failure(error, self._request_id)


class Protocol(ABC):
    """A wire format. One instance serves all calls, and keeps nothing of any."""

    stream_headers: Headers = [EVENT_STREAM, *NOT_CACHED]

    def chosen_by(self, accept: str, query: bytes) -> "Protocol":
        """Return the format that a request chooses by its ``Accept`` header or its query; most leave no choice."""
        return self

    @abstractmethod
    def read(self, payload: dict[str, Any]) -> Wanted:
        """
        Read a request's body.

        :raises ValidationFailed: with the field that is wrong
        """

    def scanner(self) -> Scanner:
        """Return what reads an answer on the way: usage, errors, the end."""
        return Scanner()

    @abstractmethod
    def translator(self, wanted: Wanted, request_id: str) -> Translator: ...

    @abstractmethod
    def error(self, error: PrepaidError, request_id: str) -> bytes:
        """Return the body of a refusal in the shape that this format's clients read."""


class Relayed(Protocol):
    """A format that the provider speaks as well."""

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return Verbatim(self, request_id)

    @abstractmethod
    def failure(self, error: PrepaidError, request_id: str) -> bytes:
        """Return the events that end a stream which broke off."""
