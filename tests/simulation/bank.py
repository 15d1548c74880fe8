"""Random histories of two accounts, lived through by the real services and by the model at once."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from credits import rows, services
from credits.books import Books, HoldRequest
from credits.errors import DuplicateHold, HoldIsOver, HoldNotFound, InsufficientCredits, SourceConflict
from credits.models import Account, Draw, Grant, Hold
from credits.reversals import reverse, void_grant
from tests.simulation.model import NEVER, Claim, Heap, Model, NoSession, Over, TakeBack, TooLittle

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REFUSALS = (InsufficientCredits, SourceConflict, DuplicateHold, HoldIsOver, HoldNotFound)
STEPS_BETWEEN_CHECKS = 100
STATE = (
    "SELECT balance, held, owed, entry_count, head FROM credits_account ORDER BY id",
    "SELECT account_id, remaining, held, booked_at, voided_at FROM credits_grant ORDER BY id",
    "SELECT account_id, asked, taken, paid, lapsed, owed FROM credits_reversal ORDER BY id",
    "SELECT id, status, settled, lent FROM credits_hold ORDER BY id",
)


class Crash(OperationalError):
    """The process or the connection died here."""


class Simulation:
    """One history. Everything in it follows from ``seed`` and the number of steps."""

    def __init__(self, accounts: list[Account], seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.accounts = accounts
        self.models = {account.pk: Model() for account in accounts}
        self.log: deque[str] = deque(maxlen=25)
        self.numbers = iter(range(1, 10**9))
        self.announced: list[tuple[Account, str]] = []
        self.debits: dict[tuple[int, str], int] = {}
        self.keys: dict[str, Claim] = {}

    def run(self, steps: int) -> None:
        """Live through ``steps`` and leave the database as it was."""
        moves = list(MOVES)
        with transaction.atomic():
            for step in range(1, steps + 1):
                [move] = self.chance.choices(moves, MOVES.values())
                try:
                    move(self)
                    self.compare()
                    if step % STEPS_BETWEEN_CHECKS == 0 or step == steps:
                        self.prove()
                except Exception as error:
                    error.add_note("\n".join(self.log))
                    raise
            transaction.set_rollback(True)

    # What can happen

    def time_passes(self) -> None:
        self.now += self.chance.choice([HOUR / 60, HOUR, HOUR, 3 * HOUR, 24 * HOUR])
        self.log.append(f"it is {self.now:%d %H:%M}")

    def give(self) -> None:
        account, model = self.somebody()
        source = f"source:{next(self.numbers)}"
        if self.announced and self.happens(0.5):
            account, source = self.announced.pop()
            model = self.models[account.pk]
        effective = self.now + self.chance.choice([0, 0, 0, -3, 2, 6]) * HOUR
        expires = effective + self.chance.randint(1, 8) * HOUR if self.happens(0.6) else None
        heap = Heap(source, self.chance.randint(1, 30), self.chance.randint(1, 3), effective, expires or NEVER)
        terms = {"category": "PURCHASE", "source": source, "actor": "system", "now": self.now}
        terms |= {"priority": heap.priority, "effective_at": effective, "expires_at": expires}
        self.do(
            f"give {account.pk} {heap}",
            lambda: services.grant(account=account, amount=heap.amount, **terms).source,
            lambda: model.give(heap, self.now),
            says=source,
        )
        if self.happens(0.1):
            other = heap.amount + 1
            self.refused(SourceConflict, lambda: services.grant(account=account, amount=other, **terms))

    def adjust(self) -> None:
        account, model = self.somebody()
        amount = self.chance.choice([-30, -5, -1, 1, 5, 30])
        self.debit_or_grant(account, model, amount, f"adjust:{next(self.numbers)}")

    def debit(self) -> None:
        account, model = self.somebody()
        amount, reference = self.chance.randint(1, 20), f"debit:{next(self.numbers)}"
        terms = {"kind": "ADJUSTMENT", "reference": reference, "actor": "system", "now": self.now}

        def taken() -> int:
            entries = services.debit(account=account, amount=amount, **terms)
            return -sum(entry.amount for entry in entries)

        if self.do(f"debit {account.pk} {amount}", taken, lambda: model.take(amount), says=amount) == amount:
            self.refused(SourceConflict, lambda: services.debit(account=account, amount=amount + 1, **terms))

    def debit_or_grant(self, account: Account, model: Model, amount: int, reference: str) -> None:
        def adjusted() -> int:
            terms = {"reference": reference, "memo": "simulated", "actor": "user:1", "now": self.now}
            entries = services.adjust(account=account, amount=amount, **terms)
            return sum(entry.amount for entry in entries)

        def expected() -> int:
            if amount > 0:
                model.give(Heap(reference, amount, effective=self.now), self.now)
            else:
                model.take(-amount)
            return amount

        self.do(f"adjust {account.pk} {amount}", adjusted, expected)

    def hold(self) -> None:
        """Some at once, for both accounts, of their own or of session holds."""
        requests, expecting = [], []
        for _ in range(self.chance.choice([1, 1, 1, 2, 4])):
            account, model = self.somebody()
            sessions = [claim for claim in model.claims.values() if self.is_open(claim)]
            session = self.chance.choice(sessions) if sessions and self.happens(0.4) else None
            claim = Claim(
                self.new_id(),
                self.chance.choice([0, 1, 3, 7, 20, model.available]),
                self.now + self.chance.randint(1, 12) * HOUR,
                session,
            )
            key = f"key:{next(self.numbers)}" if self.happens(0.3) else None
            if key:
                self.keys[key] = claim
            requests.append(self.request(account, claim, key))
            expecting.append((model, claim))
        self.do(
            f"hold {[(request.account_id, request.amount, request.parent_id) for request in requests]}",
            lambda: [outcome_of(placed) for placed in services.place_holds(requests, now=self.now)],
            lambda: [self.claimed(model, claim) for model, claim in expecting],
        )

    def hold_of_a_session_that_may_be_over(self) -> None:
        account, model = self.somebody()
        if not model.claims:
            return
        session = self.chance.choice(list(model.claims.values()))
        claim = Claim(self.new_id(), 1, self.now + HOUR, session)
        self.do(
            f"hold 1 of {session.id}",
            lambda: [outcome_of(each) for each in services.place_holds([self.request(account, claim)], now=self.now)],
            lambda: [self.claimed(model, claim)],
        )

    def hold_under_a_key_that_holds(self) -> None:
        """The same terms find the first hold, however it ended; others are refused."""
        account, model = self.somebody()
        kept = [(key, claim) for key, claim in self.keys.items() if claim.id in model.claims]
        if not kept:
            return
        key, first = self.chance.choice(kept)
        again = Claim(self.new_id(), first.amount, first.expires, None)
        [placed] = services.place_holds([self.request(account, again, key)], now=self.now)
        assert outcome_of(placed) == first.id
        again.amount += 1
        self.refused(DuplicateHold, lambda: services.place_holds([self.request(account, again, key)], now=self.now))

    def settle(self) -> None:
        chosen = self.some_claims()
        costs = [self.chance.choice([0, 1, claim.amount, claim.amount // 2, claim.amount + 3]) for claim in chosen]
        settlements = [(claim.id, cost) for claim, cost in zip(chosen, costs, strict=True)]
        self.resolve(
            f"settle {settlements}",
            lambda: services.settle_holds(settlements, actor="key:1", now=self.now),
            [(claim, "SETTLED", cost) for claim, cost in zip(chosen, costs, strict=True)],
        )

    def release(self) -> None:
        chosen = self.some_claims()
        self.resolve(
            f"release {[claim.id for claim in chosen]}",
            lambda: services.release_holds([claim.id for claim in chosen], now=self.now),
            [(claim, "RELEASED", 0) for claim in chosen],
        )

    def expire(self) -> None:
        ids = [claim.id for model in self.models.values() for claim in model.claims.values()]
        self.arrive()
        resolutions = self.outcome(lambda: services.expire_holds(ids, now=self.now))
        self.log.append(f"expire {[resolution.hold_id for resolution in resolutions if resolution.first]}")
        for resolution in resolutions:  # in which order is the database's affair, and comes to the same
            model, claim = self.found(resolution.hold_id)
            assert claim.expires <= self.now
            assert model.resolve(claim, "EXPIRED", 0, self.now) == resolution.first
        assert not any(
            claim.status == "PENDING" and claim.expires <= self.now
            for model in self.models.values()
            for claim in model.claims.values()
        )

    def void(self) -> None:
        account, model = self.somebody()
        grants = list(Grant.objects.filter(account=account).order_by("pk"))
        if not grants:
            return
        number = self.chance.randrange(len(grants))
        self.do(
            f"void {account.pk} {model.heaps[number].source}",
            lambda: (
                void_grant(grant=grants[number], actor="user:1", memo="simulated", now=self.now).voided_at is not None
            ),
            lambda: model.void(model.heaps[number], self.now),
            says=True,
        )

    def refund_or_dispute(self) -> None:
        account, model = self.somebody()
        kind = self.chance.choice(["REFUND", "DISPUTE"])
        sources = [heap.source for heap in model.heaps if heap.source.startswith("source")]
        if model.take_backs and self.happens(0.5):
            known = self.chance.choice(model.take_backs)
            key, source, kind = known.key, known.source, known.kind
        elif sources and self.happens(0.85):
            key, source = f"reversal:{next(self.numbers)}", self.chance.choice(sources)
        else:
            key, source = f"reversal:{next(self.numbers)}", f"source:{next(self.numbers)}"
            self.announced.append((account, source))
        asked = self.chance.choice([0, 0, 1, 5, 10, 30, 100])
        as_of = self.now - self.chance.choice([0, 0, 0, 1, 5]) * HOUR
        terms = {"account": account, "source": source, "key": key, "as_of": as_of, "actor": "system", "now": self.now}
        self.do(
            f"{kind} {account.pk} {key} of {source}: {asked} as of {as_of:%d %H:%M}",
            lambda: reverse(kind=kind, asked=asked, **terms).key,
            lambda: model.hear(TakeBack(key, source, kind, asked, as_of), self.now),
            says=key,
        )
        if self.happens(0.1):
            other = "REFUND" if kind == "DISPUTE" else "DISPUTE"
            self.refused(SourceConflict, lambda: reverse(kind=other, asked=asked, **terms))

    # How it is done and compared

    def resolve(self, what: str, call: Callable[[], Any], expecting: list[tuple[Claim, str, int]]) -> None:
        def told() -> list[tuple[str, str, int]]:
            return [(each.hold_id, each.status, each.settled) for each in firsts.setdefault("told", call())]

        def expected() -> list[tuple[str, str, int]]:
            return [self.resolved(claim, status, cost, wins) for claim, status, cost in expecting]

        firsts: dict[str, Any] = {}
        wins: list[bool] = []
        self.do(what, told, expected)
        assert [each.first for each in firsts["told"]] == wins
        for each, (_, _, cost) in zip(firsts["told"], expecting, strict=True):
            assert each.shortfall == (cost - each.settled if each.first else 0)
        if self.happens(0.15):
            for each in call():
                assert (each.settled, each.first) == (self.found(each.hold_id)[1].settled, False)

    def resolved(self, claim: Claim, status: str, cost: int, wins: list[bool]) -> tuple[str, str, int]:
        model, _ = self.found(claim.id)
        wins.append(model.resolve(claim, status, cost, self.now))
        return claim.id, claim.status, claim.settled

    def do(self, what: str, call: Callable[[], Any], expected: Callable[[], Any], *, says: Any = None) -> Any:
        """Let the bank do it, through crashes and sometimes twice, and the model once; both say the same."""
        self.log.append(what)
        self.arrive()
        found = self.outcome(call)
        try:
            wanted = expected() if says is None else (expected(), says)[1]
        except TooLittle:
            wanted = InsufficientCredits
        except Over:
            wanted = HoldIsOver
        except NoSession:
            wanted = HoldNotFound
        assert found == wanted, f"the bank says {found}, the model {wanted}"
        if self.happens(0.15):
            assert outcome_or_refusal(call) == found, "a second time is another outcome"
        return found

    def outcome(self, call: Callable[[], Any]) -> Any:
        """What ``call`` returns in the end, or the type of its refusal. Some die first, between any two statements."""
        if self.happens(0.2):
            before = self.state()
            try:
                with transaction.atomic(), dying_before_statement(self.chance.randint(1, 14)):
                    return outcome_or_refusal(call)
            except Crash:
                self.log.append("  which died first")
            assert self.state() == before, "something is left of what died"
        return outcome_or_refusal(call)

    def refused(self, refusal: type[Exception], call: Callable[[], Any]) -> None:
        found = outcome_or_refusal(call)
        assert found is refusal, f"the bank says {found} instead of {refusal}"

    def arrive(self) -> None:
        for model in self.models.values():
            model.arrive(self.now)

    def state(self) -> list[list[tuple[Any, ...]]]:
        """What the tables say: accounts, grants, reversals and holds."""
        with connection.cursor() as cursor:
            return [_found(cursor, sql) for sql in STATE]

    def compare(self) -> None:
        """Every sum of both accounts, every grant, hold and reversal, as of now."""
        with transaction.atomic():
            Books.open(self.models, now=self.now).save()
        self.arrive()
        accounts, grants, reversals, holds = self.state()
        models = [self.models[account.pk] for account in self.accounts]
        assert [row[:3] for row in accounts] == [
            (model.available + model.held, model.held, model.owed) for model in models
        ]
        for account in self.accounts:
            model = self.models[account.pk]
            assert [(left, held, booked is not None, voided is not None)
                    for owner, left, held, booked, voided in grants if owner == account.pk] == [
                (heap.remaining, heap.held, heap.begun, heap.voided) for heap in model.heaps
            ]  # fmt: skip
            assert model.broken_laws() == []
            assert [row[1:] for row in reversals if row[0] == account.pk] == [
                (each.asked, each.own + each.paid, each.paid, each.lost, each.owed) for each in model.take_backs
            ]
        claims = {claim.id: (model, claim) for model in models for claim in model.claims.values()}
        assert {rows.read_id(id_) for id_, *_ in holds} == claims.keys()
        for id_, status, settled, lent in holds:
            model, claim = claims[rows.read_id(id_)]
            assert settled == claim.settled
            assert status == claim.status
            if status == "PENDING":
                assert claim.amount - lent == model.claimed(claim)

    def prove(self) -> None:
        """Who claims what of which grant; and what the bank says of itself."""
        for account in self.accounts:
            model = self.models[account.pk]
            pending = Draw.objects.filter(hold__account=account, hold__status="PENDING", amount__gt=0)
            numbers = {pk: number for number, pk in enumerate(
                Grant.objects.filter(account=account).order_by("pk").values_list("pk", flat=True))}  # fmt: skip
            assert {(hold.hex, numbers[grant]): amount
                    for hold, grant, amount in pending.values_list("hold", "grant", "amount")} == {
                (id_, number): part for number, heap in enumerate(model.heaps)
                for id_, part in heap.claims.items() if part
            }  # fmt: skip
        call_command("check_ledger", stdout=StringIO())

    # What there is to choose from

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def somebody(self) -> tuple[Account, Model]:
        account = self.chance.choice(self.accounts)
        self.models[account.pk].arrive(self.now)
        return account, self.models[account.pk]

    def some_claims(self) -> list[Claim]:
        """Some holds, rather the pending ones, each once."""
        claims = [claim for model in self.models.values() for claim in model.claims.values()]
        pending = [
            claim for claim in claims if claim.status == "PENDING" or (claim.status, claim.late) == ("EXPIRED", False)
        ]
        pool = pending if pending and self.happens(0.85) else claims
        return self.chance.sample(pool, min(len(pool), self.chance.choice([1, 1, 2, 3])))

    def is_open(self, claim: Claim) -> bool:
        return claim.session is None and claim.status == "PENDING" and claim.expires > self.now

    def new_id(self) -> str:
        return f"{self.chance.getrandbits(128):032x}"

    def found(self, hold_id: str) -> tuple[Model, Claim]:
        return next((model, model.claims[hold_id]) for model in self.models.values() if hold_id in model.claims)

    def claimed(self, model: Model, claim: Claim) -> Any:
        try:
            model.claim(claim, self.now)
        except TooLittle:
            return InsufficientCredits
        return claim.id

    def request(self, account: Account, claim: Claim, key: str | None = None) -> HoldRequest:
        session_id = claim.session.id if claim.session else None
        return HoldRequest(claim.id, account.pk, key, claim.amount, claim.expires, parent_id=session_id)


#: How often each is chosen, relative to the others.
MOVES: dict[Callable[[Simulation], None], int] = {
    Simulation.time_passes: 12,
    Simulation.give: 12,
    Simulation.adjust: 3,
    Simulation.debit: 3,
    Simulation.hold: 24,
    Simulation.hold_of_a_session_that_may_be_over: 2,
    Simulation.hold_under_a_key_that_holds: 2,
    Simulation.settle: 18,
    Simulation.release: 7,
    Simulation.expire: 4,
    Simulation.void: 2,
    Simulation.refund_or_dispute: 11,
}


def _found(cursor: Any, sql: str) -> list[tuple[Any, ...]]:
    cursor.execute(sql)
    return list(cursor.fetchall())


def outcome_of(placed: Hold | InsufficientCredits) -> Any:
    return placed.pk.hex if isinstance(placed, Hold) else type(placed)


def outcome_or_refusal(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except REFUSALS as refusal:
        return type(refusal)


@contextmanager
def dying_before_statement(number: int) -> Iterator[None]:
    """Raise ``Crash`` in place of the block's statement of that number, savepoints included; once."""
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash("killed on purpose")

    def counted(execute: Callable[..., Any], *arguments: Any) -> Any:
        count()
        return execute(*arguments)

    def counted_rows(*arguments: Any) -> Any:
        count()
        return execute_rows(*arguments)

    execute_rows = rows._execute
    bypassing = connection.vendor == "postgresql"  # there the batches' statements have cursors of their own
    patched = mock.patch.object(rows, "_execute", counted_rows if bypassing else execute_rows)
    with connection.execute_wrapper(counted), patched:
        yield
