"""``POST /chat/completions`` and, of old, ``POST /completions``, simulated."""

from collections.abc import Sequence
from typing import Any

from ai.providers.simulator import catalogue
from ai.providers.simulator.answering import Answering, Refused, event


class Chat(Answering):
    kind = "chat.completion"
    kind_of_chunk = "chat.completion.chunk"

    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(400, 'Input required: specify "prompt" or "messages"')
        return messages

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.words), "refusal": None}
        if self.images:
            message["images"] = self.images
        choice = self._choice({"message": message}, self.finish_reason)
        usage = self.usage()
        return self._body(self.kind, [choice], system_fingerprint=None, **({} if usage is None else {"usage": usage}))

    def failed(self) -> dict[str, Any]:
        if self.is_error_told:
            return self._body(self.kind, [], error=self.error())
        return self._body(self.kind, [self._choice({"message": {"role": "assistant", "content": ""}}, "error")])

    def word(self, text: str) -> Sequence[bytes]:
        return self._delta(content=text)

    def pictures(self) -> Sequence[bytes]:
        return self._delta(content="", images=self.images)

    def closing(self) -> Sequence[bytes]:
        return self._delta(self.finish_reason, content="")

    def told(self, parts: int = 1) -> Sequence[bytes]:
        usage = self.usage(parts)
        return () if usage is None else (event(self._body(self.kind_of_chunk, [], usage=usage)),)

    def broken(self) -> Sequence[bytes]:
        return self._failing({"delta": {"content": ""}})

    def _failing(self, content: dict[str, Any]) -> Sequence[bytes]:
        told: dict[str, Any] = {"error": self.error()} if self.is_error_told else {}
        usage = self.usage() if self.is_error_billed else None
        told |= {} if usage is None else {"usage": usage}
        return (event(self._body(self.kind_of_chunk, [self._choice(content, "error")], **told)),)

    def _delta(self, finish_reason: str | None = None, **delta: Any) -> Sequence[bytes]:
        choice = self._choice({"delta": {"role": "assistant", **delta}}, finish_reason)
        return (event(self._body(self.kind_of_chunk, [choice])),)

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

    def _choice(self, content: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        return {
            "index": 0,
            **content,
            "finish_reason": finish_reason,
            "native_finish_reason": finish_reason,
            "logprobs": None,
        }


class Completion(Chat):
    kind = kind_of_chunk = "text_completion"
    limit_fields = ("max_tokens",)

    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        prompt = body.get("prompt")
        prompts = prompt if isinstance(prompt, list) else [prompt]
        if not prompts or not all(isinstance(each, str) for each in prompts):
            raise Refused(400, 'Input required: specify "prompt" or "messages"')
        return [{"role": "user", "content": each} for each in prompts]

    def whole(self) -> dict[str, Any]:
        usage = self.usage()
        choice = self._choice({"text": "".join(self.words)}, self.finish_reason)
        return self._body(self.kind, [choice], **({} if usage is None else {"usage": usage}))

    def pictures(self) -> Sequence[bytes]:
        return ()

    def broken(self) -> Sequence[bytes]:
        return self._failing({"text": ""})

    def _delta(self, finish_reason: str | None = None, **delta: Any) -> Sequence[bytes]:
        return (event(self._body(self.kind, [self._choice({"text": delta["content"]}, finish_reason)])),)
