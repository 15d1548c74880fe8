"""The services and the model side by side: each operation is done by both, and what they come to is compared."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from django.db import OperationalError, connection

from credits import rows, services
from credits.balances import balance_at
from credits.books import HoldRequest
from credits.errors import DuplicateHold, HoldIsOver, HoldNotFound, InsufficientCredits, SourceConflict
from credits.models import Account, Draw, Grant, Hold
from tests.proving import check_books
from tests.simulation.model import Claim, Heap, Model, NoSession, Over, TakeBack, TooLittle

START = datetime(2026, 1, 1, tzinfo=UTC)
REFUSALS = (InsufficientCredits, SourceConflict, DuplicateHold, HoldIsOver, HoldNotFound)
#: What becomes of an operation: nothing, or it is asked for twice, or it dies before its statement of that number.
LIVES, TWICE, LAST_DEATH = 0, -1, 16
STATE = (
    "SELECT balance, held, owed, entry_count, head FROM credits_account ORDER BY id",
    "SELECT account_id, remaining, held, booked_at, voided_at FROM credits_grant ORDER BY id",
    "SELECT account_id, asked, taken, paid, lapsed, owed FROM credits_reversal ORDER BY id",
    "SELECT id, status, settled, lent FROM credits_hold ORDER BY id",
)

State = list[list[tuple[Any, ...]]]


class Crash(OperationalError):
    """The process or the connection died here."""


class Bank:
    """Some accounts, from ``START`` on. ``now`` only ever moves on by ``wait``."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.now = START
        self.accounts = accounts
        self.models = {account.pk: Model() for account in accounts}
        self.keys: dict[str, str] = {}
        self._is_behind = False
        self._has_moved = False
        self._kept = self._state()

    # What there is

    @property
    def claims(self) -> list[Claim]:
        return [claim for model in self.models.values() for claim in model.claims.values()]

    @property
    def pending(self) -> list[Claim]:
        return [claim for claim in self.claims if claim.status == "PENDING"]

    @property
    def sessions(self) -> list[Claim]:
        """What can lend."""
        return [claim for claim in self.pending if claim.session is None and claim.expires > self.now]

    @property
    def heaps(self) -> list[tuple[Account, Heap]]:
        return [(account, heap) for account in self.accounts for heap in self.models[account.pk].heaps]

    @property
    def take_backs(self) -> list[tuple[Account, TakeBack]]:
        return [(account, each) for account in self.accounts for each in self.models[account.pk].take_backs]

    def owner(self, claim: Claim) -> int:
        return next(pk for pk, model in self.models.items() if claim.id in model.claims)

    def grant_of(self, account: Account, heap: Heap) -> Grant:
        """Grants have no name in the model, only their order."""
        grants = Grant.objects.filter(account=account).order_by("pk")
        return grants[self.models[account.pk].heaps.index(heap)]

    # What can be done

    def wait(self, span: timedelta) -> None:
        """
        Let time pass. What falls due counts in what is shown at once, before anybody has booked it.

        The next operation finds the books as they are; they are brought up to date after it.
        """
        self.now += span
        self._is_behind = True
        self._arrive()
        for account in self.accounts:
            model = self.models[account.pk]
            shown = balance_at(customer=account.customer, currency=account.currency, now=self.now)
            assert (shown.available, shown.held, shown.owed) == (model.available, model.held, model.owed)

    def do(self, call: Callable[[], Any], expected: Callable[[], Any], fate: int = LIVES) -> Any:
        """Let the services do it, whatever its ``fate``, and the model once. Both say the same, which is returned."""
        self._arrive()
        self._has_moved = True
        found = self._outcome(call, fate)
        try:
            wanted = expected()
        except TooLittle:
            wanted = InsufficientCredits
        except Over:
            wanted = HoldIsOver
        except NoSession:
            wanted = HoldNotFound
        assert found == wanted, f"the services say {found}, the model {wanted}"
        return found

    def refuse(self, refusal: type[Exception], call: Callable[[], Any]) -> None:
        """Have it refused, whereupon nothing has changed."""
        self.do(call, lambda: refusal)
        assert self._state() == self._kept, "something is left of what was refused"

    def place(self, claims: Sequence[tuple[int, Claim]], fate: int) -> None:
        """Hold for each (id of account, claim), in one batch."""
        requests = [self.request(account_id, claim) for account_id, claim in claims]
        self.do(
            lambda: self.placed(*requests),
            lambda: [self._claimed(self.models[account_id], claim) for account_id, claim in claims],
            fate,
        )

    def request(self, account_id: int, claim: Claim) -> HoldRequest:
        session_id = claim.session.id if claim.session else None
        key = self.keys.get(claim.id)
        return HoldRequest(claim.id, account_id, key, claim.amount, claim.expires, parent_id=session_id)

    def placed(self, *requests: HoldRequest) -> list[Any]:
        placed = services.place_holds(requests, now=self.now)
        return [hold.pk.hex if isinstance(hold, Hold) else type(hold) for hold in placed]

    def resolve(self, call: Callable[[], Any], expecting: Sequence[tuple[Claim, str, int]], fate: int) -> None:
        """
        Have each (claim, status, cost) resolved by one ``call``.

        Whoever resolves it is told so, and of its shortfall, once; whoever comes later sees the first result.
        """

        def told() -> list[tuple[str, str, int]]:
            resolutions = call()
            answers.append(resolutions)
            return [(each.hold_id, each.status, each.settled) for each in resolutions]

        def resolved(claim: Claim, status: str, cost: int) -> tuple[str, str, int]:
            wins.append(self.models[self.owner(claim)].resolve(claim, status, cost, self.now))
            return claim.id, claim.status, claim.settled

        answers: list[Any] = []
        wins: list[bool] = []
        self.do(told, lambda: [resolved(*each) for each in expecting], fate)
        first, *later = answers
        assert [each.first for each in first] == wins
        for each, (_, _, cost) in zip(first, expecting, strict=True):
            assert each.shortfall == (cost - each.settled if each.first else 0)
        assert not any(each.first for resolutions in later for each in resolutions)

    # How it is compared

    def compare(self) -> None:
        """Every sum of the accounts, every grant, hold and reversal, as of now."""
        if not self._has_moved:
            return
        if self._is_behind:
            services.bring_up_to_date(self.models, now=self.now)
        self._has_moved = self._is_behind = False
        self._kept = accounts, grants, reversals, holds = self._state()
        models = [self.models[account.pk] for account in self.accounts]
        assert [row[:3] for row in accounts] == [
            (model.available + model.held, model.held, model.owed) for model in models
        ]
        for account, model in zip(self.accounts, models, strict=True):
            assert [(left, held, booked is not None, voided is not None)
                    for owner, left, held, booked, voided in grants if owner == account.pk] == [
                (heap.remaining, heap.held, heap.begun, heap.voided) for heap in model.heaps
            ]  # fmt: skip
            assert [row[1:] for row in reversals if row[0] == account.pk] == [
                (each.asked, each.own + each.paid, each.paid, each.lost, each.owed) for each in model.take_backs
            ]
            assert model.broken_laws() == []
        claims = {claim.id: (model, claim) for model in models for claim in model.claims.values()}
        assert {rows.read_id(id_) for id_, *_ in holds} == claims.keys()
        for id_, status, settled, lent in holds:
            model, claim = claims[rows.read_id(id_)]
            assert (status, settled) == (claim.status, claim.settled)
            if status == "PENDING":
                assert claim.amount - lent == model.claimed(claim)

    def prove(self) -> None:
        """Who claims what of which grant; and what the books say of themselves."""
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
        check_books()

    def _arrive(self) -> None:
        for model in self.models.values():
            model.arrive(self.now)

    def _claimed(self, model: Model, claim: Claim) -> Any:
        try:
            model.claim(claim, self.now)
        except TooLittle:
            return InsufficientCredits
        return claim.id

    def _outcome(self, call: Callable[[], Any], fate: int) -> Any:
        """
        What ``call`` returns, or the type of its refusal.

        One that dies has done nothing, and is asked for again. If its end comes first, then what died
        is its answer, and who asks again finds it done.
        """
        if fate == LIVES:
            return _outcome_or_refusal(call)
        try:
            with dying_before_statement(fate):
                first = _outcome_or_refusal(call)
        except Crash:
            assert self._state() == self._kept, "something is left of what died"
            return _outcome_or_refusal(call)
        assert _outcome_or_refusal(call) == first, "a second time is another outcome"
        return first

    def _state(self) -> State:
        """What the tables say: accounts, grants, reversals and holds; on PostgreSQL at one asking."""
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("; ".join(STATE))
                return [_next_found(cursor) for _ in STATE]
            return [list(cursor.execute(sql).fetchall()) for sql in STATE]


def _next_found(cursor: Any) -> list[tuple[Any, ...]]:
    found = list(cursor.fetchall())
    cursor.nextset()
    return found


def _outcome_or_refusal(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except REFUSALS as refusal:
        return type(refusal)


@contextmanager
def dying_before_statement(number: int) -> Iterator[None]:
    """
    Raise ``Crash`` in place of the block's statement of that number, savepoints included; once.

    Nothing dies any more once it rolls back: it is gone already.
    """
    left = number

    def count(sql: str) -> None:
        nonlocal left
        if sql.startswith("ROLLBACK"):
            left = 0
            return
        left -= 1
        if left == 0:
            raise Crash("killed on purpose")

    def counted(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        count(sql)
        return execute(sql, *arguments)

    def counted_rows(database: Any, sql: str, *tables: Any) -> Any:
        count(sql)
        return execute_rows(database, sql, *tables)

    execute_rows = rows._execute
    bypassing = connection.vendor == "postgresql"  # there the batches' statements have cursors of their own
    patched = mock.patch.object(rows, "_execute", counted_rows if bypassing else execute_rows)
    with connection.execute_wrapper(counted), patched:
        yield
