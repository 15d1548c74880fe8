"""``POST /chat/completions``, simulated: what is produced is booked first, and sent then."""

from typing import Any

import orjson

from ai.providers.simulator import catalogue, content
from ai.providers.simulator.books import Booking, Books
from ai.providers.simulator.faults import Faults
from ai.providers.simulator.line import HungUp, Line

KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"


class Refused(Exception):
    """The request is wrong: a status and OpenRouter's text."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


class Chat:
    """One call: its answer, made ahead, and the booking of what was produced of it."""

    def __init__(self, *, line: Line, books: Books, body: dict[str, Any], model: str, pace_ms: int, generation_ms: int):
        self.line = line
        self.faults: Faults = line.faults
        messages = _messages(body)
        makes_images = _makes_images(model, body.get("modalities"))
        self.streamed = body.get("stream") is True
        self.interval_ms = pace_ms if self.faults.interval_ms is None else self.faults.interval_ms
        self.words = content.answer(messages, self.faults) if "text" in catalogue.outputs(model) else []
        self.finish_reason: str | None = None if self.faults.empty else "stop"
        limit = _limit(body)
        if limit is not None and limit < len(self.words):
            self.words, self.finish_reason = self.words[:limit], "length"
        wanted = 1 if self.faults.images is None else self.faults.images
        self.images = content.images(content.question_of(messages), wanted) if makes_images else []
        user = body.get("user")
        delay = self.faults.generation_ms
        self.booking: Booking = books.open(
            model=model,
            user=user if isinstance(user, str) else "",
            streamed=self.streamed,
            prompt_tokens=content.words_of(messages),
            generation_ms=generation_ms if delay is None else delay,
        )

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
        whole = self.booking.model.startswith(catalogue.BILLED_WHOLE)
        if self.faults.bill == "whole" or (whole and self.faults.bill != "sent"):
            self._produce_all()
        self.booking.end("CANCELLED")

    def _produce_all(self) -> None:
        self.booking.text_tokens, self.booking.images = len(self.words), len(self.images)

    async def _whole(self) -> None:
        if self.faults.error is not None:
            self.booking.end("FAILED", "error")
            is_told = self.faults.error_code != "none"
            told = {"error": self._error()} if is_told else {}
            choices = [] if is_told else [self._choice("message", {"role": "assistant", "content": ""}, "error")]
            await self.line.json(200, self._body("chat.completion", choices, **told), self._headers())
            return
        if self.faults.bill != "sent":
            self._produce_all()
        await self.line.pause(self.interval_ms * len(self.words))
        self._produce_all()
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.words), "refusal": None}
        if self.images:
            message["images"] = self.images
        choice = self._choice("message", message, self.finish_reason)
        payload = self._body("chat.completion", [choice], system_fingerprint=None, **self._usage())
        await self.line.json(200, payload, self._headers())
        self.booking.end("FINISHED", self.finish_reason)

    async def _stream(self) -> None:
        await self.line.open(200, "text/event-stream", [*self._headers(), ("Cache-Control", "no-cache")])
        await self.line.write(KEEP_ALIVE)
        for number, word in enumerate(self.words):
            if await self._is_over(number):
                return
            self.booking.text_tokens += 1
            await self._send_delta(content=word)
            self.booking.chunks += 1
            await self.line.pause(self.interval_ms)
        if await self._is_over(len(self.words)):
            return
        if self.images:
            self.booking.images = len(self.images)
            await self._send_delta(content="", images=self.images)
        await self._send_delta(self.finish_reason, content="")
        self.booking.end("FINISHED", self.finish_reason)
        await self._send_end()

    async def _send_end(self) -> None:
        if self.faults.usage == "repeated":
            await self._send([], **self._usage(parts=2))
        if self.faults.usage != "late":
            await self._send([], **self._usage())
        await self._write(DONE)
        if self.faults.usage == "late":
            await self._send([], **self._usage())
        await self.line.close()

    async def _is_over(self, position: int) -> bool:
        """Let the faults of ``position`` strike; whether one of them has ended the body."""
        await self.line.strike(position)
        if position == self.faults.error:
            is_billed = self.faults.bill == "sent"
            self.booking.end("FINISHED" if is_billed else "FAILED", "error")
            choice = self._choice("delta", {"content": ""}, "error")
            told = {} if self.faults.error_code == "none" else {"error": self._error()}
            await self._send([choice], **told, **(self._usage() if is_billed else {}))
            await self.line.close()
            return True
        if position == self.faults.truncate:
            self.booking.end("FINISHED")
            await self.line.close()
            return True
        return False

    async def _send_delta(self, finish_reason: str | None = None, **delta: Any) -> None:
        await self._send([self._choice("delta", {"role": "assistant", **delta}, finish_reason)])

    async def _send(self, choices: list[Any], **more: Any) -> None:
        if more or choices:
            await self._write(b"data: %b\n\n" % orjson.dumps(self._body("chat.completion.chunk", choices, **more)))

    async def _write(self, event: bytes) -> None:
        await self.line.write(event.replace(b"\n", b"\r\n") if self.faults.crlf else event)

    def _headers(self) -> list[tuple[str, str]]:
        return [] if self.faults.no_id else [("X-Generation-Id", self.booking.id)]

    def _body(self, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        booking = self.booking
        return {
            "id": booking.id,
            "object": kind,
            "created": booking.created,
            "model": booking.model,
            "provider": catalogue.upstream(booking.model),
            "choices": choices,
            **more,
        }

    def _choice(self, part: str, content: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        return {
            "index": 0,
            part: content,
            "finish_reason": finish_reason,
            "native_finish_reason": finish_reason,
            "logprobs": None,
        }

    def _error(self) -> dict[str, Any]:
        code = self.faults.error_code
        return {
            "code": int(code) if code.isdigit() else code,
            "message": self.faults.message or "The simulated model failed while it answered.",
            "metadata": {"error_type": "provider_unavailable"},
        }

    def _usage(self, parts: int = 1) -> dict[str, Any]:
        """The usage so far as the faults want it told; divided by ``parts``."""
        if self.faults.usage == "none":
            return {}
        booking = self.booking
        true_cost = booking.cost / parts
        usage = {
            "prompt_tokens": booking.prompt_tokens,
            "completion_tokens": booking.completion_tokens // parts,
            "total_tokens": booking.prompt_tokens + booking.completion_tokens // parts,
            "cost": orjson.Fragment(self.faults.cost or f"{true_cost:f}"),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "image_tokens": booking.images * catalogue.IMAGE_TOKENS // parts,
            },
        }
        if self.faults.cost == "absent":
            del usage["cost"]
        return {"usage": usage}


def _messages(body: dict[str, Any]) -> list[Any]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, 'Input required: specify "prompt" or "messages"')
    return messages


def _makes_images(model: str, modalities: object) -> bool:
    able = "image" in catalogue.outputs(model)
    if not isinstance(modalities, list):
        return able
    if "image" in modalities and not able:
        raise Refused(404, "No endpoints found that support the requested output modalities: image, text")
    return "image" in modalities


def _limit(body: dict[str, Any]) -> int | None:
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise Refused(400, "max_tokens must be a whole number of at least 1")
    return limit
