"""Bodies that the gateway reads: JSON that two readers cannot read in two ways."""

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.errors import MalformedJson, UnsupportedMedia
from accounts.parsers import parse_json
from ai.http import has_a_key_twice, read_json

pytestmark = pytest.mark.usefixtures("one_database")


class Pairs(list[tuple[str, Any]]):
    """An object."""


#: Texts with what a colon can be taken for, or hide behind.
TEXTS = st.text(st.sampled_from(':\\"u03aA{}, é\n')) | st.sampled_from(["\\u003a", '":', "\\\\u003a"])
#: Objects as lists of pairs, so that a key may come twice.
VALUES: Any = st.recursive(
    TEXTS | st.integers(-9, 9) | st.none() | st.booleans(),
    lambda below: st.lists(below, max_size=3) | st.lists(st.tuples(TEXTS, below), max_size=3).map(Pairs),
    max_leaves=12,
)


def written(value: Any, escapes: list[bool]) -> str:
    """``value`` as JSON, with each colon of a text in one of its two ways."""
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{written(k, escapes)} : {written(v, escapes)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(each, escapes) for each in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    parts = json.dumps(value).split(":")
    text = parts[0]
    for part in parts[1:]:
        is_escaped = bool(escapes) and escapes.pop()
        text += ("\\u003A" if is_escaped else ":") + part
    return text


def comes_twice(value: Any) -> bool:
    if isinstance(value, Pairs):
        return len({key for key, _ in value}) < len(value) or any(comes_twice(each) for _, each in value)
    return isinstance(value, list) and any(map(comes_twice, value))


@given(VALUES, st.lists(st.booleans(), max_size=20))
@example(Pairs([("a", 1), ("a", ":")]), [True])
@example(Pairs([("a", "\\u003a"), ("b", "\\\\u003a:")]), [])
def test_a_key_that_comes_twice_is_found_and_nothing_else(value: Any, escapes: list[bool]) -> None:
    body = written(value, [*escapes]).encode()

    assert has_a_key_twice(body, orjson.loads(body)) == comes_twice(value), body


async def read(body: bytes, **headers: str) -> dict[str, Any]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await read_json({"content-length": str(len(body)), **named}, receive)


def reading(body: bytes, **headers: str) -> dict[str, Any]:
    return asyncio.run(read(body, **headers))


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'{"b":[{"a":1, "\\u0061" :2}]}', b'{"":1,"":{":":"\\u003a"}}'])
def test_a_key_that_comes_twice_is_refused_as_the_rest_api_does(body: bytes) -> None:
    refusals = []
    for reader in (reading, parse_json):
        with pytest.raises(MalformedJson) as refusal:
            reader(body)
        refusals.append(refusal.value.message)

    assert refusals == ["The body has the same key twice in one object."] * 2


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", None]
)
def test_json_is_read_and_so_is_what_has_no_type(kind: str | None) -> None:
    assert reading(b'{"a": 1}', **({} if kind is None else {"content_type": kind})) == {"a": 1}


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/json; charset=utf-7",
        "application/json; charset=",
        "application/json,text/plain",
        "application/jsonx",
        "application/xml+json",
    ],
)
def test_what_says_that_it_is_something_else_is_refused_unread(kind: str) -> None:
    async def unread() -> dict[str, Any]:
        raise AssertionError("the body was read")

    with pytest.raises(UnsupportedMedia):
        asyncio.run(read_json({"content-type": kind}, unread))
