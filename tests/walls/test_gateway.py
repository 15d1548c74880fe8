"""The same walls where models are called: the gateway asks the database in its own way."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests
from pytest_django import Settings

from accounts.models import ApiKey, Customer, User
from ai.providers.simulator.catalogue import MODELS
from billing.listing import keep
from tests.server import running_prepaid
from tests.simulator import RunningSimulator, running_simulator
from tests.walls.doors import GATEWAY_DOORS, Door, expected
from tests.walls.world import CALLERS, NOBODYS, REQUEST_ID, World, build, switch_sign_in_on

PATIENCE_SECONDS = 20


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def world(transactional_db: None, settings: Settings, now: datetime) -> World:
    switch_sign_in_on(settings)
    keep(MODELS, now=now)
    return build()


@pytest.fixture
def url(world: World, simulator: RunningSimulator) -> Iterator[str]:
    with running_prepaid(provider_url=simulator.url) as url:
        yield url


def ask(url: str, door: Door, headers: dict[str, str], world: World) -> requests.Response:
    body = json.dumps(door.body(world)) if door.body else None
    sent = {"content-type": "application/json", "x-request-id": REQUEST_ID, **headers}
    return requests.request(
        door.method, url + door.path(door.names_of(world)), data=body, headers=sent, timeout=PATIENCE_SECONDS
    )


def headers_of(name: str, world: World) -> dict[str, str]:
    client: Any = CALLERS[name](world)
    given = {key.removeprefix("HTTP_").lower().replace("_", "-"): value for key, value in client.defaults.items()}
    return given | dict(getattr(client, "headers", None) or {})


def restore(world: World) -> None:
    """Take back what a caller was made to be: here nothing is undone, since the server has to see it."""
    ApiKey.objects.update(revoked_at=None, revoked_by="", expires_at=None)
    Customer.objects.update(suspended_at=None)
    User.objects.update(is_active=True)


def test_everybody_gets_what_is_theirs(url: str, world: World) -> None:
    answers = {}
    for name in CALLERS:
        headers = headers_of(name, world)
        for door in GATEWAY_DOORS:
            answers[door.route, name] = ask(url, door, headers, world).status_code
        restore(world)

    assert answers == {(door.route, name): expected(door, name) for door in GATEWAY_DOORS for name in CALLERS}


def test_what_is_anothers_is_what_nobody_has(url: str, world: World) -> None:
    """A customer and a session hold, which headers name here."""
    owner = headers_of("key:ai", world)
    for door in GATEWAY_DOORS:
        answers = [ask(url, door, owner | {"x-customer-id": str(id_)}, world) for id_ in (world.theirs.team.pk, 2**59)]
        if door.method == "POST":
            held = [
                ask(url, door, owner | {"x-hold-id": str(id_)}, world)
                for id_ in (world.theirs.hold.pk, NOBODYS["hold"])
            ]
            assert {each.status_code for each in held} == {404}
            assert held[0].content == held[1].content

        assert {each.status_code for each in answers} == {404}
        assert answers[0].content == answers[1].content
