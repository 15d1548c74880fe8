"""Whatever a body, a parameter or a path holds: a clear refusal that names what is wrong, never a failure."""

import gzip
import json
import re
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings

from accounts.models import ApiKey
from tests.walls.doors import DOORS, Door
from tests.walls.test_walls import area
from tests.walls.world import World, build, switch_sign_in_on, undone

LIMIT = 1024 * 1024
BOMB = gzip.compress(b'{"a":"' + b" " * LIMIT * 10 + b'"}')
JSON = "application/json"

#: What no reader should have to guess at.
MALFORMED = {
    "white space": b" \n",
    "half": b'{"name": "a"',
    "trailing data": b"{} {}",
    "5,000 lists": b"[" * 5_000 + b"]" * 5_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "a key twice": b'{"name": "a", "name": "b"}',
    "a key twice, below": b'{"a": [{"b": 1, "b": 1}]}',
    "a key twice, escaped": b'{"name": "a", "n\\u0061me": "b"}',
    "NUL": b'{"name": "a\\u0000b"}',
    "NUL in a key": b'{"na\\u0000me": 1}',
    "raw NUL": b'{"name": "a\0b"}',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "half a surrogate pair in a key": b'{"\\udc00": 1}',
    "surrogates in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "1e400": b'{"a": 1e400}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "UTF-32": '{"name": "a"}'.encode("utf-32"),
    "Latin-1": '{"name": "é"}'.encode("latin-1"),
    "a single quote": b"{'name': 'a'}",
    "a comment": b"{} // no",
    "a comma too many": b'{"a": 1,}',
}
#: JSON, and no object.
NO_OBJECT = {"a list": b"[]", "a number": b"1", "a text": b'"a"', "true": b"true", "null": b"null"}
UNSUPPORTED = [
    *({"content_type": f"{JSON}; charset={charset}"} for charset in ("utf-7", "utf-16", "unicode_escape", "idna", "x")),
    *({"content_type": kind} for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml")),
    {"content_type": "multipart/form-data; boundary=a"},
    {"content_type": ""},
    *(
        {"content_type": JSON, "headers": {"content-encoding": name}}
        for name in ("gzip", "deflate", "br", "gzip, gzip")
    ),
]
#: For every field that a body may have.
VALUES = ["\u202e\u200b", "a" * 70_000, -(2**63), 1.5, None, [[]], {"a": {}}]

#: What an installation answers that takes no payments, or knows no Clerk.
NOT_SET_UP = re.compile(r"PAYMENTS_NOT_TAKEN|\w+_NOT_CONFIGURED")

PARAMETERS = [
    "%00", "", "-1", "9" * 5_000, "%D9%A3", "2026-02-30", "0000-01-01", "9999-12-31T23:59:59-14:00", "%F0%9F%92%A9",
]  # fmt: skip
IDS = ["0", "-1", "00", "1.0", "%D9%A3", "9" * 30, "a", "%00", "1%00", "a" * 5_000, "%FF", "..%2f1", "1%20", "{}"]

#: Asked for by a member, with what we read.
TELLING = [door for door in DOORS if door.body and not door.who.everybody and not door.who.administrators]
ADMINISTRATORS = [door for door in DOORS if door.body and door.who.administrators]
READING = [
    door for door in DOORS if door.method == "GET" and door.template.startswith("/api/") and not door.who.everybody
]
NAMED = [door for door in DOORS if door.ids]


def by_area(doors: list[Door]) -> Any:
    grouped = [[*found] for _, found in groupby(sorted(doors, key=area), area)]
    return pytest.mark.parametrize("doors", grouped, ids=lambda found: area(found[0]))


@pytest.fixture
def world(db: None, settings: Settings) -> World:
    switch_sign_in_on(settings)
    return build()


def client_of(door: Door, world: World) -> Any:
    """Who may do the most: the owner, and the administrator where only they may."""
    from tests.walls.world import CALLERS  # noqa: PLC0415  (a table of functions, not of tests)

    return CALLERS["administrator" if door.who.administrators else "OWNER"](world)


def send(client: Any, door: Door, path: str, body: bytes, **more: Any) -> Any:
    headers = {"idempotency-key": "k", **more.pop("headers", {})} if door.is_idempotent else more.pop("headers", {})
    options = {"content_type": JSON, **more}
    return client.generic(door.method, path, body, headers=headers, **options)


def told(response: Any) -> tuple[int, str]:
    if response.status_code < 400:
        return response.status_code, "accepted"
    body = response.json()
    assert {"error", "code", "message", "requestId"} <= body.keys(), body
    assert body["message"], body
    return response.status_code, body["code"]


@by_area(TELLING + ADMINISTRATORS)
def test_a_hostile_body_is_refused_by_name(doors: list[Door], one_database: None, world: World) -> None:
    answers = {}
    for door in doors:
        client, path = client_of(door, world), door.path(door.names_of(world))
        for name, body in MALFORMED.items():
            answers[door.route, name] = told(send(client, door, path, body))
        answers[door.route, "too long"] = told(send(client, door, path, b" " * (LIMIT + 1)))

    longest = {(door.route, "too long"): (413, "REQUEST_BODY_TOO_LARGE") for door in doors}
    assert answers == dict.fromkeys(answers, (400, "MALFORMED_JSON")) | longest


@by_area(TELLING + ADMINISTRATORS)
def test_what_is_no_object_is_refused_by_name(doors: list[Door], one_database: None, world: World) -> None:
    answers = {}
    for door in doors:
        client, path = client_of(door, world), door.path(door.names_of(world))
        for name, body in NO_OBJECT.items():
            response = send(client, door, path, body)
            answers[door.route, name] = (*told(response), [each["field"] for each in response.json()["details"]])

    assert answers == {asked: (400, "VALIDATION_ERROR", ["body"]) for asked in answers}


@by_area(TELLING + ADMINISTRATORS)
def test_what_is_not_json_in_utf_8_is_refused_unread(doors: list[Door], one_database: None, world: World) -> None:
    answers = {}
    for door in doors:
        client, path = client_of(door, world), door.path(door.names_of(world))
        for number, options in enumerate(UNSUPPORTED):
            answers[door.route, number] = told(
                send(client, door, path, BOMB if "headers" in options else b"{}", **options)
            )

    assert answers == dict.fromkeys(answers, (415, "UNSUPPORTED_MEDIA_TYPE"))


@pytest.fixture(scope="module")
def properties() -> dict[str, list[str]]:
    """The fields that each body may have, by route, as the OpenAPI document names them."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            asked = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
            name = asked.get("$ref", "").rpartition("/")[2]
            found[f"{method.upper()} {path}"] = [*document["components"]["schemas"].get(name, {}).get("properties", {})]
    return found


@by_area(TELLING + ADMINISTRATORS)
def test_a_hostile_value_is_refused_by_its_field(
    doors: list[Door], world: World, properties: dict[str, list[str]]
) -> None:
    for door in doors:
        assert properties[door.route] or door.route.endswith("/release"), door.route
        client, path, good = (
            client_of(door, world),
            door.path(door.names_of(world)),
            door.body(world) if door.body else {},
        )
        for name in properties[door.route]:
            for value in VALUES:
                body = json.dumps({**good, name: value}).encode()
                response = undone(partial(send, client, door, path, body))
                asked = (door.route, name, str(value)[:20], response.status_code, response.content[:500])
                assert response.status_code < 500 or NOT_SET_UP.fullmatch(response.json()["code"]), asked
                if response.status_code == 400:
                    fields = [each["field"] for each in response.json()["details"]]
                    assert all(
                        re.match(rf"body(\.{name}\b.*|\.user_id|\.reference|\.credits)?$", each) for each in fields
                    ), asked


# Parameters


def view_of(door: Door) -> Any:
    function: Any = resolve(door.path(dict.fromkeys(door.ids, 1)).partition("?")[0]).func
    return function.cls()


def with_query(path: str, query: str) -> str:
    """``path``, which may have a query already."""
    return f"{path}{'&' if '?' in path else '?'}{query}"


def parameters_of(door: Door) -> list[str]:
    """What the view that answers the door reads of a query."""
    view = view_of(door)
    view.request = type("Asked", (), {"method": door.method})()
    return sorted(view.known_query_parameters())


@by_area(READING)
def test_a_hostile_parameter_is_refused_by_name(doors: list[Door], world: World) -> None:
    read = set()
    for door in doors:
        client, path = client_of(door, world), door.path(door.names_of(world))
        for name in parameters_of(door):
            # What several routes read with one filter, one of them tells.
            rules = (getattr(view_of(door), "filter_class", None), name)
            values = PARAMETERS if rules not in read else PARAMETERS[:1]
            read.add(rules)
            for value in values:
                response = client.get(with_query(path, f"{name}={value}"))
                asked = (path, name, value[:30], response.status_code)
                assert response.status_code in (200, 400), asked
                if response.status_code == 400:
                    fields = {each["field"] for each in response.json()["details"]}
                    assert fields <= {f"query.{name}", "query.to", "query.from"}, (*asked, fields)
        for name in ("unknown", "page[]", "__class__", "%00", "%FF"):
            assert told(client.get(with_query(path, f"{name}=1"))) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("value", ["0", "-1", "%2B1", "01x", "1.0", "1e3", "9" * 19, "%D9%A3", "abc", "", "2147483648"])
def test_a_bad_page_is_refused_by_name(value: str, world: World) -> None:
    for door in READING:
        paging = {"page", "pageSize", "limit", "cursor"} & set(parameters_of(door))
        client, path = client_of(door, world), door.path(door.names_of(world))
        for name in paging - ({"cursor"} if value == "2147483648" else set()):
            response = client.get(with_query(path, f"{name}={value}"))

            assert (told(response), response.json()["details"][0]["field"]) == (
                (400, "VALIDATION_ERROR"),
                f"query.{name}",
            ), (path, name)


def test_an_inverted_period_is_refused_by_name(world: World) -> None:
    for door in READING:
        if {"from", "to"} <= set(parameters_of(door)):
            path = door.path(door.names_of(world))
            response = client_of(door, world).get(f"{path}?from=2026-02-02&to=2026-02-01")

            assert (door.route, *told(response)) == (door.route, 400, "VALIDATION_ERROR")
            assert response.json()["details"][0]["field"] == "query.to"


@by_area(NAMED)
def test_a_hostile_id_is_nobodys(doors: list[Door], world: World) -> None:
    for door in doors:
        client = client_of(door, world)
        for placeholder in door.ids:
            for value in IDS:
                response = send(client, door, door.path({**door.names_of(world), placeholder: value}), b"{}")

                assert response.status_code in (400, 404, 405), (door.route, value, response.status_code)
                assert response.json()["requestId"]


def test_headers_are_hostile_too(world: World, client: Client) -> None:
    names = ["authorization", "x-api-key", "x-user-id", "x-proxy-secret", "x-customer-id", "x-forwarded-for"]
    names += ["idempotency-key", "if-none-match", "if-modified-since", "accept", "x-request-id", "x-hold-id", "host"]
    values = [
        "",
        " ",
        "\0",
        "é",
        "\udcff",
        "a" * 20_000,
        "Bearer " + "." * 9_000,
        "Bearer \0",
        "9" * 5_000,
        "-1",
        '"',
        ",",
    ]
    owner = client_of(TELLING[0], world)

    statuses = {
        (name, value[:10]): each.get("/api/credits/me", headers={name: value}).status_code
        for each in (client, owner)
        for name in names
        for value in values
    }

    assert {asked: status for asked, status in statuses.items() if status >= 500} == {}


# Text that looks like other text


def test_a_name_is_kept_composed_and_found_however_it_is_written(world: World) -> None:
    client = client_of(TELLING[0], world)
    made = client.post("/api/keys", {"name": "Cafe\u0301\u200b \u202e1"})

    assert made.json()["name"] == "Café 1"
    assert ApiKey.objects.get(pk=made.json()["id"]).name == "Café 1"
    for written in ("Café", "Cafe\u0301", "caf"):
        found = client.get("/api/keys", {"search": written}).json()["keys"]
        assert [key["name"] for key in found] == ["Café 1"]
