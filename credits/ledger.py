"""
The rules of the ledger: one account's books in memory, and every way they may change.

Nothing here knows Django, the clock or the database, so each rule can be checked by
example and by property. ``credits.books`` reads books under the account's lock and
writes what changed; CHECK constraints stand behind every assertion made here.

All amounts are in units of 10⁻⁷ (``credits.amounts``).
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from credits.errors import InsufficientCredits

FAR_FUTURE = datetime.max.replace(tzinfo=UTC)

GRANT = "GRANT"
USAGE = "USAGE"
EXPIRY = "EXPIRY"
ADJUSTMENT = "ADJUSTMENT"
VOID = "VOID"
REFUND = "REFUND"
DISPUTE = "DISPUTE"
DEBT = "DEBT"
REINSTATE = "REINSTATE"

#: How what nobody has spent of a grant goes.
LAPSING = (EXPIRY, VOID)


@dataclass(slots=True)
class Lot:
    """What is left of a grant. ``booked_at`` is empty until the grant takes effect and its entry is made."""

    grant_id: int
    amount: int
    remaining: int
    held: int
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    booked_at: datetime | None
    is_voided: bool = False

    @property
    def free(self) -> int:
        return self.remaining - self.held

    def is_due(self, now: datetime) -> bool:
        """Whether it is voided or has expired. It counts at the instant, whether or not a worker has run."""
        return self.is_voided or (self.expires_at is not None and self.expires_at <= now)


@dataclass(frozen=True, slots=True)
class Draw:
    """A part taken from a lot."""

    grant_id: int
    amount: int


@dataclass(slots=True)
class Debt:
    """
    What a refund or dispute (``kind``) has come to: all of a grant that it has reversed.

    ``taken`` is what was taken back so far, ``paid`` the part of it that other grants paid;
    ``lapsed`` had gone unspent before it could be taken, and nobody owes that; ``owed`` was
    spent, or is claimed by a hold, and is left to take.
    """

    reversal_id: int
    key: str
    grant_id: int
    kind: str
    taken: int
    owed: int
    paid: int = 0
    lapsed: int = 0

    @property
    def reversed(self) -> int:
        return self.taken + self.lapsed + self.owed


@dataclass(slots=True)
class Entry:
    """One final movement on one grant, numbered and chained to the entry before it."""

    sequence: int
    grant_id: int
    hold_id: str | None
    kind: str
    amount: int
    balance_after: int
    reference: str
    memo: str
    actor: str
    created_at: datetime
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """What an entry says of its cause."""

    actor: str
    reference: str = ""
    memo: str = ""


def burn_order(lot: Lot) -> tuple[int, datetime, int]:
    """
    Sort key of burn-down: lower priority number, then earlier expiry, then older grant.

    The order is total, so the same spend always draws on the same grants.
    """
    return (lot.priority, lot.expires_at or FAR_FUTURE, lot.grant_id)


def burn_down(lots: Iterable[Lot], amount: int) -> list[Draw]:
    """Split ``amount`` over the free parts of ``lots`` in burn order. They must cover it."""
    assert amount >= 0, "burn down a debt, not a gift"

    draws = []
    outstanding = amount
    for lot in sorted(lots, key=burn_order):
        taken = min(lot.free, outstanding)
        if taken > 0:
            draws.append(Draw(lot.grant_id, taken))
            outstanding -= taken

    assert outstanding == 0, "the caller has checked what is available"
    return draws


def chain(head: str, account_id: int, entry: Entry) -> str:
    """
    Digest of ``entry``: SHA-256 over the digest before it and every field it states.

    Written as a JSON array, so that anyone can recompute it (``docs/ledger.md``).
    """
    stated = [
        head,
        account_id,
        entry.sequence,
        entry.grant_id,
        entry.hold_id,
        entry.kind,
        entry.amount,
        entry.balance_after,
        entry.reference,
        entry.memo,
        entry.actor,
        entry.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
    ]
    text = json.dumps(stated, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Book:
    """
    One account's books: its sums, its lots, and the entries made since it was read.

    ``changed`` names the lots to write back. Every method leaves the book in balance.
    """

    account_id: int
    balance: int
    held: int
    owed: int
    entry_count: int
    head: str
    lots: dict[int, Lot] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    debts: list[Debt] = field(default_factory=list)

    @property
    def available(self) -> int:
        return self.balance - self.held

    def bring_up_to(self, now: datetime) -> None:
        """
        Book the grants that have taken effect, in the order in which they did, and expire what is free of those due.

        Which of them pays what is owed does not depend on when they are booked, then.
        """
        for lot in sorted(self.lots.values(), key=lambda lot: (lot.effective_at, lot.grant_id)):
            self._book_if_effective(lot, SYSTEM_EFFECTIVE, now)
            self._expire_if_due(lot, now)

    def grant(self, lot: Lot, *, why: Why, now: datetime) -> None:
        """Add a new lot. One that takes effect later waits, unbooked, until then; an expired one is gone at once."""
        self.lots[lot.grant_id] = lot
        self._book_if_effective(lot, why, now)
        self._expire_if_due(lot, now)

    def hold(self, amount: int) -> list[Draw]:
        """
        Set ``amount`` aside and return the draws that cover it.

        :raises InsufficientCredits: if less is available
        """
        if amount > self.available:
            raise InsufficientCredits(required=amount, available=self.available)
        draws = burn_down(self.lots.values(), amount)
        for draw in draws:
            self.lots[draw.grant_id].held += draw.amount
            self.changed.add(draw.grant_id)
        self.held += amount
        return draws

    def settle(self, hold_id: str, draws: Iterable[Draw], amount: int, *, why: Why, now: datetime) -> int:
        """
        Resolve a hold: spend ``amount`` of what its ``draws`` claimed and free the rest.

        A settle above the hold takes the whole hold and no more. Returns what was taken.
        """
        assert amount >= 0, "settle a cost, not a gift"
        outstanding = amount
        for draw in sorted(draws, key=lambda draw: burn_order(self.lots[draw.grant_id])):
            lot = self.lots[draw.grant_id]
            taken = min(draw.amount, outstanding)
            outstanding -= taken
            lot.held -= draw.amount
            self.held -= draw.amount
            self.changed.add(lot.grant_id)
            if taken:
                lot.remaining -= taken
                self._post(lot, USAGE, -taken, hold_id=hold_id, why=why, now=now)
            self._pay_debts(lot, now, own_only=True)
            self._expire_if_due(lot, now)
        return amount - outstanding

    def settle_late(self, hold_id: str, amount: int, *, why: Why, now: datetime) -> int:
        """Spend up to ``amount`` of what is available for a hold whose claim has lapsed. Returns what was taken."""
        taken = min(amount, self.available)
        for draw in burn_down(self.lots.values(), taken):
            lot = self.lots[draw.grant_id]
            lot.remaining -= draw.amount
            self._post(lot, USAGE, -draw.amount, hold_id=hold_id, why=why, now=now)
        return taken

    def void(self, lot: Lot, *, why: Why, now: datetime) -> None:
        """Take what nobody has spent or claimed of ``lot``; what a hold frees later goes too."""
        lot.is_voided = True
        self.changed.add(lot.grant_id)
        self.take_back(lot, lot.free, VOID, why=why, now=now)

    def take_back(self, lot: Lot, amount: int, kind: str, *, why: Why, now: datetime) -> int:
        """Take up to ``amount`` of what is unspent and not held of a grant. Returns what was taken."""
        taken = min(lot.free, amount)
        if taken:
            lot.remaining -= taken
            self._post(lot, kind, -taken, hold_id=None, why=why, now=now)
        return taken

    def reverse(self, lot: Lot, debt: Debt, amount: int, *, why: Why, now: datetime) -> None:
        """Reverse ``amount`` more of a grant: take what is free, and owe the rest, which the next grants pay first."""
        taken = self.take_back(lot, amount, debt.kind, why=why, now=now)
        debt.taken += taken
        debt.owed += amount - taken
        self.owed += amount - taken
        self.changed.add(lot.grant_id)

    def excuse(self, debt: Debt, amount: int) -> int:
        """Let up to ``amount`` of what is owed be of what lapsed of its grant unspent. Returns what was excused."""
        excused = min(debt.owed, amount)
        debt.owed -= excused
        debt.lapsed += excused
        self.owed -= excused
        self.changed.add(debt.grant_id)
        return excused

    def undo(self, debt: Debt, amount: int) -> tuple[int, int]:
        """
        Reverse ``amount`` less, in the opposite order: what is owed, what others paid, what had lapsed, what was taken.

        Returns what is to be put back: what other grants paid, and what was taken of the grant itself.
        """
        owed = min(debt.owed, amount)
        paid = min(debt.paid, amount - owed)
        lapsed = min(debt.lapsed, amount - owed - paid)
        taken = amount - owed - paid - lapsed
        debt.owed -= owed
        debt.paid -= paid
        debt.lapsed -= lapsed
        debt.taken -= paid + taken
        assert debt.taken >= debt.paid, "no more is undone than was reversed"
        self.owed -= owed
        self.changed.add(debt.grant_id)
        return paid, taken

    def give_back(self, lot: Lot, amount: int, *, why: Why, now: datetime) -> None:
        """Put ``amount`` that was taken back into its grant again, which first pays what its other reversals owe."""
        lot.remaining += amount
        assert lot.remaining <= lot.amount, "only what was taken from a grant can be given back to it"
        self._post(lot, REINSTATE, amount, hold_id=None, why=why, now=now)
        self._pay_debts(lot, now, own_only=True)
        self._expire_if_due(lot, now)

    def debit(self, amount: int, kind: str, *, why: Why, now: datetime) -> None:
        """
        Take ``amount`` at once, in burn order.

        :raises InsufficientCredits: if less is available
        """
        if amount > self.available:
            raise InsufficientCredits(required=amount, available=self.available)
        for draw in burn_down(self.lots.values(), amount):
            lot = self.lots[draw.grant_id]
            lot.remaining -= draw.amount
            self._post(lot, kind, -draw.amount, hold_id=None, why=why, now=now)

    def _book_if_effective(self, lot: Lot, why: Why, now: datetime) -> None:
        if lot.booked_at is None and lot.effective_at <= now and not lot.is_voided:
            assert lot.remaining == 0, "a lot is filled when it is booked"
            lot.booked_at = now
            lot.remaining = lot.amount
            self._post(lot, GRANT, lot.amount, hold_id=None, why=why, now=now)
            self._pay_debts(lot, now)

    def _pay_debts(self, lot: Lot, now: datetime, *, own_only: bool = False) -> None:
        """
        Pay what is owed, oldest first: a new grant pays all, a slice that a hold frees only its own grant's.

        So nobody loses what they hold of one purchase because another was refunded.
        """
        for debt in self.debts:
            own = debt.grant_id == lot.grant_id
            paid = min(debt.owed, lot.free) if own or not own_only else 0
            if paid:
                self.owed -= paid
                debt.owed -= paid
                debt.taken += paid
                debt.paid += 0 if own else paid
                lot.remaining -= paid
                why = Why(actor="system", reference=debt.key)
                self._post(lot, debt.kind if own else DEBT, -paid, hold_id=None, why=why, now=now)

    def _expire_if_due(self, lot: Lot, now: datetime) -> None:
        """A hold keeps its claim on what it drew; expiry takes only the rest."""
        if lot.free and lot.is_due(now):
            gone = lot.free
            lot.remaining -= gone
            kind, why = (VOID, SYSTEM_VOID) if lot.is_voided else (EXPIRY, SYSTEM_EXPIRY)
            self._post(lot, kind, -gone, hold_id=None, why=why, now=now)

    def _post(self, lot: Lot, kind: str, amount: int, *, hold_id: str | None, why: Why, now: datetime) -> None:
        self.balance += amount
        self.entry_count += 1
        self.changed.add(lot.grant_id)
        entry = Entry(
            sequence=self.entry_count,
            grant_id=lot.grant_id,
            hold_id=hold_id,
            kind=kind,
            amount=amount,
            balance_after=self.balance,
            reference=why.reference,
            memo=why.memo,
            actor=why.actor,
            created_at=now,
        )
        entry.digest = self.head = chain(self.head, self.account_id, entry)
        self.entries.append(entry)


SYSTEM_EFFECTIVE = Why(actor="system", memo="The grant took effect.")
SYSTEM_EXPIRY = Why(actor="system", memo="The grant expired.")
SYSTEM_VOID = Why(actor="system", memo="The grant was voided.")
