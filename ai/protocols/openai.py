"""OpenAI's chat completions, as OpenRouter speaks them. Bytes are relayed as they come."""

from typing import Any

from accounts.errors import PrepaidError
from ai.http import invalid
from ai.protocols import errors
from ai.protocols.base import Protocol, Translator, Wanted
from billing.calls import Receipt
from billing.catalogue import Feature
from credits.amounts import display

MOST_CHOICES = 128
LONGEST_MODEL = 200


class ChatCompletions(Protocol):
    """Fields that we do not read pass through to the provider, as its clients expect."""

    def read(self, payload: dict[str, Any]) -> Wanted:
        model = payload.get("model")
        if not isinstance(model, str) or not 0 < len(model) <= LONGEST_MODEL or not model.isprintable():
            raise invalid(
                "body.model", "Name a model, such as openai/gpt-4o-mini; GET /v1/models lists them.", "invalid_model"
            )
        messages = payload.get("messages")
        if not isinstance(messages, list) or not messages:
            raise invalid("body.messages", "Send at least one message.", "invalid_messages")
        stream = payload.get("stream", False)
        if stream is not None and not isinstance(stream, bool):
            raise invalid("body.stream", "stream is true or false.", "invalid_type")
        choices = payload.get("n", 1)
        if choices is None:
            choices = 1
        if isinstance(choices, bool) or not isinstance(choices, int) or not 1 <= choices <= MOST_CHOICES:
            raise invalid("body.n", f"n is a whole number from 1 to {MOST_CHOICES}.", "out_of_range")
        return Wanted(
            feature=_feature(payload),
            quantity=choices,
            model=model,
            streamed=bool(stream),
            path="chat/completions",
            payload=with_usage(payload) if stream else payload,
        )

    def translator(self, wanted: Wanted, request_id: str) -> Translator:
        return Verbatim(request_id)

    def error(self, error: PrepaidError, request_id: str) -> bytes:
        return errors.openai(error, request_id)


class Verbatim(Translator):
    def __init__(self, request_id: str) -> None:
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
        return b"\n\ndata: " + errors.openai(error, self._request_id) + b"\n\ndata: [DONE]\n\n"


def with_usage(payload: dict[str, Any]) -> dict[str, Any]:
    """A streamed answer without usage cannot be settled at once, so it is always asked for."""
    options = payload.get("stream_options")
    return {**payload, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}


def _feature(payload: dict[str, Any]) -> Feature:
    """An answer that may hold images is billed as images, whichever door it came through."""
    modalities = payload.get("modalities")
    makes_images = isinstance(modalities, list) and "image" in modalities
    return Feature.AI_IMAGE_GENERATION if makes_images else Feature.AI_TEXT_CHAT
