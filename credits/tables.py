"""How the books lie in the tables: what is read of each, what is written, and from which rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from credits import rows
from credits.ledger import Book, Debt, Lot

if TYPE_CHECKING:
    from credits.books import HoldRequest


@dataclass(slots=True)
class KeptHold:
    id: str
    account_id: int
    amount: int
    settled: int
    status: str
    reference: str
    expires_at: datetime
    parent_id: str | None
    lent: int
    draws: dict[int, int]
    draw_ids: dict[int, int]

    @property
    def free(self) -> int:
        """What a session hold can still lend."""
        return self.amount - self.lent


ACCOUNT = (
    ("id", rows.BIGINT),
    ("balance", rows.BIGINT),
    ("held", rows.BIGINT),
    ("owed", rows.BIGINT),
    ("entry_count", rows.BIGINT),
    ("head", rows.TEXT),
    ("updated_at", rows.INSTANT),
)
LOT = (
    ("id", rows.BIGINT),
    ("remaining", rows.BIGINT),
    ("held", rows.BIGINT),
    ("booked_at", rows.INSTANT),
)
NEW_HOLD = (
    ("id", rows.UUID_),
    ("account_id", rows.BIGINT),
    ("key", rows.TEXT),
    ("amount", rows.BIGINT),
    ("settled", rows.BIGINT),
    ("parent_id", rows.UUID_),
    ("lent", rows.BIGINT),
    ("status", rows.TEXT),
    ("lapse", rows.TEXT),
    ("reference", rows.TEXT),
    ("context", rows.JSON),
    ("expires_at", rows.INSTANT),
    ("created_at", rows.INSTANT),
)
RESOLVED_HOLD = (
    ("id", rows.UUID_),
    ("status", rows.TEXT),
    ("settled", rows.BIGINT),
    ("lent", rows.BIGINT),
    ("reference", rows.TEXT),
    ("resolved_at", rows.INSTANT),
)
# Until its time was over it was pending, whatever is settled after.
SETTLED_LATE = RESOLVED_HOLD[:-1]
LENT = (("id", rows.UUID_), ("lent", rows.BIGINT))
LENT_DRAW = (("id", rows.BIGINT), ("amount", rows.BIGINT))
REVERSAL = (
    ("id", rows.BIGINT),
    ("taken", rows.BIGINT),
    ("owed", rows.BIGINT),
    ("paid", rows.BIGINT),
    ("lapsed", rows.BIGINT),
)
DRAW = (
    ("hold_id", rows.UUID_),
    ("grant_id", rows.BIGINT),
    ("amount", rows.BIGINT),
)
ENTRY = (
    ("account_id", rows.BIGINT),
    ("sequence", rows.BIGINT),
    ("grant_id", rows.BIGINT),
    ("hold_id", rows.UUID_),
    ("kind", rows.TEXT),
    ("amount", rows.BIGINT),
    ("balance_after", rows.BIGINT),
    ("reference", rows.TEXT),
    ("memo", rows.TEXT),
    ("actor", rows.TEXT),
    ("created_at", rows.INSTANT),
    ("digest", rows.TEXT),
)


BIGINT_ID = (("id", rows.BIGINT),)
UUID_ID = (("id", rows.UUID_),)

LOCK_ACCOUNTS = """
    SELECT account.id, account.balance, account.held, account.owed, account.entry_count, account.head
    FROM credits_account account
    WHERE account.id IN (SELECT id FROM {rows})
    ORDER BY account.id {lock}
"""
READ_LOTS = """
    SELECT account_id, id, amount, remaining, held, priority, effective_at, expires_at, booked_at, voided_at
    FROM credits_grant
    WHERE account_id IN (SELECT id FROM {rows}) AND (remaining > 0 OR (booked_at IS NULL AND voided_at IS NULL))
"""
# After the accounts are locked, so that nobody resolves the holds meanwhile.
READ_HOLDS = """
    SELECT hold.id, hold.account_id, hold.amount, hold.settled, hold.status, hold.reference, hold.expires_at,
           hold.parent_id, hold.lent, draw.grant_id, draw.amount, draw.id
    FROM credits_hold hold LEFT JOIN credits_draw draw ON draw.hold_id = hold.id
    WHERE hold.id IN (SELECT id FROM {rows})
"""
READ_DEBTS = """
    SELECT account_id, id, key, grant_id, kind, taken, owed, paid, lapsed
    FROM credits_reversal
    WHERE account_id IN (SELECT id FROM {rows}) AND owed > 0 AND grant_id IS NOT NULL
    ORDER BY id
"""


def lot(
    grant_id: int,
    amount: int,
    remaining: int,
    held: int,
    priority: int,
    effective_at: datetime,
    expires_at: datetime | None,
    booked_at: datetime | None,
    voided_at: datetime | None,
) -> Lot:
    return Lot(
        grant_id,
        amount,
        remaining,
        held,
        priority,
        rows.aware(effective_at),
        expires_at and rows.aware(expires_at),
        booked_at and rows.aware(booked_at),
        voided_at is not None,
    )


def kept_holds(found: Iterable[tuple[Any, ...]]) -> dict[str, KeptHold]:
    holds: dict[str, KeptHold] = {}
    for (
        raw_id,
        account_id,
        amount,
        settled,
        status,
        reference,
        expires_at,
        parent,
        lent,
        grant_id,
        drawn,
        draw,
    ) in found:
        hold_id = rows.read_id(raw_id)
        hold = holds.get(hold_id)
        if hold is None:
            parent_id = parent and rows.read_id(parent)
            hold = holds[hold_id] = KeptHold(
                hold_id, account_id, amount, settled, status, reference, rows.aware(expires_at), parent_id, lent, {}, {}
            )
        if grant_id is not None:
            hold.draws[grant_id] = drawn
            hold.draw_ids[grant_id] = draw
    return holds


def new_hold_row(request: HoldRequest, now: datetime) -> dict[str, Any]:
    return {
        "id": request.id,
        "account_id": request.account_id,
        "key": request.key,
        "amount": request.amount,
        "settled": 0,
        "parent_id": request.parent_id,
        "lent": 0,
        "status": "PENDING",
        "lapse": request.lapse,
        "reference": "",
        "context": request.context,
        "expires_at": request.expires_at.astimezone(UTC),
        "created_at": now,
    }


def account_row(book: Book, now: datetime) -> dict[str, Any]:
    return {
        "id": book.account_id,
        "balance": book.balance,
        "held": book.held,
        "owed": book.owed,
        "entry_count": book.entry_count,
        "head": book.head,
        "updated_at": now,
    }


def lot_row(lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.grant_id,
        "remaining": lot.remaining,
        "held": lot.held,
        "booked_at": lot.booked_at,
    }


def reversal_row(debt: Debt) -> dict[str, Any]:
    return {
        "id": debt.reversal_id,
        "taken": debt.taken,
        "owed": debt.owed,
        "paid": debt.paid,
        "lapsed": debt.lapsed,
    }


def entry_rows(book: Book) -> list[dict[str, Any]]:
    return [
        {
            "account_id": book.account_id,
            "sequence": entry.sequence,
            "grant_id": entry.grant_id,
            "hold_id": entry.hold_id,
            "kind": entry.kind,
            "amount": entry.amount,
            "balance_after": entry.balance_after,
            "reference": entry.reference,
            "memo": entry.memo,
            "actor": entry.actor,
            "created_at": entry.created_at,
            "digest": entry.digest,
        }
        for entry in book.entries
    ]
