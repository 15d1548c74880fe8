"""Several keys of one provider, as one: each call is made with one of them, by weight and health."""

import logging
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from ai.errors import ProviderError
from ai.providers.base import Answer, Generation, Images, Provider

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Keyring(Provider):
    """
    ``members`` are the same provider with different keys, each with a ``label``, a ``weight`` and its ``health``.

    A weight of 0 is a spare: chosen only while all others rest, or have been tried.
    """

    def __init__(self, members: Sequence[Provider]) -> None:
        self._members = members
        self.name = members[0].name

    def choose(self, tried: Collection[Provider] = ()) -> Provider:
        now = time.monotonic()
        awake = [member for member in self._members if member.health is None or member.health.is_awake(now)]
        untried = [member for member in awake if member not in tried]
        candidates = untried or awake
        if not candidates:
            return min(self._members, key=lambda member: member.health.rests_until if member.health else 0.0)
        weights = [member.weight for member in candidates]
        return random.choices(candidates, weights)[0] if any(weights) else candidates[0]  # noqa: S311 (no secret)

    async def start(self) -> None:
        for member in self._members:
            await member.start()

    async def close(self) -> None:
        for member in self._members:
            await member.close()

    async def open(self, path: str, body: bytes) -> Answer:
        return await self.choose().open(path, body)

    async def images(
        self,
        *,
        model: str,
        prompt: str,
        references: Sequence[str] = (),
        modalities: Sequence[str] = ("image", "text"),
        aspect_ratio: str = "",
        user: str = "",
    ) -> Images:
        chosen = self.choose()
        return await chosen.images(
            model=model,
            prompt=prompt,
            references=references,
            modalities=modalities,
            aspect_ratio=aspect_ratio,
            user=user,
        )

    def bills_whole(self, upstream: str) -> bool:
        return self._members[0].bills_whole(upstream)

    def generation(self, generation_id: str) -> Generation | None:
        """Return the record of whichever account has it: a key sees the generations of its own alone."""
        failure: ProviderError | None = None
        for member in self._members:
            try:
                record = member.generation(generation_id)
            except ProviderError as error:
                failure = error
            else:
                if record is not None:
                    return record
        if failure is not None:
            raise failure
        return None

    def models(self, **filters: str) -> list[dict[str, Any]]:
        return self._first(lambda member: member.models(**filters))

    def _first(self, ask: Callable[[Provider], T]) -> T:
        """What the first member says that does not fail."""
        failure: ProviderError | None = None
        for member in self._members:
            try:
                return ask(member)
            except ProviderError as error:
                failure = failure or error
        assert failure is not None, "there are members"
        raise failure
