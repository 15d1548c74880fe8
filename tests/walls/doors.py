"""
Who may: every route of the product, once.

A route that is not here fails ``test_walls.py``, and so does one that is here and no more. What is said of
a door is who gets in; everybody else is refused in the one way that is right for them (``refusal``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from accounts.roles import MAY, REACH, Capability, Role
from tests.walls.world import INTRUDERS, SCOPES, STOPPED, UNKNOWN, World


@dataclass(frozen=True)
class Who:
    """Whom a door is for: the roles of people, the scopes of keys, and the administrators of the installation."""

    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    #: Who acts in another's name is let in.
    impersonators: bool = False
    administrators: bool = False
    #: No credential is asked for, and none is looked at.
    everybody: bool = False


def roles_with(*needed: Capability) -> frozenset[str]:
    return frozenset(role.value for role in Role if set(needed) <= MAY[role])


def scopes_with(needed: Capability) -> frozenset[str]:
    return frozenset(scope for scope, reach in REACH.items() if needed in reach)


def may(needed: Capability, *, impersonators: bool = False) -> Who:
    """Whoever has the capability, in person or by key."""
    return Who(roles_with(needed), frozenset(map(str, scopes_with(needed))), impersonators)


def people(needed: Capability = Capability.READ, *, impersonators: bool = False) -> Who:
    """Whoever has the capability, in person only."""
    return Who(roles_with(needed), impersonators=impersonators)


READ = may(Capability.READ, impersonators=True)
CALL = may(Capability.CALL_MODELS)
#: Their own model list: there is nothing of a customer in it.
LIST_MODELS = Who(roles_with(), frozenset({"ai", "read", "manage"}), impersonators=True)
#: What a key is told of itself.
OF_ONESELF = LIST_MODELS
MANAGE_KEYS = may(Capability.MANAGE_KEYS)
#: Nobody credits themselves; everybody but administrators is told where to pay.
PAY = may(Capability.MANAGE_KEYS)
LOOK_IN_PERSON = people(impersonators=True)
IN_PERSON = people()
LOOK_AFTER_MEMBERS = people(Capability.MANAGE_MEMBERS, impersonators=True)
MANAGE_MEMBERS = people(Capability.MANAGE_MEMBERS)
ADMINISTRATORS = Who(administrators=True)
EVERYBODY = Who(everybody=True)

Body = Callable[[World], Any]


@dataclass(frozen=True)
class Door:
    """
    ``METHOD /path/{placeholder}``, what whoever may gets (``status``), and how to ask.

    ``ids`` says which object of ours each placeholder names. ``answers`` are those callers whom it answers
    otherwise, for what they are; ``elsewhere`` is what whoever acts for another customer gets: of a path that
    names one of ours that is 404, of all others what our own people get.
    """

    route: str
    who: Who
    status: int = 200
    ids: dict[str, str] = field(default_factory=dict)
    body: Body | None = None
    query: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    elsewhere: int | None = None
    is_idempotent: bool = False

    @property
    def method(self) -> str:
        return self.route.split()[0]

    @property
    def template(self) -> str:
        return self.route.split()[1]

    def path(self, named: dict[str, Any]) -> str:
        filled = re.sub(r"\{(\w+)\}", lambda found: str(named[found[1]]), self.template)
        return f"{filled}?{self.query}" if self.query else filled

    def names_of(self, world: World) -> dict[str, Any]:
        return {placeholder: world.ours.id_of(what) for placeholder, what in self.ids.items()}


TEAM = {"id": "team"}
MEMBER = {"id": "team", "user_id": "user"}
INVITATION = {"id": "team", "invitation_id": "invitation"}
KEY = {"id": "key"}
ACCOUNT = {"id": "account"}
USER = {"id": "user"}
PLAN = {"id": "plan"}
SIGN_UP = {"id": "sign_up"}
HOLD = {"id": "hold"}
USAGE = {"id": "usage"}


def told(**body: Any) -> Body:
    return lambda world: body


DOORS = [
    # The API itself
    Door("GET /", EVERYBODY, 302),
    Door("GET /.well-known/jwks.json", EVERYBODY),
    Door("GET /healthz", EVERYBODY),
    Door("GET /readyz", EVERYBODY),
    Door("GET /api/schema", EVERYBODY),
    Door("GET /api/docs", EVERYBODY),
    # Signed, and nothing is configured
    Door("POST /api/webhooks/clerk", EVERYBODY, 404, body=told()),
    Door("POST /api/webhooks/stripe", EVERYBODY, 404, body=told()),
    Door("POST /api/keys/leaked", EVERYBODY, 404, body=lambda world: []),
    # People
    Door("GET /api/me", LOOK_IN_PERSON),
    Door("PATCH /api/me", IN_PERSON, body=told(name="Ada")),
    Door(
        "DELETE /api/me", IN_PERSON, 204, body=told(confirm="DELETE"), answers={"OWNER": 409, "stranger": 409},
        elsewhere=204,
    ),
    Door("GET /api/me/export", LOOK_IN_PERSON),
    Door("GET /api/customers", LOOK_IN_PERSON),
    Door("POST /api/customers", IN_PERSON, 201, body=told(name="Engines")),
    Door("GET /api/customers/{id}", LOOK_IN_PERSON, ids=TEAM),
    Door("PATCH /api/customers/{id}", people(Capability.CHANGE_CUSTOMER), ids=TEAM, body=told(name="Engines")),
    Door(
        "DELETE /api/customers/{id}", people(Capability.DELETE), 204, ids=TEAM,
        body=lambda world: {"confirm": world.ours.team.name},
    ),
    Door(
        "POST /api/customers/{id}/transfer", people(Capability.TRANSFER), ids=TEAM,
        body=lambda world: {"userId": world.ours.member.pk},
    ),
    Door("GET /api/customers/{id}/limits", LOOK_IN_PERSON, ids=TEAM),
    Door("PATCH /api/customers/{id}/limits", people(Capability.CHANGE_CUSTOMER), ids=TEAM, body=told(limits=None)),
    Door("GET /api/customers/{id}/members", LOOK_IN_PERSON, ids=TEAM),
    Door("PATCH /api/customers/{id}/members/{user_id}", MANAGE_MEMBERS, ids=MEMBER, body=told(role="BILLING")),
    # A member may always leave
    Door("DELETE /api/customers/{id}/members/{user_id}", MANAGE_MEMBERS, 204, ids=MEMBER, answers={"MEMBER": 204}),
    Door("GET /api/customers/{id}/invitations", LOOK_AFTER_MEMBERS, ids=TEAM),
    Door(
        "POST /api/customers/{id}/invitations", MANAGE_MEMBERS, 201, ids=TEAM, body=told(email="ada@example.com"),
    ),
    Door("DELETE /api/customers/{id}/invitations/{invitation_id}", MANAGE_MEMBERS, 204, ids=INVITATION),
    Door("POST /api/customers/{id}/invitations/{invitation_id}/resend", MANAGE_MEMBERS, ids=INVITATION),
    # The token of ours is for somebody else than all of these
    Door(
        "POST /api/invitations/accept", IN_PERSON, 403, body=lambda world: {"token": world.ours.invitation_token},
    ),
    Door(
        "POST /api/invitations/decline", IN_PERSON, 403, body=lambda world: {"token": world.ours.invitation_token},
    ),
    # Keys
    Door("GET /api/keys", READ),
    Door("POST /api/keys", MANAGE_KEYS, 201, body=told(name="x", scopes=["manage"])),
    Door("POST /api/keys/test-credits", MANAGE_KEYS, 201, body=told(amount="5"), is_idempotent=True),
    Door("GET /api/keys/{id}", READ, ids=KEY),
    Door("PATCH /api/keys/{id}", MANAGE_KEYS, ids=KEY, body=told(scopes=["manage"])),
    Door("DELETE /api/keys/{id}", MANAGE_KEYS, 204, ids=KEY),
    # A key with one scope makes no key with more
    Door("POST /api/keys/{id}/rotate", MANAGE_KEYS, 201, ids=KEY, body=told(), answers={"key:manage": 403}),
    Door("GET /api/keys/{id}/usage", READ, ids=KEY),
    Door("GET /api/keys/{id}/limits", READ, ids=KEY),
    Door("GET /api/end-user-budget", READ),
    Door("PUT /api/end-user-budget", MANAGE_KEYS, body=told(budget={"amount": "1", "period": "DAY"})),
    Door("GET /api/end-users", READ),
    Door("GET /api/end-user", READ, query="endUser=ada"),
    Door("PUT /api/end-user", MANAGE_KEYS, query="endUser=ada", body=told(budget=None)),
    Door("DELETE /api/end-user", MANAGE_KEYS, 404, query="endUser=ada"),
    # Credits
    Door("GET /api/credits/settings", EVERYBODY),
    Door("GET /api/credits/me", READ),
    Door("GET /api/credits/grants", READ),
    Door("GET /api/credits/receipts/{id}", READ, ids=USAGE),
    Door("GET /api/credits/usage", READ),
    Door("GET /api/credits/usage.csv", READ),
    Door("GET /api/credits/usage/summary", READ),
    Door("GET /api/credits/forecast", READ),
    Door("GET /api/credits/transactions", READ),
    Door("GET /api/credits/transactions.csv", READ),
    Door("GET /api/credits/explain", READ),
    Door("GET /api/credits/holds", READ),
    Door("POST /api/credits/holds", CALL, 201, body=told(amount="1"), is_idempotent=True, elsewhere=402),
    Door("GET /api/credits/holds/{id}", READ, ids=HOLD),
    Door("POST /api/credits/holds/{id}/settle", CALL, ids=HOLD, body=told(amount="1"), is_idempotent=True),
    Door("POST /api/credits/holds/{id}/release", CALL, ids=HOLD, body=told(), is_idempotent=True),
    # USDC
    Door("GET /api/billing/credits", READ),
    Door("GET /api/billing/credits/transactions", READ),
    Door("GET /api/billing/credits/transactions.csv", READ),
    Door("POST /api/billing/credits/topup", PAY, 503, body=told(amount_usdc="5"), is_idempotent=True),
    # The installation
    Door("GET /api/admin/verify", LOOK_IN_PERSON),
    Door("GET /api/admin/users", ADMINISTRATORS),
    Door("GET /api/admin/users/{id}", ADMINISTRATORS, ids=USER),
    Door("PUT /api/admin/users/{id}", ADMINISTRATORS, ids=USER, body=told(name="Ada")),
    Door("DELETE /api/admin/users/{id}", ADMINISTRATORS, ids=USER),
    Door("POST /api/admin/users/{id}/activate", ADMINISTRATORS, ids=USER),
    Door("GET /api/admin/users/{id}/credits", ADMINISTRATORS, ids=USER),
    Door(
        "PUT /api/admin/users/{id}/credits", ADMINISTRATORS, ids=USER, body=told(credits=7, reason="x"),
        is_idempotent=True,
    ),
    Door(
        "POST /api/admin/users/{id}/grants", ADMINISTRATORS, 201, ids=USER, body=told(amount="7", reason="x"),
        is_idempotent=True,
    ),
    Door("GET /api/admin/credits", ADMINISTRATORS),
    Door(
        "PUT /api/admin/credits/{id}", ADMINISTRATORS, ids=ACCOUNT, body=told(adjustment=7, reason="x"),
        is_idempotent=True,
    ),
    Door("GET /api/admin/customers/{id}/limits", ADMINISTRATORS, ids=TEAM),
    Door("PATCH /api/admin/customers/{id}/limits", ADMINISTRATORS, ids=TEAM, body=told(fixed=False)),
    Door("POST /api/admin/customers/{id}/suspend", ADMINISTRATORS, ids=TEAM, body=told(reason="x")),
    Door("POST /api/admin/customers/{id}/reactivate", ADMINISTRATORS, ids=TEAM),
    Door(
        "POST /api/admin/customers/{id}/grants", ADMINISTRATORS, 201, ids=TEAM, body=told(amount="7", reason="x"),
        is_idempotent=True,
    ),
    Door("GET /api/admin/users/invitations", ADMINISTRATORS),
    Door("POST /api/admin/users/invitations/{id}/revoke", ADMINISTRATORS, ids=SIGN_UP),
    # Nothing is configured
    Door("POST /api/admin/users/invite", ADMINISTRATORS, 501, body=told(email="new@example.com")),
    Door("POST /api/admin/users/invitations/{id}/resend", ADMINISTRATORS, 501, ids=SIGN_UP),
    Door("GET /api/admin/clerk/plans", ADMINISTRATORS, 501),
    Door("POST /api/admin/plans/refresh-pricing", ADMINISTRATORS, 501),
    Door("POST /api/admin/users/sync", ADMINISTRATORS, 501, body=told()),
    Door("GET /api/admin/usage", ADMINISTRATORS),
    Door("GET /api/admin/dashboard", ADMINISTRATORS),
    Door("GET /api/admin/settings", ADMINISTRATORS),
    Door("PUT /api/admin/settings", ADMINISTRATORS, body=told(featureCosts={"ai_text_chat": 2})),
    Door("GET /api/admin/plans", ADMINISTRATORS),
    Door("POST /api/admin/plans", ADMINISTRATORS, 201, body=told(name="Pro", billingSource="manual")),
    Door("PUT /api/admin/plans/{id}", ADMINISTRATORS, ids=PLAN, body=told(name="Pro")),
    Door("DELETE /api/admin/plans/{id}", ADMINISTRATORS, ids=PLAN),
    Door("GET /api/public/plans", EVERYBODY),
    Door("GET /api/admin/ledger/trial-balance", ADMINISTRATORS),
    Door("GET /api/admin/ledger/trial-balance.csv", ADMINISTRATORS),
]  # fmt: skip

#: What Django does not see. Whoever may call a model gets its answer.
MODEL = "openai/gpt-4o-mini"
#: How to ask in each wire format, by its path.
ASKED = {
    "chat/completions": told(model=MODEL, messages=[{"role": "user", "content": "Hello"}]),
    "completions": told(model=MODEL, prompt="Hello"),
    "images": told(model="openai/gpt-5-image-mini", prompt="A lighthouse"),
    "images/generations": told(model="openai/gpt-5-image-mini", prompt="A lighthouse"),
    "messages": told(model=MODEL, messages=[{"role": "user", "content": "Hello"}], max_tokens=100),
    "responses": told(model=MODEL, input="Hello"),
    "embeddings": told(model="openai/text-embedding-3-small", input="Hello"),
}
ROOTS = ("/v1/", "/api/v1/")
PARTS = [{"type": "text", "text": "Hello"}]
#: They act for a customer of their own.
OTHERS = ("stranger", "strange_key", "administrator")
GATEWAY_DOORS = [
    *(Door(f"POST {root}{path}", CALL, body=body, elsewhere=402) for root in ROOTS for path, body in ASKED.items()),
    Door("POST /api/ai/chat", CALL, body=told(messages=[{"id": "1", "role": "user", "parts": PARTS}]), elsewhere=402),
    Door("POST /api/ai/image", CALL, body=told(prompt="A lighthouse"), elsewhere=402),
    # Whatever chat is named: none is kept here, so nobody learns anything.
    Door("GET /api/ai/chat/{id}/stream", LIST_MODELS, 204, {"id": "account"}, answers=dict.fromkeys(OTHERS, 204)),
    Door("GET /v1/models", LIST_MODELS),
    Door("GET /api/v1/models", LIST_MODELS),
    *(Door(f"GET {root}key", OF_ONESELF) for root in ROOTS),
    *(Door(f"GET {root}credits", READ) for root in ROOTS),
    *(Door(f"GET {root}generation", READ, 404, query="id=gen-of-nobody") for root in ROOTS),
    Door("GET /api/ai/openrouter/models", LIST_MODELS),
]


def expected(door: Door, caller: str) -> int:
    """What ``caller`` is answered at ``door``."""
    who, name = door.who, caller
    if caller in door.answers:
        return door.answers[caller]
    if who.everybody:
        return door.status
    refused = refusal(name)
    if refused:
        return refused
    if name == "administrator":
        if who.administrators:
            return door.status
    elif who.administrators:
        return 403
    return entering(door, name)


def refusal(caller: str) -> int:
    """What callers get at every door that asks who they are: 401, 403 or 404; 0 for those who are somebody."""
    if caller in {each.__name__ for each in UNKNOWN}:
        return 401
    if caller in {each.__name__ for each in STOPPED}:
        return 403
    return 404 if caller in {each.__name__ for each in INTRUDERS} else 0


def entering(door: Door, caller: str) -> int:
    """What those who are somebody get, for what they are."""
    who = door.who
    if caller == "impersonated_owner":
        return door.status if who.impersonators else 403
    if caller in SCOPES or caller == "strange_key":
        allowed = who.scopes if caller == "strange_key" else who.scopes & {caller.removeprefix("key:")}
        is_in = bool(allowed)
    else:
        role = caller if caller in set(Role) else Role.OWNER.value  # of a customer of their own
        is_in = role in who.roles
    if not is_in:
        return 403
    if caller in {"stranger", "strange_key", "administrator"}:
        return 404 if door.ids else door.elsewhere if door.elsewhere and caller == "administrator" else door.status
    return door.status
