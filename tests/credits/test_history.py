"""
An account's past, told from its entries and holds, is what the account said of itself at the time.

Hypothesis drives the real services through any sequence of movements, and at every instant
keeps what the books would have said then. Afterwards each of these answers is asked for again.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import Customer
from credits import history, reversals, services
from credits.books import HoldRequest
from credits.errors import HoldIsOver, InsufficientCredits
from credits.explanation import Difference
from credits.kinds import COUNTER_ACCOUNTS, KINDS
from credits.models import Account, Grant, Hold, LedgerEntry
from tests import factories

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

hours = st.integers(0, 6)
amounts = st.integers(1, 12)
STEPS = st.one_of(
    st.tuples(st.just("grant"), amounts, st.integers(1, 3), hours, st.none() | st.integers(1, 8)),
    st.tuples(st.just("hold"), amounts),
    st.tuples(st.just("draw"), st.integers(0, 9), amounts),
    st.tuples(st.just("expire"), st.integers(0, 9)),
    st.tuples(st.just("refund"), st.integers(0, 9), st.integers(0, 12)),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 12)),
    st.tuples(st.just("release"), st.integers(0, 9)),
    st.tuples(st.just("adjust"), amounts),
    st.tuples(
        st.just("bring up"),
    ),
    st.tuples(st.just("wait"), st.integers(1, 5)),
    st.tuples(st.just("wait"), st.integers(1, 5)),
)


@dataclass
class Told:
    """What the account said of itself at an instant: its sums, and what was left and held of each grant."""

    balance: int
    held: int
    lots: dict[int, tuple[int, int]]


class Life:
    """Moves an account through ``steps`` and keeps what was told at each instant."""

    def __init__(self) -> None:
        self.account = factories.account()
        self.now = START
        self.holds: list[str] = []
        self.grants: list[Grant] = []
        self.told: dict[datetime, Told] = {}

    def live(self, steps: list[tuple]) -> None:
        for number, (step, *terms) in enumerate(steps):
            self.now += SECOND
            with suppress(InsufficientCredits, HoldIsOver):
                getattr(self, step.replace(" ", "_"))(number, *terms)
            self.told[self.now] = told(self.account, self.now)

    def grant(self, number, amount, priority, effective, lasting):
        effective_at = self.hour() + effective * HOUR if effective else self.now
        given = services.grant(
            account=self.account, amount=amount, category=Grant.Category.PROMOTION, now=self.now, actor="system",
            source=f"{self.account.pk}:{number}", priority=priority, effective_at=effective_at,
            expires_at=None if lasting is None else self.hour() + (effective + lasting) * HOUR,
        )  # fmt: skip
        self.grants.append(given)

    def hold(self, number, amount, session=None):
        hold_id = services.new_hold_id()
        request = HoldRequest(hold_id, self.account.pk, None, amount, self.now + 3 * HOUR, parent_id=session)
        if isinstance(services.place_holds([request], now=self.now)[0], Hold):
            self.holds.append(hold_id)

    def draw(self, number, which, amount):
        """From a session hold, which is not itself drawn from another."""
        sessions = (
            Hold.objects.filter(pk__in=self.holds, parent=None).order_by("created_at").values_list("pk", flat=True)
        )
        if sessions:
            self.hold(number, amount, sessions[which % len(sessions)].hex)

    def expire(self, number, which):
        if self.holds:
            services.expire_holds([self.holds[which % len(self.holds)]], now=self.now)

    def refund(self, number, which, asked):
        if self.grants:
            grant = self.grants[which % len(self.grants)]
            reversals.reverse(
                account=self.account, source=grant.source, key=f"re:{grant.pk}", kind="REFUND", asked=asked,
                as_of=self.now, actor="system", now=self.now,
            )  # fmt: skip

    def void(self, number, which):
        if self.grants:
            reversals.void_grant(grant=self.grants[which % len(self.grants)], actor="system", memo="m", now=self.now)

    def settle(self, number, which, amount):
        if self.holds:
            hold_id = self.holds[which % len(self.holds)]
            services.settle_holds([(hold_id, amount)], actor="system", now=self.now)

    def release(self, number, which):
        if self.holds:
            services.release_holds([self.holds[which % len(self.holds)]], now=self.now)

    def adjust(self, number, amount):
        services.adjust(
            account=self.account, amount=-amount, reference=str(number), memo="m", actor="system", now=self.now
        )

    def bring_up(self, number):
        services.bring_up_to_date([self.account.pk], now=self.now)

    def wait(self, number, count):
        """Something is told just before each hour too, and between the steps."""
        for _ in range(count):
            for then in (self.hour() + HOUR / 2, self.hour() + HOUR):
                self.now = max(self.now, then)
                self.told[self.now] = told(self.account, self.now)

    def hour(self):
        return self.now.replace(minute=0, second=0)


def told(account: Account, now: datetime) -> Told:
    """What the books say once they are brought up to ``now``, which is taken back again."""
    with transaction.atomic():
        services.bring_up_to_date([account.pk], now=now)
        kept = Account.objects.get(pk=account.pk)
        lots = {pk: (left, held) for pk, left, held in account.grants.values_list("pk", "remaining", "held")}
        transaction.set_rollback(True)
    return Told(kept.balance, kept.held, {pk: lot for pk, lot in lots.items() if lot != (0, 0)})


def explained(account: Account, at: datetime) -> Told:
    state = history.account_at(account, at)
    lots = {lot.grant_id: (lot.remaining, lot.held) for lot in state.lots}
    return Told(state.balance, state.held, {pk: lot for pk, lot in lots.items() if lot != (0, 0)})


any_life = settings(
    max_examples=settings.default.max_examples // 5,  # each is explained at every instant of its life
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


#: Two grants wait for each other's instant while there is a debt: the one that took effect first has paid it.
TWO_TAKE_EFFECT_UNBOOKED = [
    ("grant", 5, 1, 0, None),
    ("grant", 3, 3, 6, None),
    ("wait", 2),
    ("grant", 11, 3, 1, None),
    ("adjust", 5),
    ("refund", 0, 2),
    ("wait", 4),
    ("bring up",),
]
#: The same, and nobody has booked either to this day. Another was booked before, and asks for nothing.
NOBODY_HAS_BOOKED_THEM = [
    TWO_TAKE_EFFECT_UNBOOKED[0],
    ("grant", 4, 3, 0, None),
    *TWO_TAKE_EFFECT_UNBOOKED[1:-1],
]
#: Calls of a session end while it lasts: one in part, one not at all, one late, and another late when it is over.
A_SESSION_AND_ITS_CALLS = [
    ("grant", 7, 1, 0, None),
    ("grant", 12, 2, 0, None),
    ("hold", 12),
    ("draw", 0, 6),
    ("wait", 1),
    ("settle", 1, 4),
    ("draw", 0, 3),
    ("wait", 1),
    ("release", 2),
    ("draw", 0, 3),
    ("draw", 0, 2),
    ("wait", 5),
    ("expire", 3),
    ("wait", 1),
    ("settle", 3, 2),
    ("wait", 1),
    ("expire", 4),
    ("settle", 0, 3),
    ("wait", 1),
    ("settle", 4, 1),
    ("wait", 1),
]
#: A session ends before its call does, which is given back to nobody then.
A_SESSION_THAT_ENDS_FIRST = [
    ("grant", 12, 1, 0, None),
    ("hold", 9),
    ("draw", 0, 4),
    ("draw", 0, 3),
    ("wait", 1),
    ("release", 0),
    ("wait", 1),
    ("settle", 1, 2),
    ("wait", 1),
    ("release", 2),
    ("wait", 1),
]
A_GRANT_THAT_IS_VOIDED_WHILE_HELD = [
    ("grant", 9, 1, 0, None),
    ("hold", 4),
    ("wait", 1),
    ("void", 0),
    ("wait", 1),
    ("settle", 0, 3),
    ("wait", 1),
]


@pytest.mark.proof
@any_life
@example(steps=TWO_TAKE_EFFECT_UNBOOKED)
@example(steps=NOBODY_HAS_BOOKED_THEM)
@example(steps=A_SESSION_AND_ITS_CALLS)
@example(steps=A_SESSION_THAT_ENDS_FIRST)
@example(steps=A_GRANT_THAT_IS_VOIDED_WHILE_HELD)
@given(steps=st.lists(STEPS, min_size=1, max_size=25))
def test_an_account_is_explained_at_any_instant_as_it_told_itself_then(db, steps):
    life = Life()
    life.live(steps)

    assert {at: explained(life.account, at) for at in life.told} == life.told
    assert explained(life.account, START - HOUR) == Told(0, 0, {})


@pytest.mark.proof
@any_life
@given(steps=st.lists(STEPS, min_size=1, max_size=25), data=st.data())
def test_differences_add_up(db, steps, data):
    life = Life()
    life.live(steps)
    instants = sorted([START - HOUR, *life.told])
    first, middle, last = sorted(data.draw(st.sampled_from(instants)) for _ in range(3))

    whole = history.between(life.account, first, last)
    parts = [history.between(life.account, first, middle), history.between(life.account, middle, last)]

    for part in [whole, *parts]:
        assert part.opening.balance + sum(movement.amount for movement in part.movements) == part.closing.balance
        assert all(movement.amount * KINDS[movement.kind].sign > 0 for movement in part.movements)
    assert sums(*parts) == sums(whole)


def sums(*differences: Difference) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for movement in (movement for part in differences for movement in part.movements):
        entries, amount = found.get(movement.kind, (0, 0))
        found[movement.kind] = (entries + movement.entries, amount + movement.amount)
    return found


@pytest.fixture
def customer_account(customer: Customer) -> Account:
    return factories.account(customer)


def test_expiry_counts_at_its_instant_and_is_told_though_it_was_booked_later(customer_account: Account):
    grant = factories.grant(customer_account, "7", now=START, expires_at=START + 2 * HOUR)
    services.bring_up_to_date([customer_account.pk], now=START + 5 * HOUR)

    before, after = (history.account_at(customer_account, START + count * HOUR) for count in (1, 3))

    assert (before.balance, before.due) == (70_000_000, [])
    assert history.booked_later(customer_account, before) == {}
    assert (after.balance, after.sequence) == (0, 1)
    assert [(entry.kind, entry.grant_id, entry.amount) for entry in after.due] == [("EXPIRY", grant.pk, -70_000_000)]
    booked = history.booked_later(customer_account, after)
    assert {key: (entry.sequence, entry.booked_at) for key, entry in booked.items()} == {
        (grant.pk, "EXPIRY"): (2, START + 5 * HOUR)
    }


def test_expiry_belongs_to_the_period_in_which_it_fell_due(customer_account: Account):
    factories.grant(customer_account, "7", now=START, expires_at=START + 2 * HOUR)
    services.bring_up_to_date([customer_account.pk], now=START + 5 * HOUR)

    early = history.between(customer_account, START + HOUR, START + 3 * HOUR)
    late = history.between(customer_account, START + 3 * HOUR, START + 6 * HOUR)

    assert [(movement.kind, movement.entries, movement.amount) for movement in early.movements] == [
        ("EXPIRY", 1, -70_000_000)
    ]
    assert (late.opening.balance, late.movements, late.closing.balance) == (0, [], 0)


@pytest.mark.parametrize("is_booked", [False, True], ids=["not to this day", "since"])
def test_what_a_grant_had_to_pay_when_it_took_effect_is_told_by_whose_debt_it_was(
    customer_account: Account, is_booked: bool
):
    """Another's debt and, of a refund of the grant itself, what it had come to; not what is asked of one to come."""
    spent = factories.grant(customer_account, "4", now=START, source="spent")
    factories.usage(customer_account, "4", created_at=START + SECOND)
    later = factories.grant(customer_account, "10", now=START, effective_at=START + 2 * HOUR, source="later")
    terms = {"account": customer_account, "kind": "REFUND", "as_of": START, "actor": "system", "now": START + HOUR}
    reversals.reverse(source=spent.source, key="of-another", asked=30_000_000, **terms)
    reversals.reverse(source=spent.source, key="smallest", asked=1, **terms)
    reversals.reverse(source=later.source, key="of-itself", asked=50_000_000, **terms)
    reversals.reverse(source="never came", key="of-none", asked=90_000_000, **terms)
    if is_booked:
        services.bring_up_to_date([customer_account.pk], now=START + 9 * HOUR)

    state = history.account_at(customer_account, START + 3 * HOUR)

    assert [(due.kind, due.grant_id, due.amount, due.reference) for due in state.due] == [
        ("GRANT", later.pk, 100_000_000, ""),
        ("DEBT", later.pk, -30_000_000, "of-another"),
        ("DEBT", later.pk, -1, "smallest"),
        ("REFUND", later.pk, -50_000_000, "of-itself"),
    ]
    assert (state.balance, state.sequence) == (19_999_999, 2)


def test_what_was_voided_while_it_was_held_was_so_from_that_instant_on(customer_account: Account):
    grant = factories.grant(customer_account, "7", now=START)
    hold_id = services.new_hold_id()
    services.place_holds([HoldRequest(hold_id, customer_account.pk, None, 30_000_000, START + 9 * HOUR)], now=START)
    reversals.void_grant(grant=grant, actor="system", memo="Mistake.", now=START + HOUR)

    lots = [history.account_at(customer_account, START + HOUR - wait).lots[0] for wait in (SECOND, 0 * SECOND)]

    assert [(lot.remaining, lot.is_voided) for lot in lots] == [(70_000_000, False), (30_000_000, True)]


def test_what_calls_used_between_two_instants_is_what_the_balance_lost(customer_account: Account):
    factories.grant(customer_account, "9", now=START)
    for count in (1, 2, 3):
        factories.usage(customer_account, f"{count}", created_at=START + count * HOUR)

    between = history.between(customer_account, START + HOUR, START + 3 * HOUR)

    assert [(movement.kind, movement.entries, movement.amount) for movement in between.movements] == [
        ("USAGE", 2, -50_000_000)
    ]


def test_positions_are_found_among_entries_of_one_instant(customer_account: Account):
    for count in (0, 0, 0, 2, 2, 3):
        factories.grant(customer_account, "1", now=START + count * HOUR)

    instants = [START - HOUR, START, START + HOUR, START + 2 * HOUR, START + 9 * HOUR]
    assert history.positions(customer_account, instants) == [0, 3, 3, 5, 6]
    assert history.positions(customer_account, reversed(instants)) == [6, 5, 3, 3, 0]
    assert history.positions(factories.account(), [START]) == [0]


def test_what_was_left_of_several_grants_in_use_is_what_their_entries_sum_up_to(customer_account: Account):
    def spend(times: int) -> None:
        for _ in range(times):
            factories.usage(customer_account, created_at=START + HOUR)

    later = factories.grant(customer_account, "20", now=START, expires_at=START + 90 * HOUR)
    spend(1)
    first = factories.grant(customer_account, "10", now=START + HOUR, expires_at=START + 50 * HOUR)
    spend(3)
    factories.grant(customer_account, "5", now=START + HOUR)
    reversals.void_grant(grant=first, actor="system", memo="Mistake.", now=START + 2 * HOUR)
    factories.usage(customer_account, created_at=START + 3 * HOUR)

    entries = list(LedgerEntry.objects.filter(account=customer_account).order_by("sequence"))
    begun = {entry.grant_id for entry in entries if entry.kind == LedgerEntry.Kind.USAGE}
    assert begun == {later.pk, first.pk}
    for sequence in range(len(entries) + 1):
        summed: dict[int, int] = {}
        for entry in entries[:sequence]:
            summed[entry.grant_id] = summed.get(entry.grant_id, 0) + entry.amount
        assert history._left(customer_account, sequence) == {grant: left for grant, left in summed.items() if left}


def test_a_hold_that_lasted_and_one_that_has_just_begun_were_both_pending(customer_account: Account):
    factories.grant(customer_account, "20", now=START)
    long, short, last = (services.new_hold_id() for _ in range(3))
    for hold_id, begun_at in ((long, START), (short, START + 4 * HOUR), (last, START + 5 * HOUR)):
        request = HoldRequest(hold_id, customer_account.pk, None, 10, START + 99 * HOUR)
        services.place_holds([request], now=begun_at)
        if hold_id == short:
            services.release_holds([short], now=START + 4 * HOUR + timedelta(minutes=59))
    services.release_holds([long], now=START + 9 * HOUR)

    def pending(at: datetime, most: int = 9) -> list[str]:
        return [hold.pk.hex for hold in history.holds_at(customer_account, at, most=most)]

    assert pending(START + 4 * HOUR + timedelta(minutes=30)) == [long, short]
    assert pending(START + 4 * HOUR + timedelta(minutes=30), most=1) == [long]
    assert pending(START + 5 * HOUR) == [long, last]
    assert pending(START + 9 * HOUR) == [last]
    assert pending(START - HOUR) == []
    assert history.account_at(customer_account, START + 5 * HOUR).held == 20


def test_a_hold_that_is_resolved_while_it_is_read_is_told_once(customer_account: Account):
    factories.grant(customer_account, "20", now=START)
    hold_id = services.new_hold_id()
    services.place_holds([HoldRequest(hold_id, customer_account.pk, None, 10, START + 99 * HOUR)], now=START)
    resolved: list[str] = []

    def resolve_after_the_first(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if not resolved and "credits_hold" in sql:
            resolved.append(hold_id)
            services.release_holds([hold_id], now=START + 5 * HOUR)
        return answer

    with connection.execute_wrapper(resolve_after_the_first):
        holds = history.holds_at(customer_account, START + 4 * HOUR, most=9)

    assert [hold.pk.hex for hold in holds] == resolved == [hold_id]


def test_every_kind_of_entry_has_its_counter_account():
    assert set(LedgerEntry.Kind.values) <= set(KINDS)
    assert {kind.counter_account for kind in KINDS.values()} == set(COUNTER_ACCOUNTS)
