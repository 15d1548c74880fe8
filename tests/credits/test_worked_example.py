"""The worked example of docs/ledger.md, worked: its tables are the database's, its digests can be recomputed."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from accounts.models import Customer
from credits import services
from credits.amounts import credits, display
from credits.books import HoldRequest
from credits.models import Account, Draw, Grant, Hold, LedgerEntry
from tests.credits.test_constraints import MODELS

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "ledger.md").read_text()
FIRST, SECOND = "019aa0a2f1c07000800000000000000a", "019aa0bd68007000800000000000000b"


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-20T{clock}:00Z").astimezone(UTC)


def place(account: Account, hold_id: str, amount: int, *, now: datetime) -> None:
    services.place_holds([HoldRequest(hold_id, account.pk, None, credits(amount), at("10:30"))], now=now)


def steps(account: Account) -> Iterator[str]:
    """Work the example and yield the tables after each of its steps."""
    give = {"account": account, "actor": "system"}
    services.grant(**give, amount=credits(100), category="PURCHASE", source="purchase:81", now=at("09:00"))
    yield tables()
    services.grant(
        **give, amount=credits(12), category="PROMOTION", source="trial:1", now=at("09:00"), expires_at=at("10:00")
    )
    yield tables()
    place(account, FIRST, 15, now=at("09:30"))
    yield tables()
    services.settle_holds([(FIRST, credits(10))], actor="key:5", now=at("09:31"))
    yield tables()
    place(account, SECOND, 1, now=at("09:59"))
    services.bring_up_to_date([account.pk], now=at("10:00"))
    yield tables()
    services.release_holds([SECOND], now=at("10:05"))
    yield tables()


def tables() -> str:
    return "\n\n".join(
        table(name, rows)
        for name, rows in (
            ("accounts", [account_row(row) for row in Account.objects.order_by("pk")]),
            ("grants", [grant_row(row) for row in Grant.objects.order_by("pk")]),
            ("holds", [hold_row(row) for row in Hold.objects.order_by("pk")]),
            ("ledger entries", [entry_row(row) for row in LedgerEntry.objects.order_by("sequence")]),
        )
        if rows
    )


def account_row(account: Account) -> dict[str, Any]:
    return {
        "id": account.pk,
        "balance": display(account.balance),
        "held": display(account.held),
        "available": display(account.available),
        "entry_count": account.entry_count,
        "head": account.head[:8],
    }


def grant_row(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.pk,
        "source": grant.source,
        "amount": display(grant.amount),
        "remaining": display(grant.remaining),
        "held": display(grant.held),
        "expires_at": f"{grant.expires_at:%H:%M}" if grant.expires_at else "never",
    }


def hold_row(hold: Hold) -> dict[str, Any]:
    drawn = Draw.objects.filter(hold=hold).order_by("-amount")
    return {
        "id": f"…{hold.pk.hex[-2:]}",
        "amount": display(hold.amount),
        "settled": display(hold.settled),
        "status": hold.status,
        "draws": ", ".join(f"{display(draw.amount)} of grant {draw.grant_id}" for draw in drawn),
    }


def entry_row(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "grant": entry.grant_id,
        "hold": f"…{entry.hold_id.hex[-2:]}" if entry.hold_id else "",
        "kind": entry.kind,
        "amount": display(entry.amount),
        "balance_after": display(entry.balance_after),
        "created_at": f"{entry.created_at:%H:%M}",
        "digest": entry.digest[:8],
    }


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """Write ``rows`` as columns, numbers to the right."""
    widths = {column: max(len(str(row[column])) for row in [*rows, {column: column}]) for column in rows[0]}
    is_number = {column: all(re.fullmatch(r"-?[\d.]+|", str(row[column])) for row in rows) for column in rows[0]}

    def line(row: dict[str, Any]) -> str:
        cells = (
            str(row[column]).rjust(width) if is_number[column] else str(row[column]).ljust(width)
            for column, width in widths.items()
        )
        return "  ".join(cells).rstrip()

    return "\n".join([name, *map(line, [dict(zip(widths, widths, strict=True)), *rows])])


@pytest.fixture
def account(customer: Customer) -> Account:
    """The first account that there ever was, and no grant before the first."""
    with connection.cursor() as cursor:
        for name in ("credits_account", "credits_grant"):
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {name} ALTER COLUMN id RESTART WITH 1")
            else:
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [name])
    return services.account_of(customer)


def shown(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_is_what_the_database_says(account: Account):
    assert "\n\n---\n\n".join(steps(account)) == "\n\n---\n\n".join(shown("text"))


def test_anyone_can_recompute_the_digests(account: Account):
    list(steps(account))
    head = ""
    for entry in LedgerEntry.objects.order_by("sequence"):
        stated = [
            head, 1, entry.sequence, entry.grant_id, entry.hold_id and entry.hold_id.hex, entry.kind, entry.amount,
            entry.balance_after, entry.reference, entry.memo, entry.actor,
            entry.created_at.isoformat(timespec="microseconds"),
        ]  # fmt: skip
        text = json.dumps(stated, separators=(",", ":"), ensure_ascii=False)
        head = hashlib.sha256(text.encode()).hexdigest()
        assert entry.digest == head
        if entry.sequence <= 2:
            [command, digest] = shown("console")[entry.sequence - 1].splitlines()
            assert command == f"$ printf '%s' '{text}' | sha256sum"
            assert digest == f"{head}  -"


def test_the_sums_by_kind_are_as_shown(account: Account):
    list(steps(account))
    sums = LedgerEntry.objects.values_list("kind").annotate(Sum("amount")).order_by("kind")

    rows = re.findall(r"^\| `([A-Z]+)` \|.*\| (-?[\d.]+) \|$", PAGE, re.MULTILINE)

    assert dict(rows) == dict.fromkeys(LedgerEntry.Kind.values, "0") | {kind: display(sum_) for kind, sum_ in sums}


def test_every_constraint_is_explained():
    named = set(
        re.findall(r"`((?:account|counter|end_user|grant|reversal|hold|draw|entry|price|usage)_[a-z_]+)`", PAGE)
    )

    assert named == {constraint.name for model in MODELS for constraint in model._meta.constraints}
