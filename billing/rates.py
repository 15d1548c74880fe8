"""
What a provider asks for a model, read from its catalogue: pure, exact, and never less than what may be billed.

Amounts are femtodollars, 10⁻¹⁵ US dollars, rounded up: a token of the cheapest model costs some millions of them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import ROUND_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

FEMTO = 10**15
#: No price of a token, an image or a request is believed above this.
DEAREST_DOLLARS = 1000
EXACT = Context(prec=60, traps=[InvalidOperation])
#: Models that search the web by themselves, and pay for it.
SEARCHES = ("perplexity/", "search", "sonar", "deep-research")

Listing = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rates:
    """
    The dearest that a model, or several, may cost in a call.

    ``prompt``, ``completion``, ``request`` and ``image`` are prices as they are listed: the provider is told not to
    take one who asks more. ``input`` and ``output`` are what a token can cost either way, with what is written to
    a cache, reasoned or drawn; holds are computed from these. ``context`` and ``longest`` are tokens.
    """

    prompt: int
    completion: int
    input: int
    output: int
    request: int
    image: int
    context: int
    longest: int
    reads_files: bool = False

    @property
    def are_free(self) -> bool:
        return not (self.input or self.output or self.request or self.image)


def dearest(several: Iterable[Rates]) -> Rates:
    """Return rates that are no lower than any of ``several``."""
    first, *others = several
    if not others:
        return first
    all_ = (first, *others)
    return Rates(
        prompt=max(each.prompt for each in all_),
        completion=max(each.completion for each in all_),
        input=max(each.input for each in all_),
        output=max(each.output for each in all_),
        request=max(each.request for each in all_),
        image=max(each.image for each in all_),
        context=max(each.context for each in all_),
        longest=max(each.longest for each in all_),
        reads_files=all(each.reads_files for each in all_),
    )


def rates_of(
    listing: str, *, prompt_tokens: int, has_audio: bool, caches_long: bool, now: datetime, until: datetime
) -> Rates | None:
    """
    Return what a call from ``now`` to ``until`` can cost at most, of a model with the entry ``listing`` (JSON).

    Prices for long prompts and for hours of the day count where they may apply. None if a price that is needed
    is missing, is no price, or depends on what the provider chooses.
    """
    entry = _parsed(listing)
    prices = _Prices(entry["pricing"], prompt_tokens, now, until)
    outputs = entry.get("output_modalities") or ["text"]
    try:
        prompt, completion = prices.of("prompt", needed=True), prices.of("completion", needed=True)
        inputs = [prompt, prices.of("input_cache_write")]
        if caches_long:
            inputs.append(prices.of("input_cache_write_1h"))
        if has_audio:
            inputs.append(prices.of("audio", needed=True))
        produced = [completion, prices.of("internal_reasoning")]
        produced += [prices.of(f"{kind}_output", needed=True) for kind in ("image", "audio") if kind in outputs]
        searches = any(word in entry["id"] for word in SEARCHES)
        request = prices.of("request") + (prices.of("web_search") if searches else 0)
        image = prices.of("image")
    except InvalidOperation:
        return None
    context = entry.get("context_length") or 0
    longest = entry.get("max_completion_tokens") or context
    if context <= 0 or longest <= 0:
        return None
    reads_files = "file" in (entry.get("input_modalities") or [])
    return Rates(prompt, completion, max(inputs), max(produced), request, image, context, longest, reads_files)


def femtos(text: object) -> int:
    """
    Return a price in US dollars, as text, in femtodollars, rounded up.

    :raises InvalidOperation: if it is no number from 0 to ``DEAREST_DOLLARS``
    """
    price = Decimal(str(text))
    if not price.is_finite() or not 0 <= price <= DEAREST_DOLLARS:
        raise InvalidOperation
    return int(price.scaleb(15, EXACT).to_integral_value(ROUND_UP))


class _Prices:
    """The base prices of an entry with the overrides that may apply. Later overrides win, where they surely apply."""

    def __init__(self, base: Listing, prompt_tokens: int, now: datetime, until: datetime) -> None:
        self._base = base
        overrides = base.get("overrides")
        self._overrides = [
            (override, certain)
            for override in (overrides if isinstance(overrides, list) else [])
            if isinstance(override, Mapping) and (certain := _applies(override, prompt_tokens, now, until)) is not False
        ]

    def of(self, name: str, *, needed: bool = False) -> int:
        """
        Return the dearest price of ``name``; 0 if none is listed and none is ``needed``.

        :raises InvalidOperation: if what is listed is no price, or what is needed is not listed
        """
        listed = self._base.get(name)
        if listed is None and needed:
            raise InvalidOperation
        possible = {femtos(listed)} if listed is not None else {0}
        for override, certain in self._overrides:
            price = override.get(name)
            if price is not None:
                possible = {femtos(price)} if certain else possible | {femtos(price)}
        return max(possible)


def _applies(override: Listing, prompt_tokens: int, now: datetime, until: datetime) -> bool | None:
    """Whether an override applies: surely not, surely (True), or perhaps (None)."""
    certain = True
    least = override.get("min_prompt_tokens")
    if least is not None:
        if isinstance(least, int) and prompt_tokens < least:
            return False
        certain = False  # a bound of a prompt is not its length
    start, end = override.get("utc_start"), override.get("utc_end")
    if start is not None or end is not None:
        in_window = _in_window(start, end, now, until)
        if in_window is False:
            return False
        certain = certain and in_window is True
    return True if certain else None


def _in_window(start: object, end: object, now: datetime, until: datetime) -> bool | None:
    """Whether from ``now`` to ``until`` it is between two times of the day: throughout, never, or neither (None)."""
    opens, closes = _time(start), _time(end)
    if opens is None or closes is None or (until - now).total_seconds() >= 86_400:
        return None
    first, last = now.astimezone(UTC).time(), until.astimezone(UTC).time()

    def is_in(at: time) -> bool:
        return opens <= at < closes if opens <= closes else at >= opens or at < closes

    crosses = any(_is_between(first, edge, last) for edge in (opens, closes))
    if crosses:
        return None
    return is_in(first)


def _is_between(first: time, edge: time, last: time) -> bool:
    return first < edge <= last if first <= last else edge > first or edge <= last


def _time(text: object) -> time | None:
    try:
        return time.fromisoformat(str(text).removesuffix("Z"))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _parsed(listing: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(listing, parse_float=str)
    return entry
