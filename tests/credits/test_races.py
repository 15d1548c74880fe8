"""Money under many hands at once: real threads, real transactions, both databases."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from accounts.models import Customer
from credits import services
from credits.amounts import credits
from credits.books import HoldRequest, Resolution
from credits.errors import DuplicateHold, InsufficientCredits, SourceConflict
from credits.models import Account, Grant, Hold, LedgerEntry
from tests import factories
from tests.racing import at_once, raised

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.proof]

THREADS = 16
HOUR = timedelta(hours=1)


def place(account: Account, amount: int, key: str | None, now: datetime) -> Hold | InsufficientCredits:
    request = HoldRequest(services.new_hold_id(), account.pk, key, amount, now + HOUR)
    return services.place_holds([request], now=now)[0]


def held(account: Account, amount: int, now: datetime) -> str:
    hold = place(account, amount, None, now)
    assert isinstance(hold, Hold)
    return hold.pk.hex


def sums(account: Account) -> tuple[int, int]:
    account.refresh_from_db()
    return account.balance, account.held


def test_account_is_opened_once(customer: Customer):
    opened = at_once(*[partial(services.account_of, customer)] * THREADS)

    assert raised(opened) == []
    assert {account.pk for account in opened} == {Account.objects.get().pk}


def test_source_grants_once(account: Account, now: datetime):
    give = partial(factories.grant, account, "5", source="purchase:1", now=now)

    given = at_once(*[give] * THREADS)

    assert raised(given) == []
    assert {grant.pk for grant in given} == {Grant.objects.get(source="purchase:1").pk}
    assert sums(account) == (credits(105), 0)


def test_source_grants_to_one_of_two_accounts(now: datetime):
    accounts = [factories.account() for _ in range(2)]
    calls = [partial(factories.grant, each, "5", source="purchase:1", now=now) for each in accounts * (THREADS // 2)]

    outcomes = at_once(*calls)

    assert {type(error) for error in raised(outcomes)} == {SourceConflict}
    assert len(raised(outcomes)) == THREADS // 2
    assert sorted(sums(each) for each in accounts) == [(0, 0), (credits(5), 0)]


@pytest.mark.parametrize("amount", [credits(5), credits(-5)])
def test_reference_adjusts_once(account: Account, amount: int, now: datetime):
    adjust = partial(
        services.adjust, account=account, amount=amount, reference="T-1", memo="m", actor="user:1", now=now
    )

    outcomes = at_once(*[adjust] * THREADS)

    assert raised(outcomes) == []
    assert len({entry.pk for entries in outcomes for entry in entries}) == 1
    assert sums(account) == (credits(100) + amount, 0)


def test_adjustments_of_two_signs_under_one_reference_leave_one(account: Account, now: datetime):
    calls = [
        partial(services.adjust, account=account, amount=amount, reference="T-1", memo="m", actor="user:1", now=now)
        for amount in [credits(5), credits(-5)] * (THREADS // 2)
    ]

    outcomes = at_once(*calls)

    assert {type(error) for error in raised(outcomes)} == {SourceConflict}
    assert len(raised(outcomes)) == THREADS // 2
    assert sums(account)[0] in (credits(95), credits(105))


def test_debits_take_no_more_than_there_is(account: Account, now: datetime):
    calls = [
        partial(
            services.debit,
            account=account,
            amount=credits(30),
            kind=LedgerEntry.Kind.ADJUSTMENT,
            reference=f"r{number}",
            memo="A correction.",
            actor="system",
            now=now,
        )
        for number in range(8)
    ]

    outcomes = at_once(*calls)

    assert [type(error) for error in raised(outcomes)] == [InsufficientCredits] * 5
    assert sums(account) == (credits(10), 0)


@pytest.mark.parametrize(("price", "admitted"), [(credits(7), 14), (credits(100), 1), (credits(100) + 1, 0), (3, 64)])
def test_holds_are_admitted_until_the_balance_is_spent_and_not_once_more(
    account: Account, price: int, admitted: int, now: datetime
):
    def spend() -> list[Hold | InsufficientCredits]:
        return [place(account, price, None, now) for _ in range(4)]

    outcomes = [outcome for batch in at_once(*[spend] * THREADS) for outcome in batch]

    assert sum(isinstance(outcome, Hold) for outcome in outcomes) == admitted
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == 64 - admitted
    assert sums(account) == (credits(100), admitted * price)


def test_key_holds_once(account: Account, now: datetime):
    holds = at_once(*[partial(place, account, 7, "call-1", now)] * THREADS)

    assert raised(holds) == []
    assert {hold.pk for hold in holds} == {Hold.objects.get().pk}
    assert sums(account) == (credits(100), 7)


def test_key_holds_one_of_two_amounts(account: Account, now: datetime):
    outcomes = at_once(*[partial(place, account, amount, "call-1", now) for amount in [7, 8] * (THREADS // 2)])

    assert [type(error) for error in raised(outcomes)] == [DuplicateHold] * (THREADS // 2)
    assert sums(account)[1] == Hold.objects.get().amount


def test_hold_resolves_once_and_the_others_see_the_first_result(account: Account, now: datetime):
    hold_id = held(account, 10, now)
    settle = [
        partial(services.settle_holds, [(hold_id, amount)], actor="system", now=now) for amount in range(1, THREADS)
    ]

    outcomes = at_once(*settle, partial(services.release_holds, [hold_id], now=now))

    assert raised(outcomes) == []
    resolutions = [resolution for [resolution] in outcomes]
    [first] = [resolution for resolution in resolutions if resolution.first]
    kept = Hold.objects.get()
    assert (first.status, first.settled) == (kept.status, kept.settled)
    assert [resolution for resolution in resolutions if not resolution.first] == [
        Resolution(hold_id, kept.status, 10, kept.settled, 0, first=False)
    ] * (THREADS - 1)
    assert sums(account) == (credits(100) - kept.settled, 0)


def test_batches_over_the_same_accounts_in_opposite_orders_do_not_wait_for_each_other(now: datetime):
    accounts = [factories.account(balance="1000") for _ in range(6)]

    def move(ordered: list[Account]) -> None:
        for _ in range(10):
            requests = [HoldRequest(services.new_hold_id(), each.pk, None, credits(1), now + HOUR) for each in ordered]
            holds = services.place_holds(requests, now=now)
            services.settle_holds(
                [(hold.pk.hex, credits(1)) for hold in reversed(holds) if isinstance(hold, Hold)],
                actor="system",
                now=now,
            )

    outcomes = at_once(*[partial(move, accounts), partial(move, accounts[::-1])] * 4)

    assert raised(outcomes) == []
    assert [sums(each) for each in accounts] == [(credits(1000 - 80), 0)] * 6


def test_expiry_is_booked_once(now: datetime):
    accounts = [factories.account() for _ in range(4)]
    for each in accounts:
        factories.grant(each, "5", expires_at=now + HOUR, now=now)
    expire = partial(services.bring_up_to_date, [each.pk for each in accounts], now=now + HOUR)

    outcomes = at_once(*[expire] * 8)

    assert raised(outcomes) == []
    assert sorted(len(entries) for entries in outcomes) == [0] * 7 + [4]
    assert LedgerEntry.objects.filter(kind="EXPIRY").count() == 4


def test_hold_and_expiry_at_the_same_instant_leave_the_books_in_balance(now: datetime):
    account = factories.account()
    factories.grant(account, "100", expires_at=now + HOUR, now=now)

    def spend() -> int:
        return sum(isinstance(place(account, credits(1), None, now), Hold) for _ in range(5))

    def expire() -> int:
        return len(services.bring_up_to_date([account.pk], now=now + HOUR))

    outcomes = at_once(*[spend] * 8, expire)

    assert raised(outcomes) == []
    admitted = sum(outcomes[:8])
    assert sums(account) == (credits(admitted), credits(admitted))
