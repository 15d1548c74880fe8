"""What Clerk tells about organizations and who is in them, in any order."""

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.errors import CustomerNotFound
from accounts.identities import Identity
from accounts.models import Customer, Invitation, Membership
from accounts.principals import principal_of_person
from tests import factories
from tests.racing import at_once, raised
from tests.webhooks.test_clerk import EPOCH, USER_ID, tell, user_data
from webhooks.errors import WebhookNotHandled
from webhooks.sources.base import Payload

TEAM_ID = "org_29w83sxmDNGwOuEthce5gg56FcC"
_ids = itertools.count(1)

pytestmark = pytest.mark.django_db


def organization(at: int = 0, **more: Any) -> Payload:
    named = {"id": TEAM_ID, "name": f"Acme {at}", "slug": "acme", "created_at": EPOCH, "updated_at": EPOCH + at}
    return {"object": "organization"} | named | more


def membership(at: int = 0, role: str = "org:member", id: str = "orgmem_1", **more: Any) -> Payload:
    return {
        "object": "organization_membership",
        "id": id,
        "role": role,
        "organization": organization(),
        "public_user_data": {"user_id": USER_ID, "first_name": "Ada", "identifier": "ada@example.com"},
        "created_at": EPOCH,
        "updated_at": EPOCH + at,
    } | more


def deleted(id: str = TEAM_ID) -> Payload:
    return {"object": "organization", "id": id, "slug": "acme", "deleted": True}


def seen(team_id: str = TEAM_ID) -> tuple[Any, ...]:
    team = Customer.objects.get(external_id=team_id)
    return team.name, team.closed_at is not None, list(team.memberships.values_list("user__external_id", "role"))


def told(events: Iterable[tuple[str, Payload, int]], now: datetime) -> None:
    for type, data, at in events:
        tell(type, data, now, timestamp=EPOCH + at)


def test_organization_is_a_team_that_is_called_as_it_is(now: datetime):
    tell("organization.created", organization(), now)
    tell("organization.updated", organization(2, name="Acme\u202e Corp"), now)
    tell("organization.updated", organization(1), now)

    assert seen() == ("Acme Corp", False, [])


def test_membership_brings_team_and_user_with_it(now: datetime):
    tell("organizationMembership.created", membership(role="org:admin"), now)
    tell("user.created", user_data(), now)

    assert seen() == ("Acme 0", False, [(USER_ID, "ADMIN")])
    assert Membership.objects.get(role="ADMIN").user.name == "Ada Lovelace"


def test_who_came_with_a_token_first_is_the_same_member(now: datetime):
    principal_of_person(Identity(USER_ID, TEAM_ID, "member", told_at=now))

    tell("organizationMembership.created", membership(at=10**12), now)

    assert seen() == ("Acme 0", False, [(USER_ID, "MEMBER")])


def test_who_has_left_does_nothing_for_the_team_and_keeps_their_own(now: datetime):
    tell("organizationMembership.created", membership(), now)
    tell("organizationMembership.deleted", membership(), now, timestamp=EPOCH + 5_000)

    with pytest.raises(CustomerNotFound):
        principal_of_person(Identity(USER_ID, TEAM_ID, "member", told_at=epoch(4_000)))
    assert seen() == ("Acme 0", False, [])
    assert principal_of_person(Identity(USER_ID)).role == "OWNER"


def test_second_of_an_end_is_over_when_it_ends(now: datetime):
    tell("organizationMembership.deleted", membership(id="orgmem_2"), now, timestamp=EPOCH // 1000 + 5)
    tell("organizationMembership.updated", membership(at=5_999), now)
    assert seen()[2] == []

    tell("organizationMembership.created", membership(at=6_000, id="orgmem_3"), now)
    assert seen()[2] == [(USER_ID, "MEMBER")]


def test_organization_that_is_gone_leaves_its_books_and_nothing_else(now: datetime):
    tell("organizationMembership.created", membership(), now)
    team = Customer.objects.get(external_id=TEAM_ID)
    account = factories.account(team, "100")
    Invitation.objects.create(customer=team, email="bert@example.com", role="MEMBER", digest="d", expires_at=now)
    factories.api_key(team)

    tell("organization.deleted", deleted(), now)

    assert seen() == ("Acme 0", True, [])
    assert (team.api_keys.filter(revoked_at=None).count(), team.invitations.filter(revoked_at=None).count()) == (0, 0)
    assert account.entries.count() == 1


def test_invitation_makes_the_team_known_and_nobody_a_member(now: datetime):
    data = {"object": "organization_invitation", "id": "orginv_1", "organization_id": TEAM_ID, "user_id": USER_ID}
    for kind in ("created", "accepted", "revoked"):
        tell(f"organizationInvitation.{kind}", data, now)

    assert seen() == (TEAM_ID, False, [])


def test_user_who_is_deleted_is_in_no_team(now: datetime):
    tell("organizationMembership.created", membership(), now)
    tell("user.deleted", {"id": USER_ID, "deleted": True}, now)
    tell("organizationMembership.updated", membership(at=9), now)

    assert seen()[2] == []


@pytest.mark.django_db(transaction=True)
def test_news_that_comes_all_at_once_makes_one_team_and_one_member(now: datetime):
    outcomes = at_once(
        *[lambda at=at: tell("organizationMembership.updated", membership(at), now) for at in range(4)],
        *[lambda at=at: tell("organization.updated", organization(at), now) for at in range(1, 5)],
    )

    assert raised(outcomes) == []
    assert seen() == ("Acme 4", False, [(USER_ID, "MEMBER")])


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("organization.created", organization(id=USER_ID)),
        ("organization.created", organization(id=None)),
        ("organization.created", organization(updated_at="now")),
        ("organization.deleted", deleted(id="org_")),
        ("organizationMembership.created", membership(organization=None)),
        ("organizationMembership.created", membership(public_user_data={"user_id": TEAM_ID})),
        ("organizationMembership.created", membership(public_user_data=None)),
        ("organizationMembership.created", membership(id="")),
        ("organizationInvitation.created", {"organization_id": None}),
    ],
)
def test_event_that_cannot_be_understood_fails_and_makes_nobody(type: str, data: Any, now: datetime):
    with pytest.raises(WebhookNotHandled):
        tell(type, data, now)

    assert Customer.objects.count() == 0


def epoch(at: int) -> datetime:
    return datetime.fromtimestamp(EPOCH / 1000, tz=datetime.now().astimezone().tzinfo) + timedelta(milliseconds=at)


#: A member joins, becomes an administrator and leaves; joins anew, and leaves or stays.
STORY: list[tuple[str, str, int, str]] = [
    ("created", "orgmem_1", 1_000, "org:member"),
    ("updated", "orgmem_1", 2_000, "org:admin"),
    ("deleted", "orgmem_1", 3_000, "org:admin"),
    ("created", "orgmem_2", 4_000, "org:member"),
    ("updated", "orgmem_2", 5_000, "org:admin"),
    ("deleted", "orgmem_2", 6_000, "org:admin"),
]
ENDS: dict[int, list[str]] = {1: ["MEMBER"], 2: ["ADMIN"], 3: [], 4: ["MEMBER"], 5: ["ADMIN"], 6: []}


@given(chapters=st.integers(1, 6), gone=st.booleans(), data=st.data())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_order_and_repetition_ends_the_same(chapters: int, gone: bool, data: st.DataObject, now: datetime):
    number = f"{next(_ids):020}"
    team_id, user_id = f"org_{number}", f"user_{number}"
    events: list[tuple[str, Payload, int]] = [
        (
            f"organizationMembership.{kind}",
            # What a deleted membership says of itself is when it last changed.
            membership(
                at if kind != "deleted" else at - 1_000,
                role,
                id=f"{id}_{number}",
                organization=organization(at, id=team_id),
                public_user_data={"user_id": user_id},
            ),
            at,
        )
        for kind, id, at, role in STORY[:chapters]
    ]
    events.append(("organization.updated", organization(9_000, id=team_id), 9_000))
    if gone:
        events.append(("organization.deleted", deleted(team_id), 9_500))
    again = data.draw(st.lists(st.sampled_from(events), max_size=4))

    told(data.draw(st.permutations([*events, *again])), now)

    name, is_closed, members = seen(team_id)
    assert is_closed is gone
    assert [role for _, role in members] == ([] if gone else ENDS[chapters])
    assert gone or name == "Acme 9000"
