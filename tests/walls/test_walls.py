"""No way from one customer to another: every route × everybody who could ask, and nothing that they could learn."""

import hmac
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django.views.generic import RedirectView
from pytest_django import Settings
from starlette.routing import Route

from accounts import keys
from accounts.models import ApiKey
from ai import gateway
from tests import factories
from tests.walls.doors import DOORS, GATEWAY_DOORS, Door, expected
from tests.walls.world import CALLERS, NOBODYS, REQUEST_ID, Caller, Side, World, build, switch_sign_in_on, undone

pytestmark = pytest.mark.usefixtures("one_database")

#: HTTP's own: answered by every view, and about nothing.
ABOUT = {"OPTIONS", "HEAD"}
WITH_IDS = [door for door in DOORS if door.ids]


@pytest.fixture
def world(db: None, settings: Settings) -> World:
    switch_sign_in_on(settings)
    return build()


def ask(caller: Caller, door: Door, path: str, world: World) -> Any:
    client = caller(world)
    headers = {"x-request-id": REQUEST_ID} | ({"idempotency-key": "k"} if door.is_idempotent else {})
    body = json.dumps(door.body(world)) if door.body else ""
    response = client.generic(door.method, path, body, content_type="application/json", headers=headers)
    assert response.status_code != 500, response.content
    return response


# Every route has said who may


def routes(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route), pattern.callback


def methods_of(view: Any) -> list[str]:
    cls = getattr(view, "view_class", getattr(view, "cls", None))
    if cls is None or issubclass(cls, RedirectView):
        return ["GET"]
    return [method.upper() for method in cls.http_method_names if hasattr(cls, method) and method.upper() not in ABOUT]


def test_every_route_says_who_may() -> None:
    served = {
        f"{method} {route}"
        for route, view in routes(get_resolver().url_patterns)
        if not route.startswith("/admin/")
        for method in methods_of(view)
    }

    declared = [door.route for door in DOORS]
    assert sorted(served - set(declared)) == [], "say in tests/walls/doors.py who may"
    assert sorted(set(declared) - served) == [], "they are gone"
    assert len(set(declared)) == len(declared)


def test_every_route_of_the_gateway_says_who_may() -> None:
    served = {
        f"{method} {route.path}"
        for route in gateway.starlette.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - ABOUT
    }

    assert {door.route for door in GATEWAY_DOORS} == served


def test_every_id_in_a_path_is_somebodys() -> None:
    forgotten = [door.route for door in DOORS if set(re.findall(r"\{(\w+)\}", door.route)) != set(door.ids)]

    assert forgotten == []


# Who gets in


def callers_at(door: Door) -> list[str]:
    """Everybody; where no credential is looked at, nobody and one that is bad are enough."""
    return ["anonymous", "revoked_key"] if door.who.everybody else [*CALLERS]


def area(door: Door) -> str:
    return "/".join(door.template.split("/")[:3])


@pytest.mark.parametrize("doors", [[*doors] for _, doors in groupby(DOORS, area)], ids=lambda doors: area(doors[0]))
def test_everybody_gets_what_is_theirs(doors: list[Door], world: World) -> None:
    """One world for all the doors of an area: every answer leaves it as it was."""
    answers = {}
    for door in doors:
        path = door.path(door.names_of(world))
        for name in callers_at(door):
            caller = CALLERS[name]
            answers[door.route, name] = undone(
                partial(lambda *asked: ask(*asked).status_code, caller, door, path, world)
            )

    assert answers == {(door.route, name): expected(door, name) for door in doors for name in callers_at(door)}


# What others learn: nothing


def mixed(door: Door, ours: Side, strange: str, by: Any) -> dict[str, Any]:
    """Ids of ours for each placeholder, but for ``strange`` what ``by`` says."""
    return {
        placeholder: by(what) if placeholder == strange else ours.id_of(what) for placeholder, what in door.ids.items()
    }


def learned(action: Callable[[], Any]) -> tuple[int, bytes, dict[str, str], int]:
    """All that can be told from an answer, and how much work it was."""
    with CaptureQueriesContext(connection) as queries:
        response = action()
    return response.status_code, response.content, dict(response.headers), len(queries)


def test_what_is_anothers_is_what_nobody_has(world: World) -> None:
    owner = CALLERS["OWNER"]
    owner(world).get("/api/me")  # what is only done the first time
    for door in WITH_IDS:
        for placeholder in door.ids:
            paths = [door.path(mixed(door, world.ours, placeholder, by)) for by in (world.theirs.id_of, NOBODYS.get)]
            theirs, nobodys = [undone(partial(learned, partial(ask, owner, door, path, world))) for path in paths]

            assert (door.route, theirs) == (door.route, nobodys)
            assert (door.route, theirs[0]) == (door.route, 403 if door.who.administrators else 404)


def test_a_customer_that_is_anothers_is_what_nobody_has(world: World) -> None:
    def naming(customer_id: int) -> Any:
        headers = {"x-customer-id": str(customer_id), "x-request-id": REQUEST_ID}
        return learned(lambda: client.get("/api/credits/me", headers=headers))

    for name in ("stranger", "strange_key"):
        client = CALLERS[name](world)
        assert client.get("/api/credits/me").status_code == 200
        theirs = naming(world.ours.team.pk)
        assert theirs == naming(2**59)
        assert theirs[0] == 404


def test_a_key_that_nobody_has_is_told_nothing_of_those_that_somebody_has(world: World) -> None:
    """Unknown, nearly right, revoked, expired: one answer, and the same work."""
    nearly = world.ours.key_text[: -keys.CHECKSUM_LENGTH - 4] + "0000"
    texts = [factories.UNKNOWN_KEY, nearly + keys.checksum(nearly), world.keys["read"], world.keys["ai"]]
    ours = ApiKey.objects.filter(customer=world.ours.team)
    ours.filter(scopes="read").update(revoked_at=timezone.now(), revoked_by="system")
    ours.filter(scopes="ai").update(expires_at=timezone.now())

    def naming(text: str) -> Any:
        headers = {"x-api-key": text, "x-request-id": REQUEST_ID}
        with mock.patch.object(hmac, "digest", wraps=hmac.digest) as hashed:
            answer = learned(lambda: Client().get("/api/credits/me", headers=headers))
        return *answer, hashed.call_count

    answers = [naming(text) for text in texts]
    assert answers == [answers[0]] * len(texts)
    assert (answers[0][0], answers[0][-1]) == (401, 1)


@pytest.mark.parametrize(
    "path",
    ["/api/credits/usage?key={key}", "/api/credits/usage/summary?key={key}", "/api/credits/transactions?key={key}"],
)
def test_a_filter_by_what_is_anothers_finds_nothing(path: str, world: World) -> None:
    def naming(key_id: Any) -> Any:
        return learned(lambda: client.get(path.format(key=key_id), headers={"x-request-id": REQUEST_ID}))

    client = CALLERS["OWNER"](world)
    theirs = naming(world.theirs.key.pk)
    assert (theirs, theirs[0]) == (naming(2**59), 200)


def test_a_body_that_names_anothers_is_what_nobody_has(world: World) -> None:
    client, url = CALLERS["OWNER"](world), f"/api/customers/{world.ours.team.pk}/transfer"

    answers = [
        client.post(url, {"userId": user_id}, headers={"x-request-id": REQUEST_ID}).content
        for user_id in (world.theirs.member.pk, 2**59)
    ]

    assert answers[0] == answers[1]
    assert json.loads(answers[0])["code"] == "MEMBER_NOT_FOUND"


# The console


def console() -> list[str]:
    found = (route for route, _ in routes(get_resolver().url_patterns) if route.startswith("/admin/"))
    return sorted({re.sub(r"\{\w+\}|\(\?P<.*\)\$?$", "1", route.replace("^", "")) for route in found})


def test_the_console_is_for_staff_alone(world: World, client: Client) -> None:
    """A session of somebody who is no staff, a key and a token are worth nothing there."""
    member = Client()
    member.force_login(world.ours.owner)
    callers = {"anonymous": client, "member": member, "OWNER": CALLERS["OWNER"](world)}
    callers["key"] = CALLERS["key:manage"](world)

    answers = {
        (path, name): (response := each.get(path), response.status_code, response.headers.get("Location", ""))[1:]
        for path in console()
        for name, each in callers.items()
    }

    assert len(answers) > 100
    opened = {path for (path, _), (_, location) in answers.items() if not location.startswith("/admin/login")}
    assert opened == {"/admin/login/", "/admin/logout/"}
