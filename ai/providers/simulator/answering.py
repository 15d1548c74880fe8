"""
A call to the simulator, whatever its wire format: what is produced is booked first, and sent then.

A format is a subclass in a file beside this one, and a line in ``formats``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import orjson

from ai.providers.simulator import catalogue, content
from ai.providers.simulator.books import Booking, Books
from ai.providers.simulator.faults import Faults
from ai.providers.simulator.line import HungUp, Line, openrouters_error

KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"


class Refused(Exception):
    """The request is wrong: a status and OpenRouter's text."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


class Answering(ABC):
    """One call: its answer, made ahead, and the booking of what was produced of it."""

    #: The names of the limit of an answer's tokens; the first that is there counts.
    limit_fields: tuple[str, ...] = ("max_completion_tokens", "max_tokens")
    can_stream = True
    #: Whether an answer that nobody waits for is free.
    is_all_or_nothing = False

    def __init__(self, *, line: Line, books: Books, body: dict[str, Any], model: str, pace_ms: int, generation_ms: int):
        self.line = line
        self.faults: Faults = line.faults
        self.body = body
        self.asked = self.messages_of(body)
        self.streamed = self.can_stream and body.get("stream") is True
        self.interval_ms = pace_ms if self.faults.interval_ms is None else self.faults.interval_ms
        self.finish_reason: str | None = None if self.faults.empty else "stop"
        self.words: list[str] = self.make_words(model)
        self.images: list[dict[str, Any]] = self.make_images(model)
        user, delay = body.get("user"), self.faults.generation_ms
        self.booking: Booking = books.open(
            model=model,
            user=user if isinstance(user, str) else "",
            streamed=self.streamed,
            prompt_tokens=content.words_of(self.asked),
            generation_ms=generation_ms if delay is None else delay,
        )

    # What a format says.

    @staticmethod
    def refusal(status: int, message: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """The body of a refusal."""
        return openrouters_error(status, message, metadata)

    @abstractmethod
    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        """
        Return what is asked as messages, whose words are the tokens of the prompt.

        :raises Refused: if nothing is asked
        """

    @abstractmethod
    def whole(self) -> dict[str, Any]:
        """The whole answer."""

    @abstractmethod
    def failed(self) -> dict[str, Any]:
        """An answer of status 200 that is an error."""

    def opening(self) -> Sequence[bytes]:
        """Events before the first word."""
        return ()

    def word(self, text: str) -> Sequence[bytes]:
        """Events that carry one word."""
        return ()

    def pictures(self) -> Sequence[bytes]:
        """Events that carry the images, if there are any."""
        return ()

    def closing(self) -> Sequence[bytes]:
        """Events after the last word."""
        return ()

    def told(self, parts: int = 1) -> Sequence[bytes]:
        """Events with the usage, or with a part of it."""
        return ()

    def done(self) -> Sequence[bytes]:
        """The last events of a stream."""
        return (DONE,)

    def broken(self) -> Sequence[bytes]:
        """Events that say in midst of a stream that it has failed."""
        return ()

    # What it produces.

    def make_words(self, model: str) -> list[str]:
        words = content.answer(self.asked, self.faults) if "text" in catalogue.outputs(model) else []
        limit = self._limit()
        if limit is not None and limit < len(words):
            words, self.finish_reason = words[:limit], "length"
        return words

    def make_images(self, model: str) -> list[dict[str, Any]]:
        wanted = 1 if self.faults.images is None else self.faults.images
        makes_images = _makes_images(model, self.body.get("modalities"))
        return content.images(content.question_of(self.asked), wanted) if makes_images else []

    def produce_word(self) -> None:
        self.booking.text_tokens += 1

    def produce_all(self) -> None:
        self.booking.text_tokens, self.booking.images = len(self.words), len(self.images)

    # How it goes.

    async def answer(self) -> None:
        try:
            await (self._stream() if self.streamed else self._whole())
        except HungUp:
            self._hung_up()
            raise

    def _hung_up(self) -> None:
        """Bill what was sent, or the whole answer where its provider cannot stop."""
        if self.booking.status != "RUNNING":
            return
        whole = self.booking.model.startswith(catalogue.BILLED_WHOLE) and not self.is_all_or_nothing
        if self.faults.bill == "whole" or (whole and self.faults.bill != "sent"):
            self.produce_all()
        self.booking.end("CANCELLED")

    async def _whole(self) -> None:
        if self.faults.error is not None:
            self.booking.end("FAILED", "error")
            await self.line.json(200, self.failed(), self._headers())
            return
        if self.faults.bill != "sent" and not self.is_all_or_nothing:
            self.produce_all()
        await self.line.pause(self.interval_ms * len(self.words))
        self.produce_all()
        await self.line.json(200, self.whole(), self._headers())
        self.booking.end("FINISHED", self.finish_reason)

    async def _stream(self) -> None:
        await self.line.open(200, "text/event-stream", [*self._headers(), ("Cache-Control", "no-cache")])
        await self.line.write(KEEP_ALIVE)
        await self._write(self.opening())
        for number, word in enumerate(self.words):
            if await self._is_over(number):
                return
            self.produce_word()
            await self._write(self.word(word))
            self.booking.chunks += 1
            await self.line.pause(self.interval_ms)
        if await self._is_over(len(self.words)):
            return
        self.produce_all()
        await self._write(self.pictures() if self.images else ())
        await self._write(self.closing())
        self.booking.end("FINISHED", self.finish_reason)
        await self._send_end()

    async def _send_end(self) -> None:
        if self.faults.usage == "repeated":
            await self._write(self.told(parts=2))
        if self.faults.usage != "late":
            await self._write(self.told())
        await self._write(self.done())
        if self.faults.usage == "late":
            await self._write(self.told())
        await self.line.close()

    async def _is_over(self, position: int) -> bool:
        """Let the faults of ``position`` strike; whether one of them has ended the body."""
        await self.line.strike(position)
        if position == self.faults.error:
            self.booking.end("FINISHED" if self.is_error_billed else "FAILED", "error")
            await self._write(self.broken())
            await self.line.close()
            return True
        if position == self.faults.truncate:
            self.booking.end("FINISHED")
            await self.line.close()
            return True
        return False

    async def _write(self, events: Sequence[bytes]) -> None:
        for event in events:
            await self.line.write(event.replace(b"\n", b"\r\n") if self.faults.crlf else event)

    def _headers(self) -> list[tuple[str, str]]:
        return [] if self.faults.no_id else [("X-Generation-Id", self.booking.id)]

    def _limit(self) -> int | None:
        limit = next((self.body[name] for name in self.limit_fields if self.body.get(name) is not None), None)
        if limit is None:
            return None
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise Refused(400, f"{self.limit_fields[-1]} must be a whole number of at least 1")
        return limit

    # What formats share.

    @property
    def is_error_told(self) -> bool:
        """Whether an error inside an answer says more than that it is the end."""
        return self.faults.error_code != "none"

    @property
    def is_error_billed(self) -> bool:
        return self.faults.bill == "sent"

    @property
    def error_status(self) -> int:
        """The status that an error inside an answer would have had before it."""
        return int(self.faults.error_code) if self.faults.error_code.isdigit() else 500

    @property
    def failure(self) -> str:
        return self.faults.message or "The simulated model failed while it answered."

    def error(self) -> dict[str, Any]:
        """OpenRouter's error inside an answer."""
        code = self.faults.error_code
        return {
            "code": int(code) if code.isdigit() else code,
            "message": self.failure,
            "metadata": {"error_type": "provider_unavailable"},
        }

    def cost(self, parts: int = 1) -> dict[str, Any]:
        """The cost so far as the faults want it told; divided by ``parts``."""
        if self.faults.cost == "absent":
            return {}
        return {"cost": orjson.Fragment(self.faults.cost or f"{self.booking.cost / parts:f}")}

    def usage(self, parts: int = 1) -> dict[str, Any] | None:
        """The usage so far in OpenAI's words, divided by ``parts``; None where the faults want it untold."""
        if self.faults.usage == "none":
            return None
        booking = self.booking
        return {
            "prompt_tokens": booking.prompt_tokens,
            "completion_tokens": booking.completion_tokens // parts,
            "total_tokens": booking.prompt_tokens + booking.completion_tokens // parts,
            **self.cost(parts),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "image_tokens": booking.images * catalogue.IMAGE_TOKENS // parts,
            },
        }


def event(payload: Any, *, name: str = "") -> bytes:
    """A server-sent event with ``payload`` as JSON, under a ``name`` if it has one."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: %b\n\n" % orjson.dumps(payload)


def _makes_images(model: str, modalities: object) -> bool:
    able = "image" in catalogue.outputs(model)
    if not isinstance(modalities, list):
        return able
    if "image" in modalities and not able:
        raise Refused(404, "No endpoints found that support the requested output modalities: image, text")
    return "image" in modalities
