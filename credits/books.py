"""
The books of one transaction: accounts locked and read once, changed by the pure rules, written once.

    with transaction.atomic():
        books = Books.open([account.id], now=now)
        books.hold(request)
        books.save()

However many holds and settlements there are, ``open`` and ``save`` are a handful of
statements each. This is the only way that money moves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from credits import rows, tables
from credits.errors import HoldIsOver, HoldNotFound, InsufficientCredits
from credits.ledger import Book, Debt, Draw, Lot, Why, burn_order
from credits.models import Grant, Hold


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """
    Credits to set aside. ``id`` is a UUID in 32 hexadecimal digits, ``amount`` is in units.

    ``key`` is the caller's idempotency key, if there is one; ``context`` is what a worker needs to resolve
    the hold: a dictionary or a dataclass that can be written as JSON. With ``parent_id`` it is drawn from
    that session hold instead of the account. ``lapse`` says what happens when its time is over.
    """

    id: str
    account_id: int
    key: str | None
    amount: int
    expires_at: datetime
    context: Any = field(default_factory=dict)
    parent_id: str | None = None
    lapse: str = Hold.Lapse.RELEASE.value


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


class Books:
    """Open inside a transaction, change, save. The accounts stay locked until the transaction ends."""

    def __init__(self, books: dict[int, Book], holds: dict[str, tables.KeptHold], now: datetime) -> None:
        self.by_account = books
        self._holds = holds
        self._now = now
        self._new_holds: list[dict[str, Any]] = []
        self._new_draws: list[dict[str, Any]] = []
        self._resolved: dict[str, dict[str, Any]] = {}
        self._settled_late: dict[str, dict[str, Any]] = {}
        self._lent: dict[str, dict[str, Any]] = {}
        self._lent_draws: dict[int, dict[str, Any]] = {}

    @classmethod
    def open(cls, account_ids: Iterable[int], hold_ids: Iterable[str] = (), *, now: datetime) -> Self:
        """
        Lock the accounts in the order of their ids and read their lots, and the holds to be resolved.

        Whoever locks several accounts does it here, so that no two transactions wait for each other.
        """
        now = now.astimezone(UTC)
        ids = [{"id": id_} for id_ in sorted(set(account_ids))]
        accounts, lots, holds = rows.select_all(
            (tables.LOCK_ACCOUNTS, tables.BIGINT_ID, ids),
            (tables.READ_LOTS, tables.BIGINT_ID, ids),
            (tables.READ_HOLDS, tables.UUID_ID, [{"id": id_} for id_ in hold_ids]),
        )
        books = {row[0]: Book(*row) for row in accounts}
        for account_id, *lot in lots:
            books[account_id].lots[lot[0]] = tables.lot(*lot)
        in_debt = [{"id": book.account_id} for book in books.values() if book.owed]
        for account_id, *debt in rows.select(tables.READ_DEBTS, tables.BIGINT_ID, in_debt) if in_debt else []:
            books[account_id].debts.append(Debt(*debt))
        for book in books.values():
            book.bring_up_to(now)
        return cls(books, tables.kept_holds(holds), now)

    def hold(self, request: HoldRequest) -> None:
        """
        Set the request's amount aside: of the account, or of the session hold that it names.

        :raises InsufficientCredits: if less is available there; nothing has changed then
        :raises HoldNotFound: if the account has no such session hold
        :raises HoldIsOver: if the session hold has been resolved, or its time is over
        """
        if request.parent_id is None:
            draws = self.by_account[request.account_id].hold(request.amount)
        else:
            draws = self._lend(self._session(request.account_id, request.parent_id), request.amount)
        self._new_holds.append(tables.new_hold_row(request, self._now))
        self._new_draws += [{"hold_id": request.id, "grant_id": draw.grant_id, "amount": draw.amount} for draw in draws]

    def available(self, account_id: int, session_id: str | None = None) -> int:
        """
        Return what a new hold may take: of the account, or of one of its session holds.

        :raises HoldNotFound: if the account has no such session hold
        :raises HoldIsOver: if it has been resolved, or its time is over
        """
        if session_id is None:
            return self.by_account[account_id].available
        return self._session(account_id, session_id).free

    def account_of_session(self, session_id: str) -> int | None:
        """Return the account that a session hold is on, if there is such a hold."""
        session = self._holds.get(session_id)
        return None if session is None else session.account_id

    def settle(self, hold_id: str, amount: int, *, why: Why, reference: str = "") -> Resolution:
        """
        Spend ``amount`` of a hold and free the rest. Above the hold, the rest is the house's ``shortfall``.

        ``reference`` is the other side's id of what was paid for, if it has not been kept before.

        :raises HoldNotFound: if there is no such hold
        """
        return self._resolve(hold_id, Hold.Status.SETTLED.value, amount, why, reference)

    def release(self, hold_id: str, *, status: str = Hold.Status.RELEASED.value, reference: str = "") -> Resolution:
        """
        Give a hold back whole, because it is not needed or (``status`` EXPIRED) because its time is over.

        :raises HoldNotFound: if there is no such hold
        """
        return self._resolve(hold_id, status, 0, Why(actor="system"), reference)

    def _resolve(self, hold_id: str, status: str, amount: int, why: Why, reference: str) -> Resolution:
        hold = self._holds.get(hold_id)
        if hold is None:
            raise HoldNotFound
        book = self.by_account[hold.account_id]
        is_late = hold.status == Hold.Status.EXPIRED.value
        if hold.status == Hold.Status.PENDING.value:
            session = self._holds.get(hold.parent_id) if hold.parent_id else None
            if session is not None and session.status == Hold.Status.PENDING.value:
                self._return(session, hold, amount)
            draws = [Draw(grant_id, drawn) for grant_id, drawn in hold.draws.items() if drawn]
            hold.settled = book.settle(hold.id, draws, amount, why=why, now=self._now)
        elif is_late and amount and not hold.settled:
            hold.settled = self._settle_late(hold, amount, why)
            # One that finds nothing is over as well, lest it be repeated when there is something.
            status = hold.status if hold.settled else status
        else:
            return Resolution(hold.id, hold.status, hold.amount, hold.settled, 0, first=False)
        hold.status = status
        kept = {
            "id": hold.id,
            "status": status,
            "settled": hold.settled,
            "lent": hold.lent,
            "reference": reference or hold.reference,
        }
        if is_late and hold.id not in self._resolved:
            self._settled_late[hold.id] = kept
        else:
            self._resolved[hold.id] = {**kept, "resolved_at": self._now}
        return Resolution(hold.id, status, hold.amount, hold.settled, amount - hold.settled, first=True)

    def _settle_late(self, hold: tables.KeptHold, amount: int, why: Why) -> int:
        """Spend for a hold whose claim has lapsed: of what its session has left while that lasts, else the account."""
        book = self.by_account[hold.account_id]
        wanted = min(amount, hold.free)
        session = self._holds.get(hold.parent_id) if hold.parent_id else None
        if session is None or session.status != Hold.Status.PENDING.value:
            return book.settle_late(hold.id, wanted, why=why, now=self._now)
        wanted = min(wanted, session.free)
        return book.settle(hold.id, self._lend(session, wanted), wanted, why=why, now=self._now)

    def lot_of(self, grant: Grant) -> Lot:
        """
        Return the lot of ``grant``, which may have nothing left and so not have been read with the others.

        ``grant`` must have been read after its account was locked.
        """
        book = self.by_account[grant.account_id]
        lot = book.lots.get(grant.pk)
        if lot is None:
            lot = book.lots[grant.pk] = Lot(
                grant.pk,
                grant.amount,
                grant.remaining,
                grant.held,
                grant.priority,
                grant.effective_at,
                grant.expires_at,
                grant.booked_at,
                grant.voided_at is not None,
            )
        return lot

    def _session(self, account_id: int, session_id: str) -> tables.KeptHold:
        session = self._holds.get(session_id)
        if session is None or session.account_id != account_id or session.parent_id is not None:
            raise HoldNotFound  # what was drawn from a session is no session: what it lends would not come back
        if session.status != Hold.Status.PENDING.value or session.expires_at <= self._now:
            raise HoldIsOver
        return session

    def _lend(self, session: tables.KeptHold, amount: int) -> list[Draw]:
        """Move claims from a session hold to one that draws from it; what the account holds stays the same."""
        if amount > session.free:
            raise InsufficientCredits(required=amount, available=session.free)
        lots = self.by_account[session.account_id].lots
        draws = []
        outstanding = amount
        for grant_id in _in_burn_order(session, lots):
            moved = min(session.draws[grant_id], outstanding)
            outstanding -= moved
            if moved:
                self._change_draw(session, grant_id, -moved)
                draws.append(Draw(grant_id, moved))
        assert outstanding == 0, "a session's draws are what it has not lent"
        self._change_lent(session, amount)
        return draws

    def _return(self, session: tables.KeptHold, hold: tables.KeptHold, amount: int) -> None:
        """Give the session back what ``hold`` does not need; of the rest, ``settle`` will leave nothing over."""
        lots = self.by_account[hold.account_id].lots
        needed = min(amount, hold.amount)
        for grant_id in _in_burn_order(hold, lots):
            kept = min(hold.draws[grant_id], needed)
            needed -= kept
            returned = hold.draws[grant_id] - kept
            hold.draws[grant_id] = kept
            if returned:
                self._change_draw(session, grant_id, returned)
                self._change_lent(session, -returned)

    def _change_draw(self, session: tables.KeptHold, grant_id: int, by: int) -> None:
        session.draws[grant_id] += by
        draw_id = session.draw_ids[grant_id]
        self._lent_draws[draw_id] = {"id": draw_id, "amount": session.draws[grant_id]}

    def _change_lent(self, session: tables.KeptHold, by: int) -> None:
        session.lent += by
        self._lent[session.id] = {"id": session.id, "lent": session.lent}

    def save(self, *also: rows.Change) -> None:
        """Write what changed, and ``also`` what a higher floor has to say of it, in one go."""
        moved = [book for book in self.by_account.values() if book.changed]
        entries = [row for book in moved for row in tables.entry_rows(book)]
        lots = [tables.lot_row(book.lots[grant_id]) for book in moved for grant_id in book.changed]
        lent = [row for hold_id, row in self._lent.items() if hold_id not in self._resolved]
        debts = [debt for book in moved for debt in book.debts]
        rows.write(
            rows.insert("credits_hold", tables.NEW_HOLD, self._new_holds),
            rows.insert("credits_draw", tables.DRAW, self._new_draws),
            rows.insert("credits_ledgerentry", tables.ENTRY, entries),
            rows.update("credits_grant", tables.LOT, lots),
            rows.update("credits_hold", tables.RESOLVED_HOLD, [*self._resolved.values()]),
            rows.update("credits_hold", tables.SETTLED_LATE, [*self._settled_late.values()]),
            rows.update("credits_hold", tables.LENT, lent),
            rows.update("credits_draw", tables.LENT_DRAW, [*self._lent_draws.values()]),
            rows.update("credits_account", tables.ACCOUNT, [tables.account_row(book, self._now) for book in moved]),
            rows.update("credits_reversal", tables.REVERSAL, [tables.reversal_row(debt) for debt in debts]),
            *also,
        )


def _in_burn_order(hold: tables.KeptHold, lots: Mapping[int, Lot]) -> list[int]:
    """The grants that ``hold`` still claims a part of."""
    claimed = [grant_id for grant_id, amount in hold.draws.items() if amount]
    return sorted(claimed, key=lambda grant_id: burn_order(lots[grant_id]))
