"""
The book against a model that counts every unit by hand, over any sequence of movements.

The model knows no sums, no lots and no draws: it has a list of units, each in one state, and
moves them one at a time. Every few steps the book is put down and read again, as a
transaction does, without the lots that are empty.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from credits.errors import InsufficientCredits
from credits.ledger import ADJUSTMENT, Book, Draw, Entry, Lot, Why, chain

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WHY = Why(actor="model")

WAITING, FREE, SPENT, GONE = "waiting", "free", "spent", "gone"


@dataclass
class Unit:
    """One unit of a grant. Its state is one of those above, or the hold that has it."""

    grant: int
    state: str
    priority: int
    effective: int
    expires: int


class Model:
    """All units there ever were."""

    def __init__(self) -> None:
        self.units: list[Unit] = []

    def count(self, *states: str) -> int:
        return sum(unit.state in states for unit in self.units)

    def held(self) -> list[str]:
        return [unit.state for unit in self.units if unit.state not in (WAITING, FREE, SPENT, GONE)]

    def grant(self, number: int, amount: int, priority: int, effective: int, expires: int) -> None:
        self.units += [Unit(number, WAITING, priority, effective, expires) for _ in range(amount)]

    def pass_time(self, now: int) -> None:
        for unit in self.units:
            if unit.state == WAITING and unit.effective <= now:
                unit.state = FREE
            if unit.state == FREE and unit.expires <= now:
                unit.state = GONE

    def move(self, amount: int, source: str, target: str) -> None:
        for _ in range(amount):
            found = [unit for unit in self.units if unit.state == source]
            min(found, key=lambda unit: (unit.priority, unit.expires, unit.grant)).state = target


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.hour = 0
        self.grants = 0
        self.model = Model()
        self.book = Book(1, 0, 0, 0, 0, "")
        self.holds: dict[str, list[Draw]] = {}
        self.resolved = 0
        self.entries: list[Entry] = []

    @property
    def now(self) -> datetime:
        return START + self.hour * HOUR

    def begin(self) -> None:
        """Read the book as a transaction does: what is left or waits, in no particular order, brought up to now."""
        kept = self.book
        lots = {
            number: replace(lot)
            for number, lot in reversed(kept.lots.items())
            if lot.remaining > 0 or lot.booked_at is None
        }
        assert all(lot == kept.lots[number] for number, lot in lots.items())
        self.book = Book(1, kept.balance, kept.held, kept.owed, kept.entry_count, kept.head, lots)
        self.book.bring_up_to(self.now)
        self.model.pass_time(self.hour)

    def end(self) -> None:
        self.model.pass_time(self.hour)
        moved = {entry.grant_id for entry in self.book.entries}
        assert moved <= self.book.changed
        self.entries += self.book.entries

    @rule(hours=st.integers(1, 5))
    def time_passes(self, hours):
        self.hour += hours

    @rule(
        amount=st.integers(1, 12),
        priority=st.integers(1, 2),
        delay=st.sampled_from([0, 0, 0, -3, 2, 6]),
        life=st.none() | st.integers(1, 8),
    )
    def give(self, amount, priority, delay, life):
        self.begin()
        self.grants += 1
        effective = self.hour + delay
        expires = 10**6 if life is None else effective + life
        self.model.grant(self.grants, amount, priority, effective, expires)
        expires_at = None if life is None else START + expires * HOUR
        lot = Lot(self.grants, amount, 0, 0, priority, START + effective * HOUR, expires_at, None)
        self.book.grant(lot, why=WHY, now=self.now)
        self.end()

    @rule(amount=st.integers(0, 20))
    def hold(self, amount):
        self.begin()
        hold_id = f"hold {len(self.holds) + self.resolved}"
        try:
            self.holds[hold_id] = self.book.hold(amount)
        except InsufficientCredits:
            assert amount > self.model.count(FREE)
        else:
            self.model.move(amount, FREE, hold_id)
        self.end()

    @rule()
    def hold_all_there_is(self):
        self.begin()
        hold_id = f"hold {len(self.holds) + self.resolved}"
        amount = self.model.count(FREE)
        self.holds[hold_id] = self.book.hold(amount)
        self.model.move(amount, FREE, hold_id)
        with pytest.raises(InsufficientCredits):
            self.book.hold(1)
        self.end()

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), used=st.integers(0, 25))
    def settle(self, data, used):
        self.begin()
        hold_id = data.draw(st.sampled_from(list(self.holds)))
        held = self.model.count(hold_id)
        taken = self.book.settle(hold_id, self.holds.pop(hold_id), used, why=WHY, now=self.now)
        assert taken == min(used, held)
        self.model.move(taken, hold_id, SPENT)
        self.model.move(held - taken, hold_id, FREE)
        self.resolved += 1
        self.end()

    @rule(amount=st.integers(0, 20))
    def debit(self, amount):
        self.begin()
        try:
            self.book.debit(amount, ADJUSTMENT, why=WHY, now=self.now)
        except InsufficientCredits:
            assert amount > self.model.count(FREE)
        else:
            self.model.move(amount, FREE, SPENT)
        self.end()

    @invariant()
    def the_book_is_in_balance(self):
        held = self.model.held()
        lots = self.book.lots.values()
        assert self.book.held == sum(lot.held for lot in lots) == len(held)
        assert self.book.balance == sum(lot.remaining for lot in lots) == sum(entry.amount for entry in self.entries)
        assert all(0 <= lot.held <= lot.remaining <= lot.amount for lot in lots)
        assert {id_: sum(draw.amount for draw in draws) for id_, draws in self.holds.items()} == {
            id_: held.count(id_) for id_ in self.holds
        }

    @invariant()
    def every_grant_has_what_the_model_says(self):
        self.begin()
        self.end()
        for number, lot in self.book.lots.items():
            units = [unit.state for unit in self.model.units if unit.grant == number]
            assert lot.remaining == sum(state not in (WAITING, SPENT, GONE) for state in units)
            assert lot.free == units.count(FREE)
            assert (lot.booked_at is None) == (WAITING in units)
        assert self.book.available == self.model.count(FREE)

    @invariant()
    def the_chain_holds(self):
        head, balance = "", 0
        for number, entry in enumerate(self.entries, start=1):
            balance += entry.amount
            head = chain(head, 1, entry)
            assert (entry.sequence, entry.balance_after, entry.digest) == (number, balance, head)
        assert (self.book.entry_count, self.book.head) == (len(self.entries), head)


TestLedger = pytest.mark.proof(LedgerMachine.TestCase)
TestLedger.settings = settings(
    max_examples=max(60, settings.default.max_examples // 4), stateful_step_count=40, deadline=None
)
