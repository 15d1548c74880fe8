"""Who may do what: the table in the documentation is the one in the code, cell by cell."""

import re
from pathlib import Path

import pytest

from accounts.models import ApiKey, Membership
from accounts.roles import MAY, REACH, Capability, Role, Scope, reach_of, scopes_of

PAGE = Path(__file__).parents[2] / "docs" / "people.md"


def test_the_documents_table_is_the_codes() -> None:
    rows = re.findall(r"^\| ([^|]+) \|((?: (?:yes|–) \|){5})$", PAGE.read_text(), re.MULTILINE)
    documented = {name: [cell.strip() for cell in cells.strip("| ").split("|")] for name, cells in rows}

    assert documented == {
        capability.value: ["yes" if capability in MAY[role] else "–" for role in Role] for capability in Capability
    }


def test_models_keep_the_same_roles_and_scopes() -> None:
    assert Membership.Role.values == [role.value for role in Role]
    assert ApiKey.Scope.values == [scope.value for scope in Scope]


def test_no_two_capabilities_are_one() -> None:
    assert len(set(Capability)) == 8
    assert MAY.keys() == set(Role)


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        ("OWNER", {"ai", "read", "manage"}),
        ("ADMIN", {"ai", "read", "manage"}),
        ("MEMBER", {"ai", "read"}),
        ("BILLING", {"read"}),
        ("READ_ONLY", {"read"}),
    ],
)
def test_a_member_can_give_a_key_what_they_may_do_themselves(role: str, scopes: set[str]) -> None:
    assert scopes_of(role) == scopes
    assert reach_of(frozenset(scopes)) <= MAY[role]


def test_keys_reach_neither_people_nor_money() -> None:
    assert reach_of(frozenset(REACH)) == {Capability.READ, Capability.CALL_MODELS, Capability.MANAGE_KEYS}
    assert reach_of(frozenset({"everything"})) == set()
