"""
The books of one transaction: accounts locked and read once, changed by the pure rules, written once.

    with transaction.atomic():
        books = Books.open([account.id], now=now)
        books.hold(request)
        books.save()

However many holds and settlements there are, ``open`` and ``save`` are a handful of
statements each. This is the only way that money moves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from credits import rows
from credits.errors import HoldNotFound
from credits.ledger import Book, Draw, Lot, Why
from credits.models import Hold


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """
    Credits to set aside. ``id`` is a UUID in 32 hexadecimal digits, ``amount`` is in units.

    ``key`` is the caller's idempotency key, if there is one; ``context`` is what a worker needs to resolve
    the hold: a dictionary or a dataclass that can be written as JSON.
    """

    id: str
    account_id: int
    key: str | None
    amount: int
    expires_at: datetime
    context: Any = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolution:
    """
    How a hold ended. ``first`` is false for whoever came too late: the others see the first result.

    ``shortfall`` is what a settlement asked for above the hold: the house's loss.
    """

    hold_id: str
    status: str
    held: int
    settled: int
    shortfall: int
    first: bool


@dataclass(slots=True)
class KeptHold:
    id: str
    account_id: int
    amount: int
    settled: int
    status: str
    reference: str
    draws: list[Draw]


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
    ("status", rows.TEXT),
    ("reference", rows.TEXT),
    ("context", rows.JSON),
    ("expires_at", rows.INSTANT),
    ("created_at", rows.INSTANT),
)
RESOLVED_HOLD = (
    ("id", rows.UUID_),
    ("status", rows.TEXT),
    ("settled", rows.BIGINT),
    ("reference", rows.TEXT),
    ("resolved_at", rows.INSTANT),
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
    SELECT account_id, id, amount, remaining, held, priority, effective_at, expires_at, booked_at
    FROM credits_grant
    WHERE account_id IN (SELECT id FROM {rows}) AND (remaining > 0 OR booked_at IS NULL)
"""
# After the accounts are locked, so that nobody resolves the holds meanwhile.
READ_HOLDS = """
    SELECT hold.id, hold.account_id, hold.amount, hold.settled, hold.status, hold.reference,
           draw.grant_id, draw.amount
    FROM credits_hold hold LEFT JOIN credits_draw draw ON draw.hold_id = hold.id
    WHERE hold.id IN (SELECT id FROM {rows})
"""


class Books:
    """Open inside a transaction, change, save. The accounts stay locked until the transaction ends."""

    def __init__(self, books: dict[int, Book], holds: dict[str, KeptHold], now: datetime) -> None:
        self.by_account = books
        self._holds = holds
        self._now = now
        self._new_holds: list[dict[str, Any]] = []
        self._new_draws: list[dict[str, Any]] = []
        self._resolved: list[dict[str, Any]] = []

    @classmethod
    def open(cls, account_ids: Iterable[int], hold_ids: Iterable[str] = (), *, now: datetime) -> Self:
        """
        Lock the accounts in the order of their ids and read their lots, and the holds to be resolved.

        Whoever locks several accounts does it here, so that no two transactions wait for each other.
        """
        now = now.astimezone(UTC)
        ids = [{"id": id_} for id_ in sorted(set(account_ids))]
        accounts, lots, holds = rows.select_all(
            (LOCK_ACCOUNTS, BIGINT_ID, ids),
            (READ_LOTS, BIGINT_ID, ids),
            (READ_HOLDS, UUID_ID, [{"id": id_} for id_ in hold_ids]),
        )
        books = {row[0]: Book(*row) for row in accounts}
        for account_id, *lot in lots:
            books[account_id].lots[lot[0]] = _lot(*lot)
        for book in books.values():
            book.bring_up_to(now)
        return cls(books, _holds(holds), now)

    def hold(self, request: HoldRequest) -> None:
        """
        Set the request's amount aside.

        :raises InsufficientCredits: if less is available; nothing has changed then
        """
        draws = self.by_account[request.account_id].hold(request.amount)
        self._holds[request.id] = KeptHold(
            request.id, request.account_id, request.amount, 0, Hold.Status.PENDING.value, "", draws
        )
        self._new_holds.append(
            {
                "id": request.id,
                "account_id": request.account_id,
                "key": request.key,
                "amount": request.amount,
                "settled": 0,
                "status": Hold.Status.PENDING.value,
                "reference": "",
                "context": request.context,
                "expires_at": request.expires_at.astimezone(UTC),
                "created_at": self._now,
            }
        )
        self._new_draws += [{"hold_id": request.id, "grant_id": draw.grant_id, "amount": draw.amount} for draw in draws]

    def settle(self, hold_id: str, amount: int, *, why: Why, reference: str = "") -> Resolution:
        """
        Spend ``amount`` of a hold and free the rest. Above the hold, the rest is the house's ``shortfall``.

        ``reference`` is the other side's id of what was paid for, if it has not been kept before.

        :raises HoldNotFound: if there is no such hold
        """
        return self._resolve(hold_id, Hold.Status.SETTLED.value, amount, why, reference)

    def release(self, hold_id: str, *, reference: str = "") -> Resolution:
        """
        Give a hold back whole.

        :raises HoldNotFound: if there is no such hold
        """
        return self._resolve(hold_id, Hold.Status.RELEASED.value, 0, Why(actor="system"), reference)

    def _resolve(self, hold_id: str, status: str, amount: int, why: Why, reference: str) -> Resolution:
        hold = self._holds.get(hold_id)
        if hold is None:
            raise HoldNotFound
        if hold.status != Hold.Status.PENDING.value:
            return Resolution(hold.id, hold.status, hold.amount, hold.settled, 0, first=False)

        book = self.by_account[hold.account_id]
        hold.settled = book.settle(hold.id, hold.draws, amount, why=why, now=self._now)
        hold.status = status
        self._resolved.append(
            {
                "id": hold.id,
                "status": status,
                "settled": hold.settled,
                "reference": reference or hold.reference,
                "resolved_at": self._now,
            }
        )
        return Resolution(hold.id, status, hold.amount, hold.settled, amount - hold.settled, first=True)

    def save(self, *also: rows.Change) -> None:
        """Write what changed, and ``also`` what a higher floor has to say of it, in one go."""
        moved = [book for book in self.by_account.values() if book.changed]
        rows.write(
            rows.insert("credits_hold", NEW_HOLD, self._new_holds),
            rows.insert("credits_draw", DRAW, self._new_draws),
            rows.insert("credits_ledgerentry", ENTRY, [row for book in moved for row in _entry_rows(book)]),
            rows.update("credits_grant", LOT, [_lot_row(book.lots[id_]) for book in moved for id_ in book.changed]),
            rows.update("credits_hold", RESOLVED_HOLD, self._resolved),
            rows.update("credits_account", ACCOUNT, [_account_row(book, self._now) for book in moved]),
            *also,
        )


def _lot(
    grant_id: int,
    amount: int,
    remaining: int,
    held: int,
    priority: int,
    effective_at: datetime,
    expires_at: datetime | None,
    booked_at: datetime | None,
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
    )


def _holds(found: Iterable[tuple[Any, ...]]) -> dict[str, KeptHold]:
    holds: dict[str, KeptHold] = {}
    for raw_id, account_id, amount, settled, status, reference, grant_id, drawn in found:
        hold_id = rows.read_id(raw_id)
        hold = holds.setdefault(hold_id, KeptHold(hold_id, account_id, amount, settled, status, reference, []))
        if grant_id is not None:
            hold.draws.append(Draw(grant_id, drawn))
    return holds


def _account_row(book: Book, now: datetime) -> dict[str, Any]:
    return {
        "id": book.account_id,
        "balance": book.balance,
        "held": book.held,
        "owed": book.owed,
        "entry_count": book.entry_count,
        "head": book.head,
        "updated_at": now,
    }


def _lot_row(lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.grant_id,
        "remaining": lot.remaining,
        "held": lot.held,
        "booked_at": lot.booked_at,
    }


def _entry_rows(book: Book) -> list[dict[str, Any]]:
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
