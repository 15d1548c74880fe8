"""The rules of one account's book, in memory."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits.errors import InsufficientCredits
from credits.ledger import (
    ADJUSTMENT,
    DEBT,
    EXPIRY,
    GRANT,
    REFUND,
    REINSTATE,
    USAGE,
    Book,
    Debt,
    Draw,
    Entry,
    Lot,
    Why,
    burn_down,
    burn_order,
    chain,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WHY = Why(actor="key:7", reference="call", memo="a test")


def lot(
    grant_id: int, remaining: int, *, held: int = 0, priority: int = 100, expires_at: datetime | None = None
) -> Lot:
    return Lot(grant_id, max(remaining, 1), remaining, held, priority, NOW - HOUR, expires_at, booked_at=NOW - HOUR)


def book(*lots: Lot) -> Book:
    balance, held = sum(each.remaining for each in lots), sum(each.held for each in lots)
    return Book(1, balance, held, 0, 0, "", {each.grant_id: each for each in lots})


def waiting(grant_id: int, amount: int, effective_at: datetime, expires_at: datetime | None = None) -> Lot:
    return Lot(grant_id, amount, 0, 0, 100, effective_at, expires_at, booked_at=None)


def moved(of: Book) -> list[tuple[str, int, int]]:
    return [(entry.kind, entry.grant_id, entry.amount) for entry in of.entries]


# The order in which lots are spent


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lot(2, 1, priority=1), lot(1, 1, priority=2, expires_at=NOW + HOUR)),
        (lot(2, 1, expires_at=NOW + HOUR), lot(1, 1, expires_at=NOW + 2 * HOUR)),
        (lot(2, 1, expires_at=NOW + HOUR), lot(1, 1)),
        (lot(1, 1), lot(2, 1)),
        (lot(1, 1, expires_at=NOW + HOUR), lot(2, 1, expires_at=NOW + HOUR)),
    ],
    ids=["priority goes before expiry", "earlier expiry", "expiry before none", "older grant", "older of equal expiry"],
)
def test_lots_are_spent_in_burn_order(first, second):
    assert burn_down([second, first], 1) == [Draw(first.grant_id, 1)]


INSTANTS = st.none() | st.integers(1, 3).map(lambda hours: NOW + hours * HOUR)
LOTS = st.lists(
    st.builds(
        lambda remaining, held, priority, expires_at: lot(
            0, remaining, held=min(held, remaining), priority=priority, expires_at=expires_at
        ),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(1, 3),
        INSTANTS,
    ),
    max_size=8,
).map(lambda lots: [replace(each, grant_id=number) for number, each in enumerate(lots, start=1)])


@given(LOTS, st.data())
def test_burn_order_is_total_and_the_order_of_reading_does_not_matter(lots, data):
    shuffled = data.draw(st.permutations(lots))
    amount = data.draw(st.integers(0, sum(each.free for each in lots)))

    assert len({burn_order(each) for each in lots}) == len(lots)
    assert burn_down(shuffled, amount) == burn_down(lots, amount)


@given(LOTS, st.data())
def test_draws_add_up_and_take_no_more_than_there_is(lots, data):
    free = {each.grant_id: each.free for each in lots}
    amount = data.draw(st.integers(0, sum(free.values())))

    draws = burn_down(lots, amount)

    assert sum(draw.amount for draw in draws) == amount
    assert all(0 < draw.amount <= free[draw.grant_id] for draw in draws)
    assert len({draw.grant_id for draw in draws}) == len(draws)


@given(LOTS, st.data())
def test_a_lot_is_touched_only_when_those_before_it_are_empty(lots, data):
    amount = data.draw(st.integers(1, 1 + sum(each.free for each in lots))) - 1

    drawn = {draw.grant_id: draw.amount for draw in burn_down(lots, amount)}

    untouched = False
    for each in sorted(lots, key=burn_order):
        assert not (untouched and drawn.get(each.grant_id))
        untouched = untouched or drawn.get(each.grant_id, 0) < each.free


def test_lots_that_do_not_cover_the_amount_are_a_bug():
    with pytest.raises(AssertionError, match="the caller has checked"):
        burn_down([lot(1, 5, held=3)], 3)


def test_burning_less_than_nothing_is_a_bug():
    with pytest.raises(AssertionError, match="not a gift"):
        burn_down([lot(1, 5)], -1)


# Holds


def test_hold_sets_aside_without_an_entry():
    account = book(lot(1, 4, expires_at=NOW + HOUR), lot(2, 10))

    draws = account.hold(6)

    assert draws == [Draw(1, 4), Draw(2, 2)]
    assert (account.balance, account.held, account.available) == (14, 6, 8)
    assert [each.held for each in account.lots.values()] == [4, 2]
    assert account.changed == {1, 2}
    assert account.entries == []


def test_hold_takes_the_last_unit_and_not_one_more():
    account = book(lot(1, 5))

    account.hold(5)

    assert account.available == 0
    with pytest.raises(InsufficientCredits) as refusal:
        account.hold(1)
    assert refusal.value.status == 402
    assert (account.balance, account.held) == (5, 5)


def test_refused_hold_changes_nothing():
    account = book(lot(1, 5))

    with pytest.raises(InsufficientCredits):
        account.hold(6)

    assert (account.held, account.lots[1].held, account.changed) == (0, 0, set())


def test_refusal_tells_what_is_required_and_what_is_available():
    account = book(lot(1, 25_000_000, held=10_000_000))

    with pytest.raises(InsufficientCredits) as refusal:
        account.hold(20_000_000)

    assert refusal.value.extra == {"required": 2, "available": "1.5"}


@pytest.mark.parametrize(
    ("used", "taken", "entries", "left"),
    [
        (7, 7, [(USAGE, 1, -4), (USAGE, 2, -3)], [0, 7]),
        (4, 4, [(USAGE, 1, -4)], [0, 10]),
        (3, 3, [(USAGE, 1, -3)], [1, 10]),
        (0, 0, [], [4, 10]),
        (8, 7, [(USAGE, 1, -4), (USAGE, 2, -3)], [0, 7]),
        (10**9, 7, [(USAGE, 1, -4), (USAGE, 2, -3)], [0, 7]),
    ],
    ids=["exactly", "one draw", "less", "nothing", "above", "far above"],
)
def test_settle_spends_what_was_used_and_frees_the_rest(used, taken, entries, left):
    account = book(lot(1, 4, expires_at=NOW + HOUR), lot(2, 10))
    draws = account.hold(7)
    account.changed.clear()

    settled = account.settle("h", draws, used, why=WHY, now=NOW)

    assert settled == taken
    assert moved(account) == entries
    assert [each.remaining for each in account.lots.values()] == left
    assert [each.held for each in account.lots.values()] == [0, 0]
    assert (account.balance, account.held) == (14 - taken, 0)
    assert account.changed == {1, 2}


def test_settle_spends_in_burn_order_whatever_the_order_of_the_draws():
    account = book(lot(1, 5, priority=2), lot(2, 5, priority=1))
    draws = account.hold(8)

    account.settle("h", reversed(draws), 6, why=WHY, now=NOW)

    assert moved(account) == [(USAGE, 2, -5), (USAGE, 1, -1)]


def test_settling_a_gift_is_a_bug():
    account = book(lot(1, 5))
    draws = account.hold(5)

    with pytest.raises(AssertionError, match="settle a cost"):
        account.settle("h", draws, -1, why=WHY, now=NOW)


def test_two_holds_of_one_lot_settle_apart():
    account = book(lot(1, 10))
    first, second = account.hold(4), account.hold(6)

    account.settle("a", first, 4, why=WHY, now=NOW)
    account.settle("b", second, 1, why=WHY, now=NOW)

    assert (account.balance, account.held, account.lots[1].remaining) == (5, 0, 5)


# Debits


def test_debit_takes_at_once_in_burn_order():
    account = book(lot(1, 4), lot(2, 4, priority=1))

    account.debit(6, ADJUSTMENT, why=WHY, now=NOW)

    assert moved(account) == [(ADJUSTMENT, 2, -4), (ADJUSTMENT, 1, -2)]
    assert (account.balance, account.changed) == (2, {1, 2})


def test_debit_does_not_touch_what_is_held():
    account = book(lot(1, 5, held=3))

    account.debit(2, ADJUSTMENT, why=WHY, now=NOW)

    assert (account.balance, account.held, account.available) == (3, 3, 0)
    with pytest.raises(InsufficientCredits):
        account.debit(1, ADJUSTMENT, why=WHY, now=NOW)


# Grants, and the clock


def test_grant_is_booked_when_it_takes_effect():
    account = book()

    account.grant(waiting(1, 5, NOW), why=WHY, now=NOW)

    assert moved(account) == [(GRANT, 1, 5)]
    assert (account.lots[1].remaining, account.lots[1].booked_at) == (5, NOW)
    assert (account.entries[0].actor, account.entries[0].reference, account.entries[0].memo) == (
        "key:7",
        "call",
        "a test",
    )


def test_grant_that_takes_effect_later_waits_until_its_instant():
    account = book()
    account.grant(waiting(1, 5, NOW + HOUR), why=WHY, now=NOW)
    account.bring_up_to(NOW + HOUR - timedelta.resolution)
    before = (account.balance, account.lots[1].booked_at, list(account.entries))

    account.bring_up_to(NOW + HOUR)

    assert before == (0, None, [])
    assert moved(account) == [(GRANT, 1, 5)]
    assert account.entries[0].actor == "system"
    assert account.lots[1].booked_at == NOW + HOUR


def test_grant_is_booked_once():
    account = book()
    account.grant(waiting(1, 5, NOW), why=WHY, now=NOW)

    account.bring_up_to(NOW)
    account.bring_up_to(NOW + HOUR)

    assert moved(account) == [(GRANT, 1, 5)]


def test_grant_that_has_expired_already_is_gone_at_once():
    account = book()

    account.grant(waiting(1, 5, NOW - 2 * HOUR, NOW - HOUR), why=WHY, now=NOW)

    assert moved(account) == [(GRANT, 1, 5), (EXPIRY, 1, -5)]
    assert account.available == 0


def test_grant_that_nobody_looked_at_while_it_lived_leaves_two_entries():
    account = book()
    account.grant(waiting(1, 5, NOW + HOUR, NOW + 2 * HOUR), why=WHY, now=NOW)

    account.bring_up_to(NOW + 3 * HOUR)

    assert moved(account) == [(GRANT, 1, 5), (EXPIRY, 1, -5)]


def test_lot_that_was_filled_before_it_is_booked_is_a_bug():
    account = book(replace(waiting(1, 5, NOW), remaining=5))

    with pytest.raises(AssertionError, match="filled when it is booked"):
        account.bring_up_to(NOW)


def test_expiry_counts_at_its_instant():
    account = book(lot(1, 5, expires_at=NOW))

    account.bring_up_to(NOW - timedelta.resolution)
    before = list(account.entries)
    account.bring_up_to(NOW)

    assert before == []
    assert moved(account) == [(EXPIRY, 1, -5)]
    assert (account.entries[0].actor, account.balance) == ("system", 0)


def test_expiry_takes_only_what_no_hold_has_drawn():
    account = book(lot(1, 5, expires_at=NOW + HOUR))
    account.hold(3)

    account.bring_up_to(NOW + HOUR)

    assert moved(account) == [(EXPIRY, 1, -2)]
    assert (account.balance, account.held, account.available) == (3, 3, 0)


def test_what_is_given_back_to_an_expired_grant_expires_with_it():
    account = book(lot(1, 5, expires_at=NOW + HOUR), lot(2, 5))
    draws = account.hold(7)
    account.bring_up_to(NOW + HOUR)

    account.settle("h", draws, 0, why=WHY, now=NOW + HOUR)

    assert moved(account) == [(EXPIRY, 1, -5)]
    assert (account.balance, account.available) == (5, 5)


def test_settlement_after_expiry_is_exact():
    account = book(lot(1, 5, expires_at=NOW + HOUR))
    draws = account.hold(4)
    account.bring_up_to(NOW + HOUR)

    settled = account.settle("h", draws, 3, why=WHY, now=NOW + 2 * HOUR)

    assert settled == 3
    assert moved(account) == [(EXPIRY, 1, -1), (USAGE, 1, -3), (EXPIRY, 1, -1)]
    assert (account.balance, account.held) == (0, 0)


# Refunds, disputes and voids


def in_debt(*debts: Debt, lots: list[Lot]) -> Book:
    account = book(*lots)
    account.debts += debts
    account.owed = sum(debt.owed for debt in debts)
    return account


def debt(grant_id: int = 1, *, taken: int = 0, owed: int = 0, paid: int = 0, lapsed: int = 0) -> Debt:
    return Debt(grant_id, f"re_{grant_id}", grant_id, REFUND, taken, owed, paid, lapsed)


def sums(of: Debt) -> tuple[int, ...]:
    return of.taken, of.owed, of.paid, of.lapsed


@pytest.mark.parametrize(
    ("less", "left", "put_back"),
    [
        (0, (50, 30, 20, 10), (0, 0)),
        (30, (50, 0, 20, 10), (0, 0)),
        (31, (49, 0, 19, 10), (1, 0)),
        (50, (30, 0, 0, 10), (20, 0)),
        (55, (30, 0, 0, 5), (20, 0)),
        (60, (30, 0, 0, 0), (20, 0)),
        (61, (29, 0, 0, 0), (20, 1)),
        (90, (0, 0, 0, 0), (20, 30)),
    ],
)
def test_less_is_reversed_in_the_opposite_order(less, left, put_back):
    """Of 90: 30 are owed, 20 were paid by other grants, 10 had lapsed, and 30 were taken of the grant itself."""
    reversal = debt(taken=50, owed=30, paid=20, lapsed=10)
    account = in_debt(reversal, lots=[lot(1, 0)])

    assert account.undo(reversal, less) == put_back
    assert sums(reversal) == left
    assert account.owed == left[1]
    assert account.changed == {1}


def test_reversal_is_kept_though_there_is_nothing_to_take():
    reversal = debt()
    account = in_debt(reversal, lots=[lot(1, 5, held=5)])

    account.reverse(account.lots[1], reversal, 3, why=WHY, now=NOW)

    assert (sums(reversal), account.owed, account.changed, moved(account)) == ((0, 3, 0, 0), 3, {1}, [])


@pytest.mark.parametrize(("lapsed", "excused"), [(2, 2), (3, 3), (4, 3)])
def test_what_lapsed_is_not_owed(lapsed, excused):
    reversal = debt(owed=3)
    account = in_debt(reversal, lots=[lot(1, 0)])

    assert account.excuse(reversal, lapsed) == excused
    assert (sums(reversal), account.owed, account.changed) == ((0, 3 - excused, 0, excused), 3 - excused, {1})


def test_void_is_kept_though_all_is_held():
    account = book(lot(1, 5, held=5))

    account.void(account.lots[1], why=WHY, now=NOW)

    assert (account.lots[1].is_voided, account.changed, moved(account)) == (True, {1}, [])


def test_what_is_given_back_pays_what_its_own_grant_owes_and_no_other():
    own, other = debt(1, owed=2), debt(2, owed=5)
    account = in_debt(other, own, lots=[replace(lot(1, 0), amount=9)])

    account.give_back(account.lots[1], 6, why=WHY, now=NOW)

    assert (sums(own), sums(other), account.owed) == ((2, 0, 0, 0), (0, 5, 0, 0), 5)
    assert moved(account) == [(REINSTATE, 1, 6), (REFUND, 1, -2)]
    assert [(entry.actor, entry.reference) for entry in account.entries] == [("key:7", "call"), ("system", "re_1")]
    assert account.lots[1].remaining == 4


def test_new_grant_pays_all_that_is_owed_oldest_first():
    older, newer = debt(1, owed=2), debt(2, owed=5)
    account = in_debt(older, newer, lots=[])

    account.grant(waiting(3, 4, NOW), why=WHY, now=NOW)

    assert (sums(older), sums(newer), account.owed) == ((2, 0, 2, 0), (2, 3, 2, 0), 3)
    assert moved(account) == [(GRANT, 3, 4), (DEBT, 3, -2), (DEBT, 3, -2)]


# The chain

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ENTRIES = st.builds(
    Entry,
    sequence=st.integers(1, 2**63 - 1),
    grant_id=st.integers(1, 2**63 - 1),
    hold_id=st.none() | st.uuids().map(lambda id_: id_.hex),
    kind=st.sampled_from([GRANT, USAGE, EXPIRY, ADJUSTMENT]),
    amount=st.integers(-(2**63), 2**63 - 1),
    balance_after=st.integers(0, 2**63 - 1),
    reference=TEXT,
    memo=TEXT,
    actor=TEXT,
    created_at=st.datetimes(timezones=st.just(UTC)),
)
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quoted(text: str) -> str:
    """JSON's shortest way to write ``text``, written out by hand."""
    return '"' + "".join(ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


@given(st.sampled_from(["", "ab" * 32]), st.integers(1, 2**63 - 1), ENTRIES)
def test_digest_can_be_recomputed_from_what_the_documentation_says(head, account_id, entry):
    hold = "null" if entry.hold_id is None else quoted(entry.hold_id)
    instant = f"{entry.created_at:%m-%dT%H:%M:%S}.{entry.created_at.microsecond:06d}+00:00"
    text = (
        f"[{quoted(head)},{account_id},{entry.sequence},{entry.grant_id},{hold},{quoted(entry.kind)},{entry.amount},"
        f"{entry.balance_after},{quoted(entry.reference)},{quoted(entry.memo)},{quoted(entry.actor)},"
        f'"{entry.created_at.year:04d}-{instant}"]'
    )

    assert chain(head, account_id, entry) == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_digest_is_of_the_text_and_not_of_its_escapes():
    stated = '["",1,3,5,null,"USAGE",-7,9,"","Größe","","2026-11-20T12:00:00.000000+00:00"]'
    entry = Entry(3, 5, None, USAGE, -7, 9, "", "Größe", "", NOW)

    assert chain("", 1, entry) == hashlib.sha256(stated.encode()).hexdigest()


ENTRY = Entry(3, 5, "0" * 32, USAGE, -7, 9, "reference", "memo", "actor", NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 4},
        {"grant_id": 6},
        {"hold_id": None},
        {"hold_id": "1" * 32},
        {"kind": EXPIRY},
        {"amount": -8},
        {"balance_after": 8},
        {"reference": "other"},
        {"memo": "other"},
        {"actor": "other"},
        {"created_at": NOW + timedelta.resolution},
    ],
    ids=lambda change: next(iter(change)),
)
def test_digest_depends_on_every_field(change):
    assert chain("head", 1, replace(ENTRY, **change)) != chain("head", 1, ENTRY)


def test_digest_depends_on_the_account_and_on_what_came_before():
    assert len({chain("head", 1, ENTRY), chain("head", 2, ENTRY), chain("other", 1, ENTRY)}) == 3


def test_digest_is_of_the_instant_and_not_of_its_time_zone():
    elsewhere = replace(ENTRY, created_at=NOW.astimezone(timezone(timedelta(hours=9))))

    assert chain("head", 1, elsewhere) == chain("head", 1, ENTRY)


def test_entries_are_numbered_and_chained():
    account = Book(1, 10, 0, 0, 41, "the head before", {1: lot(1, 10)})

    account.debit(1, ADJUSTMENT, why=WHY, now=NOW)
    account.debit(2, ADJUSTMENT, why=WHY, now=NOW)

    first, second = account.entries
    assert [(entry.sequence, entry.balance_after) for entry in account.entries] == [(42, 9), (43, 7)]
    assert first.digest == chain("the head before", 1, first)
    assert second.digest == chain(first.digest, 1, second) == account.head
    assert account.entry_count == 43
