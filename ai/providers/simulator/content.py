"""What the simulator answers with: a few friendly words that quote the question, and small real pictures."""

import base64
import hashlib
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from itertools import cycle, islice
from typing import Any

from ai.providers.simulator.faults import Faults

QUOTED_WORDS = 12
QUOTED_CHARACTERS = 80
IMAGE_SIZE = 64
FILLER = "Every word of this answer is one token, and the books know the price of each."


def words_of(messages: list[Any]) -> int:
    """Count the words in all text of the messages; at least 1."""
    return max(1, sum(len(text_of(message).split()) for message in messages))


def text_of(message: object) -> str:
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        return " ".join(text for text in parts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def question_of(messages: list[Any]) -> str:
    """Return the last thing the user said."""
    asked = [m for m in messages if isinstance(m, Mapping) and m.get("role") == "user"]
    return text_of(asked[-1]) if asked else ""


def answer(messages: list[Any], faults: Faults) -> list[str]:
    """Return the words of the answer, each with the space that follows it: joined they are its text."""
    if faults.empty:
        return []
    words = question_of(messages).split()
    quote = " ".join(words[:QUOTED_WORDS])[:QUOTED_CHARACTERS]
    if len(words) > QUOTED_WORDS or len(" ".join(words)) > len(quote):
        quote += "…"
    text = f"You asked: “{quote}” " if quote else ""
    text += "This is the simulated model: it thinks of nothing, but it streams, counts and charges like a real one."
    answered = text.split()
    if faults.chunks is not None:
        answered = [*answered, *islice(cycle(FILLER.split()), max(0, faults.chunks - len(answered)))][: faults.chunks]
    return [f"{word} " for word in answered[:-1]] + answered[-1:]


def images(prompt: str, count: int) -> list[dict[str, Any]]:
    """Return ``count`` pictures as OpenRouter's messages carry them."""
    return [{"type": "image_url", "index": i, "image_url": {"url": picture(f"{prompt}#{i}")}} for i in range(count)]


@lru_cache(maxsize=64)
def picture(seed: str) -> str:
    """Return a small PNG as a data URL: a gradient between two colours that depend on ``seed``."""
    digest = hashlib.sha256(seed.encode()).digest()
    start, stop = digest[:3], digest[3:6]
    rows = bytearray()
    for y in range(IMAGE_SIZE):
        rows.append(0)
        for x in range(IMAGE_SIZE):
            share = (x + y) / (2 * IMAGE_SIZE - 2)
            rows.extend(round(a + (b - a) * share) for a, b in zip(start, stop, strict=True))
    header = struct.pack(">IIBBBBB", IMAGE_SIZE, IMAGE_SIZE, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _part(b"IHDR", header) + _part(b"IDAT", zlib.compress(rows)) + _part(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
