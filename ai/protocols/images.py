"""
Images, as OpenRouter makes them (``/images``) and as OpenAI's clients ask for them (``/images/generations``).

Each image is a unit, and is whole or free: previews cost nothing. The path knows no limit, no highest price and no
user.
"""

from collections.abc import Mapping
from typing import Any

from ai.http import invalid
from ai.protocols.base import Wanted
from ai.protocols.fields import count_of, is_streamed, model_of
from ai.protocols.openai import OpenAI
from ai.streaming import Scanner
from billing.catalogue import Feature
from billing.errors import UnpricedField

MOST_IMAGES = 10
LONGEST_PROMPT = 32_000


class Images(OpenAI):
    def read(self, payload: dict[str, Any]) -> Wanted:
        model = model_of(payload)
        prompt = payload.get("prompt")
        if not isinstance(prompt, str) or not 0 < len(prompt) <= LONGEST_PROMPT:
            raise invalid("body.prompt", f"Send a text of 1 to {LONGEST_PROMPT} characters.", "invalid_prompt")
        images = count_of(payload, "n", most=MOST_IMAGES)
        streamed = is_streamed(payload)
        if payload.get("response_format") not in (None, "b64_json"):
            raise invalid("body.response_format", "Images come as b64_json.", "invalid_response_format")
        provider = payload.get("provider")
        if isinstance(provider, Mapping) and provider.get("options"):
            raise UnpricedField("body.provider.options", "What only one provider knows has no price here.")
        return Wanted(
            feature=Feature.AI_IMAGE_GENERATION,
            quantity=images,
            model=model,
            streamed=streamed,
            path="images",
            payload={name: value for name, value in payload.items() if name != "response_format"},
            limit_fields=(),
            told=(),
        )

    def scanner(self) -> Scanner:
        return ImagesScanner()


class ImagesScanner(Scanner):
    end = b"image_generation.completed"

    def __init__(self) -> None:
        super().__init__()
        self.delivered = 0

    def read(self, event: dict[str, Any]) -> None:
        super().read(event)
        data = event.get("data")
        if isinstance(data, list):
            self.delivered = len(data)

    def read_end(self, payload: bytes) -> None:
        """Several images have an event each."""
        self.delivered = (self.delivered or 0) + 1
        self.is_done = True
