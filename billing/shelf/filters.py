"""Which models of a list are asked for: OpenRouter's query parameters, as far as a catalogue can answer them. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Entry = Mapping[str, Any]

MODALITIES = frozenset({
    "audio", "decisions", "embeddings", "file", "image", "rerank", "speech", "text", "transcription", "video",
})  # fmt: skip
ALL = "all"
MOST_AT_ONCE = 1000
FARTHEST, LONGEST_CONTEXT = 10**9, 10**11
DOLLARS = r"\d{1,12}(\.\d{1,12})?"
MILLION = 10**6
#: What OpenRouter can answer from more than a list of models.
NOT_ANSWERED = frozenset({
    "arch", "category", "distillable", "providers", "region", "use_rss", "use_rss_chat_links", "zdr",
})  # fmt: skip


class BadFilter(ValueError):
    """A parameter that makes no sense, or that a catalogue cannot answer. ``name`` is the parameter's."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def price_of(entry: Entry, name: str) -> Decimal:
    """The price ``name`` of an entry, in US dollars; of what is none, or depends on what is chosen, infinite."""
    pricing = entry.get("pricing")
    try:
        price = Decimal(str(pricing[name] if isinstance(pricing, Mapping) else None))
    except (InvalidOperation, KeyError):
        return Decimal("Infinity")
    return price if price.is_finite() and price >= 0 else Decimal("Infinity")


def _average(entry: Entry) -> Decimal:
    return price_of(entry, "prompt") + price_of(entry, "completion")


def _count(entry: Entry, name: str) -> int:
    value = entry.get(name)
    return value if isinstance(value, int) else 0


#: How a list is sorted, and whether from the highest down. Models without a price come last, either way.
SORTS: Mapping[str, Callable[[Entry], Any]] = {
    "pricing-low-to-high": _average,
    "pricing-high-to-low": lambda entry: (not _average(entry).is_finite(), -_average(entry)),
    "context-high-to-low": lambda entry: -_count(entry, "context_length"),
    "newest": lambda entry: -_count(entry, "created"),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What of a list is asked for; ``outputs`` of None is every model, and none at all those of text alone."""

    outputs: frozenset[str] | None = frozenset()
    inputs: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    text: str = ""
    context: int = 0
    lowest: Decimal = Decimal(0)
    highest: Decimal = Decimal("Infinity")
    sort: str = ""
    offset: int = 0
    limit: int | None = None

    def apply(self, entries: Sequence[Entry]) -> tuple[list[Entry], int]:
        """Return the page that is asked for, and how many match on all of them."""
        matching = [entry for entry in entries if self.matches(entry)]
        if self.sort:
            matching.sort(key=SORTS[self.sort])
        end = None if self.limit is None else self.offset + self.limit
        return matching[self.offset : end], len(matching)

    def matches(self, entry: Entry) -> bool:
        architecture = entry.get("architecture")
        architecture = architecture if isinstance(architecture, Mapping) else {}
        outputs = set(architecture.get("output_modalities") or ["text"])
        price = price_of(entry, "prompt") * MILLION
        name = f"{entry.get('id', '')} {entry.get('name', '')}".casefold()
        return (
            (self.outputs is None or (bool(self.outputs & outputs) if self.outputs else outputs == {"text"}))
            and self.inputs <= set(architecture.get("input_modalities") or ["text"])
            and self.parameters <= set(entry.get("supported_parameters") or ())
            and (not self.authors or str(entry.get("id", "")).partition("/")[0].casefold() in self.authors)
            and self.text.casefold() in name
            and self.context <= _count(entry, "context_length")
            and self.lowest <= price <= self.highest
        )


def read(query: Mapping[str, str]) -> Filters:
    """
    Read the query of a list of models. What OpenRouter does not know either is passed over.

    :raises BadFilter: naming the parameter
    """
    for name in sorted(NOT_ANSWERED.intersection(query)):
        raise BadFilter(name, f"The catalogue here does not know this: leave {name} out.")
    outputs = _words(query, "output_modalities", MODALITIES | {ALL})
    sort = query.get("sort", "")
    if "sort" in query and sort not in SORTS:
        raise BadFilter("sort", f"Choose one of {', '.join(SORTS)}.")
    return Filters(
        outputs=None if ALL in outputs else outputs,
        inputs=_words(query, "input_modalities", MODALITIES),
        parameters=_words(query, "supported_parameters"),
        authors=frozenset(author.casefold() for author in _words(query, "model_authors")),
        text=query.get("q", ""),
        context=_number(query, "context", 0, LONGEST_CONTEXT),
        lowest=_price(query, "min_price", Decimal(0)),
        highest=_price(query, "max_price", Decimal("Infinity")),
        sort=sort,
        offset=_number(query, "offset", 0, FARTHEST),
        limit=_number(query, "limit", 1, MOST_AT_ONCE) if "limit" in query else None,
    )


def _words(query: Mapping[str, str], name: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
    if name not in query:
        return frozenset()
    words = frozenset(query[name].split(","))
    if "" in words or (known and not words <= known):
        choices = f"of {', '.join(sorted(known))}, " if known else ""
        raise BadFilter(name, f"Name one or several {choices}with commas between them.")
    return words


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = query.get(name, "0")
    if name in query and not (text.isascii() and text.isdecimal() and len(text) <= 12 and least <= int(text) <= most):
        raise BadFilter(name, f"A whole number from {least} to {most}.")
    return int(text)


def _price(query: Mapping[str, str], name: str, default: Decimal) -> Decimal:
    if name not in query:
        return default
    if not re.fullmatch(DOLLARS, query[name], re.ASCII):
        raise BadFilter(name, "US dollars for a million tokens of a prompt, such as 0.5.")
    return Decimal(query[name])
