"""OpenAI's chat completions, as OpenRouter speaks them, and what its other formats share with them."""

from typing import Any

from accounts.errors import PrepaidError
from ai.protocols import errors
from ai.protocols.base import Relayed, Wanted
from ai.protocols.fields import count_of, is_streamed, list_of, model_of, with_usage
from billing.catalogue import Feature

MOST_CHOICES = 128


class OpenAI(Relayed):
    """How OpenAI's endpoints refuse and break off."""

    def error(self, error: PrepaidError, request_id: str) -> bytes:
        return errors.openai(error, request_id)

    def failure(self, error: PrepaidError, request_id: str) -> bytes:
        return b"data: " + errors.openai(error, request_id) + b"\n\ndata: [DONE]\n\n"


class ChatCompletions(OpenAI):
    """Fields that we do not read pass through to the provider, as its clients expect."""

    def read(self, payload: dict[str, Any]) -> Wanted:
        model = model_of(payload)
        list_of(payload, "messages", "Send at least one message.")
        streamed = is_streamed(payload)
        return Wanted(
            feature=feature_of(payload),
            quantity=count_of(payload, "n", most=MOST_CHOICES),
            model=model,
            streamed=streamed,
            path="chat/completions",
            payload=with_usage(payload) if streamed else payload,
        )


def feature_of(payload: dict[str, Any]) -> Feature:
    """An answer that may hold images is billed as images, whichever door it came through."""
    modalities = payload.get("modalities")
    makes_images = isinstance(modalities, list) and "image" in modalities
    return Feature.AI_IMAGE_GENERATION if makes_images else Feature.AI_TEXT_CHAT
