"""
The attempts of one call at its provider, under its one hold.

Another one is made only when the last is known to have cost nothing: there was no connection, or the provider refused
with a status before it began. What may have been billed (a timeout, a connection that broke) is not tried again, so all
attempts together cost what the last one costs, which the hold covers.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings

from ai import errors
from ai.providers.base import Answer, Images, Provider

logger = logging.getLogger(__name__)

T = TypeVar("T", Answer, Images)

MOST = 4
#: Seconds before the second attempt with the same key; each further pause is twice as long, and they vary by a half.
FIRST_PAUSE = 0.25
#: What another key may answer, and the same one will not.
OF_THE_KEY = (errors.ProviderMisconfigured, errors.ProviderUnfunded)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: by which key (its label), how it ended (an error's code, or ``answered``), and how long that took."""

    key: str
    outcome: str
    milliseconds: int
    generation_id: str = ""

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"key": self.key, "outcome": self.outcome, "ms": self.milliseconds}
        return {**told, "generation": self.generation_id} if self.generation_id else told


class Attempts:
    """``made`` are those worth remembering: all, of a call that needed several or had several keys to choose from."""

    def __init__(self, provider: Provider) -> None:
        self.made: list[Attempt] = []
        self._provider = provider

    async def open(self, path: str, body: bytes) -> Answer:
        """
        Open an answer, as ``Provider.open``.

        :raises ProviderError: the error of the last attempt
        """
        return await self._make(lambda way: way.open(path, body))

    async def images(
        self, *, model: str, prompt: str, references: Sequence[str], aspect_ratio: str, user: str
    ) -> Images:
        """
        Ask for images, as ``Provider.images``.

        :raises ProviderError: the error of the last attempt
        """
        return await self._make(
            lambda way: way.images(
                model=model, prompt=prompt, references=references, aspect_ratio=aspect_ratio, user=user
            )
        )

    async def _make(self, ask: Callable[[Provider], Awaitable[T]]) -> T:
        tried: list[Provider] = []
        way = self._provider.choose()
        began = started = time.monotonic()
        while True:
            try:
                answer = await ask(way)
            except errors.ProviderError as error:
                self._failed(way, error, started)
                tried.append(way)
                following = self._provider.choose(tried)
                pause = pause_before(following, error, tried, elapsed=time.monotonic() - began)
                if pause is None:
                    raise
                logger.warning(
                    "Attempt %s failed (%s, key %r); the next in %.2f s.", len(tried), error.code, way.label, pause
                )
                await asyncio.sleep(pause)
                way, started = following, time.monotonic()
            else:
                if way.health is not None:
                    way.health.succeeded()
                if tried or way.label:
                    self._remember(way, "answered", started, answer.generation_id)
                return answer

    def _failed(self, way: Provider, error: errors.ProviderError, started: float) -> None:
        self._remember(way, error.code, started, error.generation_id)
        if way.health is not None:
            rest = way.health.failed(error, now=time.monotonic())
            if rest:
                logger.warning("The key %r rests for %.0f s: %s.", way.label, rest, error.code)

    def _remember(self, way: Provider, outcome: str, started: float, generation_id: str) -> None:
        milliseconds = int((time.monotonic() - started) * 1000)
        self.made.append(Attempt(way.label, outcome, milliseconds, generation_id))


def pause_before(
    following: Provider, error: errors.ProviderError, tried: Sequence[Provider], *, elapsed: float
) -> float | None:
    """
    Return how many seconds to wait before ``following`` is tried after ``error``; None if nothing is to be tried.

    ``tried`` are the attempts so far, ``elapsed`` the seconds since the first began. What the provider asks for with
    ``Retry-After`` is waited for, or the attempt is not made.
    """
    is_another = following not in tried
    if error.maybe_billed or isinstance(error, errors.ProviderRefused) or len(tried) >= MOST:
        return None
    if isinstance(error, OF_THE_KEY) and not is_another:
        return None
    pause = 0.0
    if not is_another:
        backoff = FIRST_PAUSE * 2 ** (len(tried) - 1) * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)
        pause = max(backoff, float(error.headers.get("Retry-After", 0)))
    return pause if elapsed + pause < settings.PROVIDER_RETRY_SECONDS else None
