"""``POST /embeddings``, simulated: vectors that depend on the text and mean nothing."""

import base64
import hashlib
import struct
from typing import Any

from ai.providers.simulator import catalogue
from ai.providers.simulator.answering import Answering, Refused

DIMENSIONS = 8


class Embeddings(Answering):
    limit_fields = ()
    can_stream = False

    def messages_of(self, body: dict[str, Any]) -> list[Any]:
        texts = body.get("input")
        if isinstance(texts, list) and texts and all(isinstance(each, int) for each in texts):
            texts = [texts]
        every = texts if isinstance(texts, list) else [texts]
        if not every or not all(isinstance(each, str | list | dict) and each for each in every):
            raise Refused(400, "Input required")
        return [_message(each) for each in every]

    def make_words(self, model: str) -> list[str]:
        if "embeddings" not in catalogue.outputs(model):
            raise Refused(404, f"No endpoints found that support embeddings: {model}")
        return []

    def make_images(self, model: str) -> list[dict[str, Any]]:
        return []

    def produce_all(self) -> None:
        self.booking.vectors = len(self._answered)

    def whole(self) -> dict[str, Any]:
        usage = self.usage()
        vectors = [self._vector(each["content"]) for each in self._answered]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        told = {"id": self.booking.id, "object": "list", "model": self.booking.model, "data": data}
        return told if usage is None else {**told, "usage": usage}

    def usage(self, parts: int = 1) -> dict[str, Any] | None:
        if self.faults.usage == "none":
            return None
        tokens = self.booking.prompt_tokens
        return {"prompt_tokens": tokens, "total_tokens": tokens, **self.cost(parts), "is_byok": False}

    def failed(self) -> dict[str, Any]:
        return {"error": self.error()}

    @property
    def _answered(self) -> list[Any]:
        """The texts that get a vector."""
        return [] if self.faults.empty else self.asked[: self.faults.chunks]

    def _vector(self, text: str) -> list[float] | str:
        digest = hashlib.sha256(text.encode()).digest()
        numbers = [byte / 256 - 0.5 for byte in digest[:DIMENSIONS]]
        if self.body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *numbers)).decode()
        return numbers


def _message(text: Any) -> dict[str, str]:
    """What is embedded as a message: of tokens, which nobody can read, each is a word."""
    if isinstance(text, list):
        text = " ".join(map(str, text))
    elif isinstance(text, dict):
        parts = text.get("content")
        found = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        text = " ".join(each for each in found if isinstance(each, str))
    return {"role": "user", "content": text}
