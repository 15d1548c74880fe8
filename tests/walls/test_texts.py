"""Text of every kind in every field: kept as it was sent, or written in the one documented way, and found again."""

import json
import unicodedata
from functools import partial
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.directory import keep_team
from accounts.models import Customer
from accounts.texts import plain
from tests.walls.test_input import ADMINISTRATORS, TELLING, client_of, send
from tests.walls.world import CALLERS, World, build, switch_sign_in_on, undone

pytestmark = pytest.mark.usefixtures("one_database")

#: What each becomes; None where it stays the same.
TEXTS = {
    "a\u200bb\u2060c\ufeff\u00add": "abcd",
    "\u202eevil\u202c مرحبا \u2067x\u2069": "evil مرحبا x",
    "Cafe\u0301 Z\u0351\u036b\u0313": "Café Z\u0351\u036b\u0313",
    "👩\u200d👩\u200d👧 🏳\ufe0f 🇪🇺 𝒜𐍈": "👩👩👧 🏳\ufe0f 🇪🇺 𝒜𐍈",
    " k\tl\r\nm\x07n\x1b[31m\x7f\x85\u2028o ": "klmn[31mo",
    "'; DROP TABLE accounts_user; --\" OR 1=1": None,
    "100%_\\%' *?[a] ^(x)+$ .": None,
    "<script>alert('x')</script>&amp;<b>": None,
    "{{7*7}} ${7*7} {% x %} #{1} $(id) `id`": None,
    "%s%n%(x)d {0} {name!r} ../..\\..": None,
    "=1+1;@SUM(A1) +2 -3 |cmd": None,
    "İıßΣς ﬁ ½ Ⅷ\u00a0\u3000x": None,
    "null": None,
    "0x1F 1e3 NaN": None,
}
#: Fields that are asked for where another is given.
TOGETHER = {"body.user_id", "body.reference", "body.credits"}
KEPT = {sent: sent if kept is None else kept for sent, kept in TEXTS.items()}


@pytest.fixture
def world(db: None, settings: Settings) -> World:
    switch_sign_in_on(settings)
    return build()


@given(st.text())
def test_what_is_plain_stays_so(text: str) -> None:
    once = plain(text)

    assert plain(once) == once == unicodedata.normalize("NFC", once)


def texts_of_bodies() -> dict[str, list[str]]:
    """The fields of each body that take any text, by route."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = body.get("$ref", "").rpartition("/")[2]
            properties = document["components"]["schemas"].get(name, {}).get("properties", {})
            found[f"{method.upper()} {path}"] = [
                field
                for field, schema in properties.items()
                if schema.get("type") in ("string", ["string", "null"])
                and not {"enum", "format", "pattern"} & {*schema}
            ]
    return found


def told_by(response: Any) -> dict[str, Any]:
    """What is told of the thing, which may be within an object of its name."""
    body = response.json() if response.content else {}
    return body | {name: value for each in body.values() if isinstance(each, dict) for name, value in each.items()}


def test_every_field_keeps_text_or_says_what_is_wrong_with_it(world: World) -> None:
    fields, kept = texts_of_bodies(), set()
    for door in TELLING + ADMINISTRATORS:
        client, path = client_of(door, world), door.path(door.names_of(world))
        good = door.body(world) if door.body else {}
        for field in fields[door.route]:
            for sent, expected in KEPT.items():
                body = json.dumps({**good, field: sent}).encode()
                response = undone(partial(send, client, door, path, body))
                asked = (door.route, field, sent, response.status_code, response.content[:300])
                assert response.status_code < 500 or response.status_code == door.status, asked
                if response.status_code == 400:
                    named = {each["field"] for each in response.json()["details"]}
                    assert named <= {"body", f"body.{field}", *TOGETHER}, asked
                elif response.status_code < 300 and field in (told := told_by(response)):
                    assert told[field] == expected, asked
                    kept.add((door.route, field))

    assert {("POST /api/keys", "name"), ("PATCH /api/me", "name"), ("POST /api/customers", "name")} <= kept
    assert len(kept) >= 7, kept


def found(client: Any, path: str, parameter: str, text: str, field: str) -> list[str]:
    [rows] = [rows for rows in client.get(path, {parameter: text}).json().values() if isinstance(rows, list)]
    return sorted(row[field] for row in rows)


def test_every_search_finds_what_was_named_so_and_nothing_else(world: World) -> None:
    owner, administrator = CALLERS["OWNER"](world), CALLERS["administrator"](world)
    for text in TEXTS:
        assert owner.post("/api/keys", {"name": text}).status_code == 201

    for text, expected in KEPT.items():
        owner.patch("/api/me", {"name": text})

        assert found(owner, "/api/keys", "search", text, "name") == [expected], text
        assert expected in found(administrator, "/api/admin/users", "search", text, "name"), text
        assert administrator.get("/api/admin/credits", {"search": text}).status_code == 200
        assert administrator.get("/api/admin/usage", {"q": text}).status_code == 200
        assert administrator.get("/api/admin/users/invitations", {"search": text}).status_code == 200


def test_notes_on_keys_come_back_as_they_are_kept(world: World) -> None:
    owner = CALLERS["OWNER"](world)
    for text, expected in KEPT.items():
        made = owner.post("/api/keys", {"name": "x", "metadata": {"note": text}})

        assert (made.status_code, made.json()["metadata"]) == (201, {"note": expected}), text


def test_names_from_the_identity_provider_are_written_in_the_same_way(world: World, now: Any) -> None:
    for text, expected in KEPT.items():
        keep_team("org_2abcdefghijk", name=text, updated_at=now)

        assert Customer.objects.get(external_id="org_2abcdefghijk").name == expected
