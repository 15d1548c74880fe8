"""
What the gateway asks of a provider, and what it gets back.

A provider is one file beside this one and one line in ``ai.providers``. Its words and
statuses end in its file: what leaves it are the types here and the errors of ``ai.errors``.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from ai.errors import ProviderGarbled
from ai.providers.health import Health

MAX_COST = Decimal(10_000)
MOST_PLACES = 34
MAX_TOKENS = 10**12


class CostReport(StrEnum):
    """What a provider said about the cost of a generation. Only the first two are amounts to settle by."""

    REPORTED = "REPORTED"
    ZERO = "ZERO"
    ABSENT = "ABSENT"
    NEGATIVE = "NEGATIVE"
    NOT_FINITE = "NOT_FINITE"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    OUT_OF_RANGE = "OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What a provider says a generation used. None: not reported, or not believable.

    ``cost`` is in US dollars, exactly as reported, and set only where it can be settled
    by: a finite number from 0 to ``MAX_COST``. ``cost_report`` tells why it is not, and
    tells a cost of zero, which is right for a free model or an empty answer only.
    """

    cost: Decimal | None = None
    cost_report: CostReport = CostReport.ABSENT
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """The provider's own, final record of a generation; ``cancelled`` when we hung up on it."""

    id: str
    usage: Usage
    cancelled: bool
    finish_reason: str

    @property
    def model(self) -> str:
        return self.usage.model


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one generation, as ``data:`` or ``https:`` URLs; may be none."""

    urls: list[str]
    usage: Usage | None
    generation_id: str


class Answer(ABC):
    """
    A provider's open answer of status 200. Whoever has it closes it: ``async with aclosing(answer)``.

    ``generation_id`` is empty where the provider did not send one with the headers.
    """

    content_type: str
    generation_id: str

    @property
    @abstractmethod
    def has_arrived(self) -> bool:
        """Whether the whole body came together with the headers, so that ``read`` will not wait."""

    @abstractmethod
    async def read(self, limit: int) -> bytes:
        """
        Return the whole body.

        :raises ProviderGarbled: if it is longer than ``limit`` bytes
        :raises ProviderBrokeOff: if the connection ends before it is whole
        :raises ProviderTimeout: if the provider goes silent, or takes too long in all
        """

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive, split anywhere. Raises as ``read``, without a limit."""

    @abstractmethod
    async def aclose(self) -> None:
        """
        Give the connection back, or abort it when the body was not read to its end.

        Aborting tells the provider to stop, and ends a ``read`` or ``chunks`` that waits in another
        task with ``ProviderBrokeOff``. Safe to call twice.
        """


class Provider(ABC):
    """
    One provider, with the operator's key. ``start`` and ``close`` belong to the event loop
    that calls ``open`` and ``images``; the other calls block and need neither.

    Every call raises the errors of ``ai.errors``, and none is repeated here: one call, one
    generation at most.
    """

    name: str
    #: Of one of several keys: what it is called where it is told of, its share of the calls, and whether it is well.
    label: str = ""
    weight: int = 1
    health: Health | None = None

    def choose(self, tried: Collection["Provider"] = ()) -> "Provider":
        """Return who makes the next attempt of a call, rather none of ``tried``: itself, where there is one key."""
        return self

    @abstractmethod
    async def start(self) -> None:
        """Open the connection pool on the running loop."""

    @abstractmethod
    async def close(self) -> None:
        """Close the pool and what is still open in it."""

    @abstractmethod
    async def open(self, path: str, body: bytes) -> Answer:
        """
        POST the JSON ``body`` to ``path`` (such as ``chat/completions``) and return the answer once it has headers.

        ``path`` is one of the gateway's own, never the client's text.

        :raises ProviderError: or a subclass, for any status but 200, a timeout or a failed connection
        """

    @abstractmethod
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
        """
        Ask ``model`` once for images of ``prompt``; ``references`` are URLs of images to work from, and
        ``aspect_ratio`` is the shape, such as 16:9, for models that know shapes.

        :raises ProviderError: or a subclass, as ``open``, also for an error inside an answer of status 200
        """

    def bills_whole(self, upstream: str) -> bool:
        """
        Whether a stream that is aborted is billed to its end all the same.

        ``upstream`` is who runs the model behind this provider, as the stream's events name it; may be empty.
        """
        return False

    @abstractmethod
    def generation(self, generation_id: str) -> Generation | None:
        """Return the provider's record of a generation, or None while it has none."""

    @abstractmethod
    def models(self, **filters: str) -> list[dict[str, Any]]:
        """Return the provider's catalogue. ``filters`` are its own, such as ``output_modalities="image"``."""


def parse_exact(text: bytes | str) -> Any:
    """
    Parse JSON without a float: fractions and exponents become ``Decimal``, exactly.

    :raises ValueError: if it is not JSON
    """
    try:
        return EXACT.decode(text if isinstance(text, str) else text.decode())
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def read_answer(body: bytes) -> dict[str, Any]:
    """
    Return the JSON object in ``body``.

    :raises ProviderGarbled: if there is none
    """
    try:
        answer = parse_exact(body)
    except ValueError as error:
        raise ProviderGarbled() from error
    if not isinstance(answer, dict):
        raise ProviderGarbled()
    return answer


def read_usage(event: Mapping[str, Any]) -> Usage | None:
    """
    Return the usage that an answer or the last event of a stream carries, or None if it carries none.

    ``event`` is the whole object, parsed by ``parse_exact``.
    """
    usage = event.get("usage")
    if not isinstance(usage, Mapping):
        return None
    cost, cost_report = read_cost(usage.get("cost"))
    return Usage(
        cost=cost,
        cost_report=cost_report,
        prompt_tokens=read_count(usage.get("prompt_tokens")),
        completion_tokens=read_count(usage.get("completion_tokens")),
        cached_tokens=read_count(part_of(usage, "prompt_tokens_details").get("cached_tokens")),
        reasoning_tokens=read_count(part_of(usage, "completion_tokens_details").get("reasoning_tokens")),
        model=read_text(event.get("model")),
    )


def read_cost(value: object) -> tuple[Decimal | None, CostReport]:
    """Judge a cost as ``parse_exact`` returns it. The first is None unless it can be settled by."""
    if value is None:
        return None, CostReport.ABSENT
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None, CostReport.NOT_A_NUMBER
    cost = Decimal(value)
    if not cost.is_finite():
        return None, CostReport.NOT_FINITE
    if cost < 0:
        return None, CostReport.NEGATIVE
    if cost > MAX_COST or int(cost.as_tuple().exponent) < -MOST_PLACES:  # written out it would be of any length
        return None, CostReport.OUT_OF_RANGE
    return cost, CostReport.REPORTED if cost else CostReport.ZERO


def read_count(value: object) -> int | None:
    """Return a number of tokens, or None if it is not reported or not believable."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS else None


def read_text(value: object, limit: int = 200) -> str:
    """Return ``value`` if it is text, cut to ``limit`` characters and without what databases refuse."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "ignore").decode()[:limit]


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal can hold
        return Decimal("NaN")


EXACT = json.JSONDecoder(parse_float=_decimal, parse_constant=Decimal)


def part_of(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the details in a usage that have this name; nothing where there are none."""
    part = usage.get(name)
    return part if isinstance(part, Mapping) else {}
