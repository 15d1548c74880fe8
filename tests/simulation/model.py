"""
What the ledger should do, told in the fewest words: no sums, no entries, no tables.

A grant is a heap of credits. Some of it lies free, some is claimed by holds, and what is neither
has been spent, has lapsed or was taken back. All totals are counted anew whenever they are asked
for. Written from ``docs/ledger.md``, not from the code: where the two differ, one is wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


class TooLittle(Exception):
    """Less is available than is asked for."""


class Over(Exception):
    """The session hold takes no more calls."""


class NoSession(Exception):
    """What was itself drawn from a session hold is none."""


@dataclass(eq=False)
class Heap:
    """A grant and what has become of it. ``lost`` has lapsed or was voided."""

    source: str
    amount: int
    priority: int = 100
    effective: datetime = ALWAYS
    expires: datetime = NEVER
    begun: bool = False
    voided: bool = False
    free: int = 0
    lost: int = 0
    claims: dict[str, int] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        return self.free + self.held

    @property
    def held(self) -> int:
        return sum(self.claims.values())


@dataclass(eq=False)
class Claim:
    """A hold. ``late`` says that it was settled after it had expired."""

    id: str
    amount: int
    expires: datetime
    session: "Claim | None"
    status: str = "PENDING"
    settled: int = 0
    late: bool = False
    left: int = 0


@dataclass(eq=False)
class TakeBack:
    """
    A refund or dispute of one source: what was taken of its own heap, what others paid for it, what had been
    lost already, and what is owed.
    """

    key: str
    source: str
    kind: str
    asked: int
    as_of: datetime
    own: int = 0
    paid: int = 0
    lost: int = 0
    owed: int = 0

    @property
    def total(self) -> int:
        return self.own + self.paid + self.lost + self.owed


class Model:
    """One account."""

    def __init__(self) -> None:
        self.heaps: list[Heap] = []
        self.claims: dict[str, Claim] = {}
        self.take_backs: list[TakeBack] = []

    @property
    def available(self) -> int:
        return sum(heap.free for heap in self.heaps)

    @property
    def held(self) -> int:
        return sum(heap.held for heap in self.heaps)

    @property
    def owed(self) -> int:
        return sum(take_back.owed for take_back in self.take_backs)

    def claimed(self, claim: Claim) -> int:
        return sum(heap.claims.get(claim.id, 0) for heap in self.heaps)

    def arrive(self, now: datetime) -> None:
        """Whatever fell due until ``now`` has happened, in the order in which the grants took effect."""
        for heap in sorted(self.heaps, key=lambda heap: heap.effective):
            self._begin(heap, now)
            self._lapse(heap, now)

    def give(self, heap: Heap, now: datetime) -> None:
        self.heaps.append(heap)
        self._begin(heap, now)
        self._lapse(heap, now)
        self._follow(heap, now)

    def take(self, amount: int) -> None:
        """Spend at once."""
        if amount > self.available:
            raise TooLittle
        self._spend(amount)

    def claim(self, claim: Claim, now: datetime) -> None:
        session = claim.session
        if session is not None and session.session is not None:
            raise NoSession
        if session is not None and (session.status != "PENDING" or session.expires <= now):
            raise Over
        if claim.amount > (self.available if session is None else self.claimed(session)):
            raise TooLittle
        self.claims[claim.id] = claim
        wanted = claim.amount
        for heap in self._in_order():
            part = min(wanted, heap.free if session is None else heap.claims.get(session.id, 0))
            if session is None:
                heap.free -= part
            else:
                heap.claims[session.id] = heap.claims.get(session.id, 0) - part
            heap.claims[claim.id] = part
            wanted -= part

    def resolve(self, claim: Claim, status: str, cost: int, now: datetime) -> bool:
        """Whether this is what resolved it; who comes later changes nothing."""
        if claim.status == "PENDING":
            claim.status, claim.left = status, self.claimed(claim)
            self._free(claim, cost, now)
            return True
        if claim.status == "EXPIRED" and cost and not claim.late:
            claim.late = True
            self._settle_late(claim, cost)
            claim.status = "EXPIRED" if claim.settled else status
            return True
        return False

    def void(self, heap: Heap, now: datetime) -> None:
        if not heap.begun and not heap.voided:
            heap.lost = heap.amount
        heap.voided = True
        self._lapse(heap, now)
        self._follow(heap, now)

    def hear(self, news: TakeBack, now: datetime) -> None:
        """Of a refund or dispute: what it comes to all told. Older news is passed over."""
        known = next((take_back for take_back in self.take_backs if take_back.key == news.key), None)
        if known is None:
            self.take_backs.append(news)
            known = news
        elif news.as_of < known.as_of:
            return
        known.asked, known.as_of = news.asked, news.as_of
        for heap in self.heaps:
            if heap.source == known.source:
                self._follow(heap, now)
                break

    def broken_laws(self) -> list[str]:
        """What refunds and disputes of a heap must never come to, however it came about."""
        broken = []
        for heap in self.heaps:
            all_of = self._all_of(heap.source)
            if sum(each.total for each in all_of) != min(sum(each.asked for each in all_of), heap.amount):
                broken.append(f"{heap.source}: less is reversed than is asked and was given, or more")
            if any(each.owed for each in all_of) and (heap.free or sum(each.lost for each in all_of) != heap.lost):
                broken.append(f"{heap.source}: what was never spent is owed")
        return broken

    def _follow(self, heap: Heap, now: datetime) -> None:
        """
        First whoever asks for less gives up the rest, then the oldest may ask for more, all of them no more
        than the heap was. What lies free goes first, then what is lost already, and only the rest is owed.
        """
        all_of = self._all_of(heap.source)
        for each in all_of:
            self._give_up(each, heap, max(0, each.total - each.asked), now)
        for each in all_of:
            more = min(each.asked - each.total, heap.amount - sum(other.total for other in all_of))
            own = min(more, heap.free)
            heap.free -= own
            each.own += own
            each.owed += more - own
        for each in all_of:
            lost = min(each.owed, heap.lost - sum(other.lost for other in all_of))
            each.owed -= lost
            each.lost += lost

    def _give_up(self, take_back: TakeBack, heap: Heap, amount: int, now: datetime) -> None:
        """What others paid, and what an expired heap cannot have back, is given as a new heap that stays."""
        back = {}
        for name in ("owed", "paid", "lost", "own"):
            back[name] = min(amount, getattr(take_back, name))
            setattr(take_back, name, getattr(take_back, name) - back[name])
            amount -= back[name]
        if heap.voided or heap.expires > now:
            heap.free += back.pop("own")
            self._pay(heap, self._all_of(heap.source))
            self._lapse(heap, now)
        anew = back["paid"] + back.get("own", 0)
        if anew:
            self.give(Heap("", anew, effective=now), now)

    def _begin(self, heap: Heap, now: datetime) -> None:
        if not heap.begun and not heap.voided and heap.effective <= now:
            heap.begun, heap.free = True, heap.amount
            self._pay(heap, self.take_backs)

    def _pay(self, heap: Heap, debts: Iterable[TakeBack]) -> None:
        """The oldest debt first."""
        for take_back in debts:
            paid = min(heap.free, take_back.owed)
            heap.free -= paid
            take_back.owed -= paid
            if take_back.source == heap.source:
                take_back.own += paid
            else:
                take_back.paid += paid

    def _lapse(self, heap: Heap, now: datetime) -> None:
        if heap.voided or heap.expires <= now:
            heap.lost += heap.free
            heap.free = 0

    def _free(self, claim: Claim, cost: int, now: datetime) -> None:
        """Spend the cost; the rest goes back to where it was claimed from, or pays what its grant owes, or lapses."""
        session = claim.session if claim.session and claim.session.status == "PENDING" else None
        for heap in self._in_order():
            claimed = heap.claims.pop(claim.id, 0)
            spent = min(claimed, cost - claim.settled)
            claim.settled += spent
            if session is None:
                heap.free += claimed - spent
                self._pay(heap, self._all_of(heap.source))
                self._lapse(heap, now)
            else:
                heap.claims[session.id] = heap.claims.get(session.id, 0) + claimed - spent

    def _settle_late(self, claim: Claim, cost: int) -> None:
        """Its claim is gone: up to its amount is spent of what its session has left, or the account."""
        session = claim.session if claim.session and claim.session.status == "PENDING" else None
        wanted = min(cost, claim.left)
        if session is None:
            claim.settled = min(wanted, self.available)
            self._spend(claim.settled)
            return
        for heap in self._in_order():
            spent = min(heap.claims.get(session.id, 0), wanted - claim.settled)
            claim.settled += spent
            if spent:
                heap.claims[session.id] -= spent

    def _spend(self, amount: int) -> None:
        for heap in self._in_order():
            spent = min(heap.free, amount)
            heap.free -= spent
            amount -= spent

    def _in_order(self) -> list[Heap]:
        """Lower priority number, then earlier expiry, then older: the sort keeps the order of what is equal."""
        return sorted(self.heaps, key=lambda heap: (heap.priority, heap.expires))

    def _all_of(self, source: str) -> list[TakeBack]:
        return [take_back for take_back in self.take_backs if source and take_back.source == source]
