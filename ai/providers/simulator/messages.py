"""``POST /messages``, simulated: Anthropic's format, as OpenRouter speaks it."""

from collections.abc import Sequence
from typing import Any

from ai.providers.simulator.answering import Answering, Refused, event

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Messages(Answering):
    limit_fields = ("max_tokens",)

    @staticmethod
    def refusal(status: int, message: str, metadata: dict[str, Any]) -> dict[str, Any]:
        error = {"type": KINDS.get(status, "api_error"), "message": message, **metadata}
        return {"type": "error", "error": error, "request_id": None}

    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(400, "messages: Field required")
        system = body.get("system")
        return [{"role": "system", "content": system}, *messages] if system else messages

    def make_images(self, model: str) -> list[dict[str, Any]]:
        return []

    def whole(self) -> dict[str, Any]:
        text = "".join(self.words)
        usage = self.usage()
        return {
            **self._message([{"type": "text", "text": text, "citations": None}] if text else [], self._stop_reason),
            "provider": "Simulator",
            **({} if usage is None else {"usage": usage}),
        }

    def failed(self) -> dict[str, Any]:
        return self.refusal(self.error_status, self.failure, {})

    def opening(self) -> Sequence[bytes]:
        begun = {"input_tokens": self.booking.prompt_tokens, "output_tokens": 1, "cache_read_input_tokens": 0}
        return (
            _event("message_start", message={**self._message([], None), "usage": begun}),
            _event("ping"),
            _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        )

    def word(self, text: str) -> Sequence[bytes]:
        return (_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),)

    def closing(self) -> Sequence[bytes]:
        return (_event("content_block_stop", index=0),)

    def told(self, parts: int = 1) -> Sequence[bytes]:
        usage = self.usage(parts)
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        return (_event("message_delta", delta=delta, **({} if usage is None else {"usage": usage})),)

    def done(self) -> Sequence[bytes]:
        return (_event("message_stop"),)

    def broken(self) -> Sequence[bytes]:
        return (_event("error", error=self.failed()["error"]),)

    def usage(self, parts: int = 1) -> dict[str, Any] | None:
        if self.faults.usage == "none":
            return None
        booking = self.booking
        return {
            "input_tokens": booking.prompt_tokens,
            "output_tokens": booking.completion_tokens // parts,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            **self.cost(parts),
            "is_byok": False,
        }

    @property
    def _stop_reason(self) -> str | None:
        return STOP_REASONS.get(self.finish_reason or "")

    def _message(self, content: list[Any], stop_reason: str | None) -> dict[str, Any]:
        return {
            "id": self.booking.id,
            "type": "message",
            "role": "assistant",
            "model": self.booking.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
        }


def _event(kind: str, **more: Any) -> bytes:
    return event({"type": kind, **more}, name=kind)
