"""The table of ``docs/people.md``, cell by cell: a member in each role does what it lists, or may not."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import Membership
from accounts.roles import MAY, Capability, Role
from accounts.teams import invitations
from tests.accounts.people import join, person, role_of, signed_in
from tests.walls.world import World, build, switch_sign_in_on, undone

pytestmark = pytest.mark.usefixtures("one_database")

#: A member beside those who act, for what is done to members.
GUEST = "Guest"

Deed = Callable[[World, Any], Any]


def guest_of(world: World) -> int:
    return Membership.objects.get(customer=world.ours.team, user__name=GUEST).user_id


#: What whoever has the capability may do, for the customer that ``X-Customer-Id`` names or the path.
DEEDS: dict[Capability, list[Deed]] = {
    Capability.READ: [
        lambda world, client: client.get("/api/credits/me"),
        lambda world, client: client.get("/api/keys"),
        lambda world, client: client.get(f"/api/customers/{world.ours.team.pk}/members"),
    ],
    Capability.CALL_MODELS: [
        lambda world, client: client.post("/api/credits/holds", {"amount": "1"}, headers={"idempotency-key": "k"}),
    ],
    Capability.MANAGE_KEYS: [
        lambda world, client: client.post("/api/keys", {"name": "x", "scopes": ["read"]}),
        lambda world, client: client.patch(f"/api/keys/{world.ours.key.pk}", {"name": "x"}),
        lambda world, client: client.delete(f"/api/keys/{world.ours.key.pk}"),
    ],
    Capability.MANAGE_MEMBERS: [
        lambda world, client: client.post(f"/api/customers/{world.ours.team.pk}/invitations", {"email": "a@b.example"}),
        lambda world, client: client.delete(
            f"/api/customers/{world.ours.team.pk}/invitations/{world.ours.invitation.pk}"
        ),
        lambda world, client: client.patch(
            f"/api/customers/{world.ours.team.pk}/members/{guest_of(world)}", {"role": "BILLING"}
        ),
        lambda world, client: client.delete(f"/api/customers/{world.ours.team.pk}/members/{guest_of(world)}"),
    ],
    Capability.CHANGE_CUSTOMER: [
        lambda world, client: client.patch(f"/api/customers/{world.ours.team.pk}", {"timeZone": "Asia/Tokyo"}),
    ],
    Capability.TRANSFER: [
        lambda world, client: client.post(f"/api/customers/{world.ours.team.pk}/transfer", {"userId": guest_of(world)}),
    ],
    Capability.DELETE: [
        lambda world, client: client.delete(f"/api/customers/{world.ours.team.pk}", {"confirm": world.ours.team.name}),
    ],
}


@pytest.fixture
def world(db: None, settings: Settings) -> World:
    switch_sign_in_on(settings)
    world = build()
    join(person(name=GUEST), world.ours.team)
    return world


def test_every_cell_is_as_the_table_says(world: World) -> None:
    cells = {}
    for role in Role:
        client = signed_in(world.members[role.value], world.ours.team)
        for capability, deeds in DEEDS.items():
            statuses = [undone(partial(deed, world, client)).status_code for deed in deeds]
            assert set(statuses) <= {200, 201, 204, 403}, (role, capability, statuses)
            cells[role, capability] = [status < 300 for status in statuses]

    assert cells == {
        (role, capability): [capability in MAY[role]] * len(DEEDS[capability]) for role in Role for capability in DEEDS
    }


def test_all_that_the_table_lists_is_done_but_what_has_no_route_yet() -> None:
    assert set(Capability) - set(DEEDS) == {Capability.BUY}


@pytest.mark.parametrize("role", [role.value for role in Role if role is not Role.OWNER])
def test_an_invitation_is_accepted_in_its_role_and_ends_with_removal(role: str, world: World, now: Any) -> None:
    guest, team = person(email="new@example.com"), world.ours.team
    client = signed_in(guest)
    named = signed_in(guest, team)
    _, token = invitations.invite(team, email="new@example.com", role=role, invited_by=world.ours.owner, now=now)
    assert named.get("/api/credits/me").status_code == 404

    assert client.post("/api/invitations/accept", {"token": token}).status_code == 200

    assert (role_of(guest, team), named.get("/api/credits/me").status_code) == (role, 200)
    owner = signed_in(world.ours.owner, team)
    assert owner.delete(f"/api/customers/{team.pk}/members/{guest.pk}").status_code == 204
    assert (role_of(guest, team), named.get("/api/credits/me").status_code) == (None, 404)
    assert client.post("/api/invitations/accept", {"token": token}).status_code == 409


def test_the_header_chooses_whose_role_counts(world: World) -> None:
    """Who may only read for one customer does all for their own."""
    reader = world.members["READ_ONLY"]

    answers = [
        signed_in(reader, customer).post("/api/keys", {"name": "x"}).status_code
        for customer in (world.ours.team, None, world.theirs.team)
    ]

    assert answers == [403, 201, 404]


def test_who_owned_it_is_an_administrator_afterwards(world: World) -> None:
    owner, heir, team = world.ours.owner, world.members["MEMBER"], world.ours.team

    signed_in(owner, team).post(f"/api/customers/{team.pk}/transfer", {"userId": heir.pk})

    assert (role_of(owner, team), role_of(heir, team)) == ("ADMIN", "OWNER")
    assert Membership.objects.filter(customer=team, role="OWNER").count() == 1
    assert signed_in(owner, team).post(f"/api/customers/{team.pk}/transfer", {"userId": owner.pk}).status_code == 403
