"""Two teams with a wall between them, and everybody who could stand before a door of one of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import ApiKey, Customer, Invitation, SignUpInvitation, User
from accounts.roles import Role, Scope
from accounts.services import create_key
from accounts.teams import invitations
from billing.models import Plan, UsageRecord
from credits.amounts import credits
from credits.models import Account, Hold
from credits.sessions.budgets import open_session
from tests import factories
from tests.accounts import tokens
from tests.accounts.people import join, person, signed_in, team_of

REQUEST_ID = "the-same-for-all"
CLERK_OWNER = "user_2ownerOWNER3456"
#: Ids that nothing has.
NUMBERED = ("user", "team", "account", "key", "invitation", "plan", "sign_up", "usage")
NOBODYS: dict[str, int | UUID] = {**dict.fromkeys(NUMBERED, 2**59), "hold": UUID(int=7)}
LATER = int(time.time()) + 24 * 3600


@dataclass
class Side:
    """A team with one of everything that a path can name."""

    owner: User
    team: Customer
    account: Account
    key: ApiKey
    key_text: str
    hold: Hold
    usage: UsageRecord
    invitation: Invitation
    invitation_token: str
    #: Who may be removed, given another role, and made the owner.
    member: User
    #: Anybody's: the installation's.
    plan: Plan
    sign_up: SignUpInvitation

    def id_of(self, what: str) -> int | UUID:
        found: Any = self.member if what == "user" else getattr(self, what)
        return found.pk


@dataclass
class World:
    """Ours, with somebody in every role, and theirs."""

    ours: Side
    theirs: Side
    members: dict[str, User]
    administrator: User
    keys: dict[str, str] = field(default_factory=dict)


def build() -> World:
    owner = factories.UserFactory.create(external_id=CLERK_OWNER)
    team = team_of(owner)
    members = {role.value: join(person(), team, role.value) for role in Role if role is not Role.OWNER}
    members[Role.OWNER.value] = owner
    stranger = person()
    ours = side(owner, team, members[Role.MEMBER.value])
    theirs = side(stranger, team_of(stranger), join(person(), team_of(person())))
    join(theirs.member, theirs.team)
    world = World(ours, theirs, members, person(is_staff=True))
    world.keys = {scope.value: factories.api_key(team, scopes=[scope.value], created_by=owner) for scope in Scope}
    return world


def side(owner: User, team: Customer, member: User) -> Side:
    now = timezone.now()
    key, text = create_key(customer=team, name="Production", now=now, scopes=ApiKey.Scope.values, created_by=owner)
    account = factories.account(team, "1000")
    factories.account(member.personal_customer, "5")
    hold = open_session(
        team,
        amount=credits(5),
        key=uuid4().hex,
        expires_at=now + timedelta(hours=1),
        reason="",
        now=now,
    )
    sent, token = invitations.invite(
        team, email="guest@example.com", role=Role.MEMBER.value, invited_by=owner, now=now - timedelta(minutes=5)
    )
    plan = Plan.objects.create(name="By hand", slug=uuid4().hex, billing_source="manual", cta_type="contact")
    sign_up = SignUpInvitation.objects.create(email=f"{uuid4().hex}@example.com", expires_at=now + timedelta(days=1))
    usage = factories.usage(account, api_key=key)
    return Side(owner, team, account, key, text, hold, usage, sent, token, member, plan, sign_up)


# Who stands before the door. Each returns a client that signs in as they do, after it has made them what they are.

Caller = Callable[[World], Any]


def _with_key(text: str) -> Client:
    return Client(headers={"authorization": f"Bearer {text}"}, raise_request_exception=False)


def _in_role(role: str) -> Caller:
    return lambda world: signed_in(world.members[role], world.ours.team)


def _with_scope(scope: str) -> Caller:
    return lambda world: _with_key(world.keys[scope])


def anonymous(world: World) -> Client:
    return Client(raise_request_exception=False)


def revoked_key(world: World) -> Client:
    ApiKey.objects.filter(pk=world.ours.key.pk).update(revoked_at=timezone.now(), revoked_by="system")
    return _with_key(world.ours.key_text)


def expired_key(world: World) -> Client:
    ApiKey.objects.filter(pk=world.ours.key.pk).update(expires_at=timezone.now())
    return _with_key(world.ours.key_text)


def _suspend(world: World) -> None:
    Customer.objects.filter(pk=world.ours.team.pk).update(suspended_at=timezone.now())


def suspended_key(world: World) -> Client:
    _suspend(world)
    return _with_key(world.ours.key_text)


def suspended_owner(world: World) -> Client:
    _suspend(world)
    return signed_in(world.ours.owner, world.ours.team)


def deactivated_owner(world: World) -> Client:
    User.objects.filter(pk=world.ours.owner.pk).update(is_active=False)
    return signed_in(world.ours.owner, world.ours.team)


def impersonated_owner(world: World) -> Client:
    token = tokens.clerk_token(sub=CLERK_OWNER, exp=LATER, act={"sub": "user_2adminADMIN3456"})
    headers = {"authorization": f"Bearer {token}", "x-customer-id": str(world.ours.team.pk)}
    return Client(headers=headers, raise_request_exception=False)


def stranger(world: World) -> Client:
    """Another customer's owner, who acts for their own team."""
    return signed_in(world.theirs.owner, world.theirs.team)


def intruder(world: World) -> Client:
    """Another customer's owner, who says that they act for ours."""
    return signed_in(world.theirs.owner, world.ours.team)


def strange_key(world: World) -> Client:
    return _with_key(world.theirs.key_text)


def administrator(world: World) -> Client:
    """Who runs the installation, and is no member of anything."""
    return signed_in(world.administrator)


ROLES: dict[str, Caller] = {role.value: _in_role(role.value) for role in Role}
SCOPES: dict[str, Caller] = {f"key:{scope.value}": _with_scope(scope.value) for scope in Scope}
UNKNOWN = [anonymous, revoked_key, expired_key]
STOPPED = [suspended_key, suspended_owner, deactivated_owner]
INTRUDERS = [intruder]
STRANGERS = [stranger, strange_key]
CALLERS: dict[str, Caller] = {
    **ROLES,
    **SCOPES,
    **{caller.__name__: caller for caller in [*UNKNOWN, *STOPPED, *INTRUDERS, *STRANGERS]},
    "impersonated_owner": impersonated_owner,
    "administrator": administrator,
}


class Undone(Exception):
    """Ends a savepoint."""


def undone(action: Callable[[], Any]) -> Any:
    """Return what ``action`` returns, and leave the database as it was."""
    result: Any = None
    try:
        with transaction.atomic():
            result = action()
            raise Undone
    except Undone:
        return result


def switch_sign_in_on(settings: Settings) -> None:
    """Believe the service's and Clerk's tokens."""
    settings.SERVICE_JWT_SECRET = tokens.SERVICE_SECRET
    settings.CLERK_ISSUER, settings.CLERK_AUTHORIZED_PARTIES = tokens.ISSUER, [tokens.PARTY]
    settings.CLERK_JWT_KEY = tokens.PEM
