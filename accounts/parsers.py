"""JSON from outside, read so that no other reader of the same bytes can read them differently."""

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from django.utils.http import parse_header_parameters
from rest_framework import parsers

from accounts.errors import MalformedJson, UnsupportedMedia

MAX_DEPTH = 64
MAX_NUMBER_LENGTH = 40


def parse_json(body: bytes) -> Any:
    """
    Return the value of ``body``, numbers with a fraction as ``Decimal``.

    Refused is whatever two readers could read in two ways or a database cannot keep: a key
    twice in one object, NUL and lone surrogates, NaN and Infinity, numbers without bounds,
    more than 64 levels.

    :raises MalformedJson: naming the reason
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_bounded_decimal,
        )
    except UnicodeDecodeError:
        raise MalformedJson("The body is not valid UTF-8.") from None
    except RecursionError:
        raise MalformedJson(f"The body has more than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(f"The body is not valid JSON: {error.msg} at character {error.pos}.") from None
    _check_text_and_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise MalformedJson("The body has the same key twice in one object.")
    return value


def _refuse_constant(name: str) -> None:
    raise MalformedJson(f"{name} is not a JSON number.")


def _bounded_int(text: str) -> int:
    if len(text) > MAX_NUMBER_LENGTH:
        raise MalformedJson(f"The body has a number of more than {MAX_NUMBER_LENGTH} characters.")
    return int(text)


def _bounded_decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise MalformedJson(f"The body has a number of more than {MAX_NUMBER_LENGTH} characters.")
    if not math.isfinite(float(text)):
        raise MalformedJson("The body has a number that is too large.")
    return Decimal(text)


def _check_text_and_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not is_storable(item):
                raise MalformedJson("The body has text with a NUL character or half of a surrogate pair.")
        depth += any(isinstance(item, dict | list) for item in level)
        if depth > MAX_DEPTH:
            raise MalformedJson(f"The body has more than {MAX_DEPTH} levels.")
        level = below


def is_storable(text: str) -> bool:
    """Whether every database and every client can keep ``text``: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class JSONParser(parsers.JSONParser):
    """``parse_json`` for bodies in UTF-8 that are not compressed. Django bounds their length."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        charset = parse_header_parameters(media_type or "")[1].get("charset", "utf-8")
        encoding = parser_context["request"].META.get("HTTP_CONTENT_ENCODING", "") if parser_context else ""
        if charset.lower() not in {"utf-8", "utf8"} or encoding.lower() not in {"", "identity"}:
            raise UnsupportedMedia
        return parse_json(stream.read())
