"""OpenAI's embeddings, as OpenRouter speaks them. Each text is a unit."""

import re
from typing import Any

from ai.protocols.base import Wanted
from ai.protocols.fields import model_of, prompts_of
from ai.protocols.openai import OpenAI
from ai.streaming import Scanner
from billing.catalogue import Feature

#: The numbers of a vector: thousands of them, of which none settles anything.
VECTOR = re.compile(rb'"embedding"\s*:\s*\[[^\]]*\]')


class Embeddings(OpenAI):
    def read(self, payload: dict[str, Any]) -> Wanted:
        model = model_of(payload)
        texts = prompts_of(payload, "input")
        return Wanted(
            feature=Feature.AI_EMBEDDING,
            quantity=texts,
            model=model,
            streamed=False,
            path="embeddings",
            payload=payload,
            limit_fields=(),
            prompts=texts,
        )

    def scanner(self) -> Scanner:
        return EmbeddingsScanner()


class EmbeddingsScanner(Scanner):
    def read_whole(self, body: bytes) -> None:
        super().read_whole(VECTOR.sub(b'"embedding":[]', body))

    def read(self, event: dict[str, Any]) -> None:
        super().read(event)
        data = event.get("data")
        self.delivered = len(data) if isinstance(data, list) else 0
