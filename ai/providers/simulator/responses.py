"""``POST /responses``, simulated: OpenAI's responses, as OpenRouter speaks them, without a memory."""

from collections.abc import Sequence
from typing import Any

from ai.providers.simulator import catalogue
from ai.providers.simulator.answering import Answering, Refused, event

#: Everything that an answer says of its one part.
PLACE = {"output_index": 0, "content_index": 0}
#: What its few codes do not tell apart.
ERROR_TYPES = {401: "authentication", 402: "payment_required", 403: "permission_denied"}


class Responses(Answering):
    limit_fields = ("max_output_tokens",)
    _number = -1

    @staticmethod
    def refusal(status: int, message: str, metadata: dict[str, Any]) -> dict[str, Any]:
        code = {400: "invalid_prompt", 429: "rate_limit_exceeded"}.get(status, "server_error")
        return {"error": {"code": code, "message": message}, "metadata": metadata or None}

    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        given = body.get("input")
        if not given or not isinstance(given, str | list):
            raise Refused(400, "input: Field required")
        if body.get("store") or body.get("previous_response_id"):
            raise Refused(400, "The Responses API is stateless: nothing is stored.")
        asked = [{"role": "user", "content": given}] if isinstance(given, str) else given
        instructions = body.get("instructions")
        return [{"role": "system", "content": instructions}, *asked] if instructions else asked

    def whole(self) -> dict[str, Any]:
        return self._response(self._status, output=self._output(), usage=self.usage())

    def failed(self) -> dict[str, Any]:
        error_type = ERROR_TYPES.get(self.error_status, "server")
        return self._response("failed", error={"code": "server_error", "message": self.failure}, error_type=error_type)

    def opening(self) -> Sequence[bytes]:
        begun = self._response("in_progress")
        return (
            self._event("response.created", response=begun),
            self._event("response.in_progress", response=begun),
            self._event("response.output_item.added", output_index=0, item=self._item([], "in_progress")),
            self._event("response.content_part.added", **self._place, part=_text("")),
        )

    def word(self, text: str) -> Sequence[bytes]:
        return (self._event("response.output_text.delta", **self._place, delta=text, logprobs=[]),)

    def closing(self) -> Sequence[bytes]:
        text = "".join(self.words)
        return (
            self._event("response.output_text.done", **self._place, text=text, logprobs=[]),
            self._event("response.content_part.done", **self._place, part=_text(text)),
            *(
                self._event("response.output_item.done", output_index=number, item=item)
                for number, item in enumerate(self._output())
            ),
        )

    def told(self, parts: int = 1) -> Sequence[bytes]:
        if parts > 1:
            begun = self._response("in_progress", usage=self.usage(parts))
            return (self._event("response.in_progress", response=begun),)
        response = self._response(self._status, output=self._output(), usage=self.usage())
        return (self._event(f"response.{self._status}", response=response),)

    def broken(self) -> Sequence[bytes]:
        return (self._event("response.failed", response=self.failed()),)

    def usage(self, parts: int = 1) -> dict[str, Any] | None:
        if self.faults.usage == "none":
            return None
        booking = self.booking
        completion = booking.completion_tokens // parts
        return {
            "input_tokens": booking.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {
                "reasoning_tokens": 0,
                "image_tokens": booking.images * catalogue.IMAGE_TOKENS // parts,
            },
            "total_tokens": booking.prompt_tokens + completion,
            **self.cost(parts),
            "is_byok": False,
        }

    @property
    def _status(self) -> str:
        return "incomplete" if self.finish_reason == "length" else "completed"

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": f"msg-{self.booking.id}", **PLACE}

    def _output(self) -> list[dict[str, Any]]:
        pictures = [
            {
                "id": f"img-{number}-{self.booking.id}",
                "type": "image_generation_call",
                "status": "completed",
                "result": image["image_url"]["url"].partition(",")[2],
            }
            for number, image in enumerate(self.images)
        ]
        message = self._item([_text("".join(self.words))], "completed" if self._status == "completed" else "incomplete")
        return [message, *pictures] if self.words else pictures

    def _item(self, content: list[Any], status: str) -> dict[str, Any]:
        return {
            "id": f"msg-{self.booking.id}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _response(self, status: str, **more: Any) -> dict[str, Any]:
        is_cut = status == "incomplete"
        return {
            "id": self.booking.id,
            "object": "response",
            "created_at": self.booking.created,
            "model": self.booking.model,
            "status": status,
            "output": [],
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": self.body.get("instructions"),
            "metadata": self.body.get("metadata") or {},
            "parallel_tool_calls": True,
            "temperature": self.body.get("temperature"),
            "tool_choice": self.body.get("tool_choice") or "auto",
            "tools": self.body.get("tools") or [],
            "top_p": self.body.get("top_p"),
            "usage": None,
            **more,
        }

    def _event(self, kind: str, **more: Any) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number, **more})


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
