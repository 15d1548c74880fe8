"""Who may do what for a customer: one table of roles, and what the scopes of a key reach. Pure."""

from enum import StrEnum


class Capability(StrEnum):
    """What can be done for a customer; the values are how messages and docs say it."""

    READ = "read balances, usage, keys and members"
    CALL_MODELS = "call models and hold budgets"
    MANAGE_KEYS = "make, change and revoke keys"
    MANAGE_MEMBERS = "invite, change and remove members"
    CHANGE_CUSTOMER = "rename it and set its time zone"
    BUY = "buy credits and change what is paid"
    TRANSFER = "make another member its owner"
    DELETE = "give it up"


class Role(StrEnum):
    """A member's role; ``accounts.models`` keeps the same."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    BILLING = "BILLING"
    READ_ONLY = "READ_ONLY"


class Scope(StrEnum):
    """What a key is made for; ``accounts.models`` keeps the same."""

    AI = "ai"
    READ = "read"
    MANAGE = "manage"


MAY: dict[str, frozenset[Capability]] = {
    Role.OWNER: frozenset(Capability),
    Role.ADMIN: frozenset(Capability) - {Capability.TRANSFER, Capability.DELETE},
    Role.MEMBER: frozenset({Capability.READ, Capability.CALL_MODELS}),
    Role.BILLING: frozenset({Capability.READ, Capability.BUY}),
    Role.READ_ONLY: frozenset({Capability.READ}),
}
#: A key reaches no further than calls and keys: what concerns people and money is for people.
REACH: dict[str, frozenset[Capability]] = {
    Scope.AI: frozenset({Capability.CALL_MODELS}),
    Scope.READ: frozenset({Capability.READ}),
    Scope.MANAGE: frozenset({Capability.MANAGE_KEYS}),
}


def scopes_of(role: str) -> frozenset[str]:
    """The scopes that a member with ``role`` has in person, and so can give a key."""
    return frozenset(scope.value for scope in Scope if REACH[scope] <= MAY[role])


def reach_of(scopes: frozenset[str]) -> frozenset[Capability]:
    """What a key with ``scopes`` may do."""
    return frozenset(capability for scope in scopes for capability in REACH.get(scope, ()))
