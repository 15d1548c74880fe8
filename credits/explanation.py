"""
Why a balance is what it is, or was: an account at any instant, and what lies between two.

Pure arithmetic over what ``credits.history`` reads. What fell due at an instant counts at
that instant, although it was booked later, by the very rule of the ledger
(``Book.bring_up_to``); it is told apart, as ``due``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from credits.kinds import KINDS
from credits.ledger import Book, Debt, Entry, Lot, burn_order


@dataclass(frozen=True, slots=True)
class State:
    """
    An account as it was at ``at``, in units.

    ``sequence`` is its newest entry by then, ``lots`` what was left in burn order, and ``due``
    what had fallen due by then and had not been booked yet.
    """

    at: datetime
    sequence: int
    balance: int
    held: int
    lots: Sequence[Lot]
    due: Sequence[Entry]

    @property
    def available(self) -> int:
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class Movement:
    """All that one kind of entry did between two instants, in units."""

    kind: str
    entries: int
    amount: int

    @property
    def counter_account(self) -> str:
        return KINDS[self.kind].counter_account


@dataclass(frozen=True, slots=True)
class Difference:
    """From one state to a later one: the opening balance and the movements add up to the closing balance."""

    opening: State
    movements: Sequence[Movement]
    closing: State


def state_at(at: datetime, *, account_id: int, sequence: int, lots: Iterable[Lot], debts: Iterable[Debt] = ()) -> State:
    """
    Return the account at ``at``. ``lots`` are as the entries and holds up to then left them.

    ``debts`` are what a grant that had taken effect, but was not booked yet, would have had to pay.
    """
    by_grant = {lot.grant_id: lot for lot in lots}
    balance = sum(lot.remaining for lot in by_grant.values())
    held = sum(lot.held for lot in by_grant.values())
    book = Book(account_id, balance, held, 0, sequence, "", by_grant, debts=[*debts])
    book.bring_up_to(at)
    left = [lot for lot in by_grant.values() if lot.remaining or lot.booked_at is None]
    return State(at, sequence, book.balance, book.held, sorted(left, key=burn_order), book.entries)


def difference(opening: State, closing: State, booked: Iterable[Movement]) -> Difference:
    """
    Return what lies between two states. ``booked`` sums up the entries between them.

    What had fallen due by ``opening`` and was booked after it does not count; what had
    fallen due by ``closing`` does, though it was booked later still.
    """
    sums = {movement.kind: (movement.entries, movement.amount) for movement in booked}
    for sign, state in ((1, closing), (-1, opening)):
        for entry in state.due:
            entries, amount = sums.get(entry.kind, (0, 0))
            sums[entry.kind] = (entries + sign, amount + sign * entry.amount)
    assert sums.keys() <= KINDS.keys(), "every kind has its counter-account"
    movements = [Movement(kind, *sums[kind]) for kind in KINDS if sums.get(kind, (0, 0)) != (0, 0)]
    return Difference(opening, movements, closing)
