"""
Answers that are kept for a while and given again to whoever asks for the very same thing.

Only a key whose ``cache_seconds`` says so keeps any, and nobody but that key gets them again. An answer
is kept as the provider sent it, and takes the same way to the client as the first time, so that every
wire format has this by itself. It costs ``CACHED_ANSWER_PERCENT`` of what it would cost anew, and us nothing.
"""

import hashlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from django.core.cache import caches

from ai.providers.base import Answer
from ai.settlement import in_background
from ai.threads import in_database
from billing.calls import Call

logger = logging.getLogger(__name__)

#: A longer answer is not kept.
LONGEST = 256 * 1024
PIECE = 64 * 1024
CACHE = "answers"


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it came, and when: in seconds of the epoch, for its age."""

    content_type: str
    body: bytes
    at: int


class KeptAnswer(Answer):
    """An answer that is given again. No provider has a generation of it."""

    generation_id = ""
    has_arrived = True

    def __init__(self, kept: Kept) -> None:
        self.content_type = kept.content_type
        self.age = max(0, int(time.time()) - kept.at)
        self._body = kept.body

    async def read(self, limit: int) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._body), PIECE):
            yield self._body[first : first + PIECE]

    async def aclose(self) -> None:
        """Nothing is open."""


class Memory:
    """
    What is remembered of one call: the answer to the same one before it, or its own for the next.

    ``cache_control`` is the request's header: ``no-cache`` asks for a new answer, ``no-store`` keeps none either.
    """

    def __init__(self, call: Call, path: str, body: bytes, cache_control: str) -> None:
        wishes = {wish.strip() for wish in cache_control.lower().split(",")}
        self._seconds = 0 if "no-store" in wishes else call.cache_seconds
        self._may_be_old = self._seconds > 0 and "no-cache" not in wishes
        self._name = _name(call, path, body) if self._seconds else ""
        self._recalled: KeptAnswer | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    async def recall(self) -> KeptAnswer | None:
        """Return the answer that is kept, if there is one. Where the cache is away there is none."""
        if not self._may_be_old:
            return None
        try:
            kept = await in_database(caches[CACHE].get, self._name)
        except Exception as error:  # whatever the cache is made of
            logger.warning("No kept answer can be read: %r", error)
            return None
        if isinstance(kept, Kept):
            self._recalled = KeptAnswer(kept)
        return self._recalled

    def headers(self) -> dict[str, str]:
        """What tells a client whether its answer was kept, and how old it is; nothing where none are."""
        if self._recalled is not None:
            return {"X-Cache": "HIT", "Age": str(self._recalled.age)}
        return {"X-Cache": "MISS"} if self._seconds else {}

    def hear(self, piece: bytes) -> None:
        """Take in a piece of the answer on its way."""
        if self._is_to_keep:
            self._pieces.append(piece)
            self._size += len(piece)

    def keep(self, content_type: str) -> None:
        """Keep what was heard, which was the whole answer, in the background."""
        if self._is_to_keep:
            in_background(self._keep(Kept(content_type, b"".join(self._pieces), int(time.time()))))

    @property
    def _is_to_keep(self) -> bool:
        return self._seconds > 0 and self._recalled is None and self._size <= LONGEST

    async def _keep(self, kept: Kept) -> None:
        try:
            await in_database(caches[CACHE].set, self._name, kept, self._seconds)
        except Exception as error:
            logger.warning("An answer cannot be kept: %r", error)


def _name(call: Call, path: str, body: bytes) -> str:
    """A digest of who asks for what; neither can be read from it."""
    return hashlib.blake2b(f"{call.key_id}\n{path}\n".encode() + body, digest_size=24).hexdigest()
