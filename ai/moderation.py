"""
A look at what is asked, before a provider is: the operator's guard, off unless ``MODERATOR`` says who looks.

It looks when the caller is known and the credits are held, so that nobody looks for free. What it
refuses is released and never reaches the provider. Only words are looked at, not pictures or files.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import openai
from django.conf import settings
from django.utils.module_loading import import_string

from ai.errors import ContentRefused, ModerationUnavailable
from ai.http import invalid

logger = logging.getLogger(__name__)

#: The characters of one input, and the inputs of one question: what OpenAI's endpoint reads at once.
PIECE = 20_000
MOST_PIECES = 32
#: The characters that a piece repeats of the one before it, so that nothing hides where it was cut.
OVERLAP = 500
#: Values that are no words for a model: names of parts, identifiers, addresses, and what is not text.
NOT_WORDS = frozenset({
    "call_id", "detail", "encrypted_content", "file_data", "file_url", "id", "image_url",
    "media_type", "model", "models", "provider", "role", "signature", "tool_call_id", "tool_use_id", "type", "url",
})  # fmt: skip


class Moderator(ABC):
    """Whoever looks. ``start`` and ``close`` belong to the event loop that calls ``refused_for``."""

    async def start(self) -> None:  # noqa: B027 (not everybody opens something)
        """Open what is needed to look."""

    async def close(self) -> None:  # noqa: B027
        """Close it."""

    @abstractmethod
    async def refused_for(self, texts: Sequence[str]) -> Collection[str]:
        """
        Return the names of the categories that ``texts`` are refused for; none lets them pass.

        :raises Exception: whatever it is, it means that nobody has looked
        """


class OpenAIModerator(Moderator):
    """OpenAI's moderation endpoint, or whatever speaks its interface at ``MODERATION_BASE_URL``."""

    async def start(self) -> None:
        timeout = openai.Timeout(settings.MODERATION_TIMEOUT)
        self._sdk = openai.AsyncOpenAI(
            base_url=settings.MODERATION_BASE_URL,
            api_key=settings.MODERATION_API_KEY or "missing",
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAioHttpClient(timeout=timeout, follow_redirects=False, trust_env=False),
        )
        # The SDK takes these from the environment, where they may belong to another program.
        self._sdk.organization = self._sdk.project = None

    async def close(self) -> None:
        await self._sdk.close()

    async def refused_for(self, texts: Sequence[str]) -> Collection[str]:
        found: set[str] = set()
        for first in range(0, len(texts), MOST_PIECES):
            answer = await self._sdk.moderations.create(
                model=settings.MODERATION_MODEL, input=list(texts[first : first + MOST_PIECES])
            )
            for result in answer.results:
                if result.flagged:
                    named = result.categories.model_dump(by_alias=True)
                    found |= {name for name, applies in named.items() if applies is True} or {"flagged"}
        return found


#: Whom ``MODERATOR`` can name in a word. Others are classes, named by their dotted path.
MODERATORS: dict[str, type[Moderator]] = {"openai": OpenAIModerator}

_current: Moderator | None = None


async def start() -> None:
    """Have the moderator of the settings look from now on, if there is one."""
    global _current
    if settings.MODERATOR:
        _current = moderator_class()()
        await _current.start()


async def close() -> None:
    global _current
    leaving, _current = _current, None
    if leaving is not None:
        await leaving.close()


def moderator_class() -> type[Moderator]:
    """
    Return the class that ``MODERATOR`` names.

    :raises ImportError: if there is no such class, or it is no moderator
    """
    found = MODERATORS.get(settings.MODERATOR) or import_string(settings.MODERATOR)
    if not (isinstance(found, type) and issubclass(found, Moderator)):
        raise ImportError(f"{settings.MODERATOR} is no ai.moderation.Moderator")
    return found


async def look_at(payload: Mapping[str, Any]) -> None:
    """
    Let ``payload`` pass, or not.

    :raises ContentRefused: if the moderator refuses it
    :raises ValidationFailed: if it is asked in tokens, which nobody reads
    :raises ModerationUnavailable: if nobody could look, unless ``MODERATION_FAILS_OPEN``
    """
    if _current is None:
        return
    for name in ("prompt", "input"):
        if _has_tokens(payload.get(name)):
            raise invalid(
                f"body.{name}", "Send text: what is asked is looked at here, and tokens are not read.", "tokens"
            )
    try:
        async with asyncio.timeout(settings.MODERATION_TIMEOUT):
            categories = await _current.refused_for(pieces_of(payload))
    except Exception as error:  # whatever hinders it, nobody has looked
        logger.warning("Nobody could look at a request: %s", type(error).__name__)
        if settings.MODERATION_FAILS_OPEN:
            return
        raise ModerationUnavailable(headers={"Retry-After": "5"}) from error
    if categories:
        raise ContentRefused(categories=sorted(categories))


def pieces_of(payload: Mapping[str, Any]) -> list[str]:
    """Return the words of ``payload`` in their order, in pieces that can be looked at each."""
    words = "\n".join(_words(payload))
    last = max(len(words) - OVERLAP, min(1, len(words)))
    return [words[first : first + PIECE] for first in range(0, last, PIECE - OVERLAP)]


def _words(payload: Mapping[str, Any]) -> Iterator[str]:
    rest: list[Any] = [payload]
    while rest:
        node = rest.pop()
        if isinstance(node, str):
            if node:
                yield node
        elif isinstance(node, Mapping):
            rest += reversed([value for name, value in node.items() if _is_read(name, value, node)])
        elif isinstance(node, list):
            rest += reversed(node)


def _is_read(name: str, value: Any, node: Mapping[str, Any]) -> bool:
    """Whether there may be words in a value: data are some in a document of text, a format if it is a schema."""
    if name == "data":
        return node.get("type") == "text"
    return isinstance(value, Mapping) if name == "format" else name not in NOT_WORDS


def _has_tokens(asked: Any) -> bool:
    """Whether a prompt, or one of several, is a list of numbers."""
    if not isinstance(asked, list):
        return False
    return any(isinstance(each, int) or (isinstance(each, list) and _has_tokens(each)) for each in asked)
