"""When credits expire: the rules of ``docs/ledger.md``, each by example, whether or not a worker ran."""

from datetime import datetime, timedelta

import pytest

from credits import services
from credits.amounts import credits
from credits.balances import balance_at
from credits.books import HoldRequest
from credits.errors import SourceConflict
from credits.models import Account, Grant, Hold, LedgerEntry
from credits.reversals import reverse
from tests import factories

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
INSTANT = timedelta.resolution


def place(account: Account, whole: int, now: datetime) -> str:
    request = HoldRequest(services.new_hold_id(), account.pk, None, credits(whole), now + 24 * HOUR)
    [hold] = services.place_holds([request], now=now)
    assert isinstance(hold, Hold)
    return hold.pk.hex


def settle(hold_id: str, whole: int, now: datetime) -> None:
    services.settle_holds([(hold_id, credits(whole))], actor="system", now=now)


def moved(account: Account) -> list[tuple[str, int, int]]:
    """Kind, number of the grant in its account, and whole credits of each entry."""
    numbers = {grant.pk: number for number, grant in enumerate(account.grants.order_by("pk"))}
    entries = account.entries.order_by("sequence")
    return [(entry.kind, numbers[entry.grant_id], entry.amount // credits(1)) for entry in entries]


def sums(account: Account, now: datetime) -> tuple[int, int]:
    """Whole credits of balance and held, as everybody sees them who asks at ``now``."""
    found = balance_at(customer=account.customer, currency=account.currency, now=now)
    assert found is not None
    return found.balance // credits(1), found.held // credits(1)


def test_credits_are_spent_by_priority_then_by_expiry_then_by_age(now: datetime):
    account = factories.account()
    for terms in (
        {"priority": 100},
        {"priority": 100, "expires_at": now + 2 * HOUR},
        {"priority": 100, "expires_at": now + HOUR},
        {"priority": 100, "expires_at": now + HOUR},
        {"priority": 1},
    ):
        factories.grant(account, "1", now=now, **terms)

    settle(place(account, 5, now), 5, now)

    assert moved(account)[5:] == [("USAGE", number, -1) for number in (4, 2, 3, 1, 0)]


def test_hold_keeps_its_claim_and_expiry_takes_only_the_rest(now: datetime):
    account = factories.account()
    factories.grant(account, "10", now=now, expires_at=now + HOUR)
    place(account, 4, now)

    services.bring_up_to_date([account.pk], now=now + HOUR)

    assert moved(account)[1:] == [("EXPIRY", 0, -6)]
    assert sums(account, now + HOUR) == (4, 4)


@pytest.mark.parametrize("ending", ["released", "settled for less", "its time was over"])
def test_what_a_hold_frees_of_an_expired_grant_expires_with_it(now: datetime, ending: str):
    account = factories.account()
    factories.grant(account, "10", now=now, expires_at=now + HOUR)
    hold_id = place(account, 4, now)
    later = now + 24 * HOUR

    if ending == "released":
        services.release_holds([hold_id], now=later)
    elif ending == "settled for less":
        settle(hold_id, 1, later)
    else:
        services.expire_holds([hold_id], now=later)

    spent = [("USAGE", 0, -1)] if ending == "settled for less" else []
    assert moved(account)[1:] == [("EXPIRY", 0, -6), *spent, ("EXPIRY", 0, -4 + len(spent))]
    assert {entry.created_at for entry in account.entries.all()[: len(spent) + 1]} == {later}


def test_settlement_after_expiry_spends_what_the_hold_had_claimed_and_nothing_else(now: datetime):
    account = factories.account()
    factories.grant(account, "10", now=now, expires_at=now + HOUR)
    hold_id = place(account, 4, now)
    factories.grant(account, "100", now=now + HOUR)

    settle(hold_id, 4, now + 2 * HOUR)

    assert moved(account)[1:] == [("EXPIRY", 0, -6), ("GRANT", 1, 100), ("USAGE", 0, -4)]


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("late", [timedelta(), INSTANT, 1000 * HOUR])
def test_expiry_is_booked_once_however_late_and_often_the_worker_runs(now: datetime, runs: int, late: timedelta):
    account = factories.account()
    factories.grant(account, "10", now=now, expires_at=now + HOUR)

    made = [services.bring_up_to_date([account.pk], now=now + HOUR + late) for _ in range(runs)]

    assert [len(entries) for entries in made] == [1, 0][:runs]
    assert moved(account)[1:] == [("EXPIRY", 0, -10)]


def test_worker_that_comes_early_expires_nothing(now: datetime):
    account = factories.account()
    factories.grant(account, "10", now=now, expires_at=now + HOUR)

    assert services.bring_up_to_date([account.pk], now=now + HOUR - INSTANT) == []
    assert sums(account, now + HOUR - INSTANT) == (10, 0)


def test_expiry_counts_at_its_instant_although_no_worker_ran(now: datetime):
    account = factories.account(balance="1")
    factories.grant(account, "10", now=now, expires_at=now + HOUR)

    asked = HoldRequest(services.new_hold_id(), account.pk, None, credits(2), now + 2 * HOUR)
    before, after = sums(account, now + HOUR - INSTANT), sums(account, now + HOUR)
    written = LedgerEntry.objects.filter(kind="EXPIRY").count()
    [refusal] = services.place_holds([asked], now=now + HOUR)

    assert (before, after, written) == ((11, 0), (1, 0), 0)
    assert refusal.extra == {"required": 2, "available": 1}


@pytest.mark.parametrize("move", ["debit", "grant", "refund"])
def test_whoever_moves_money_after_the_instant_books_what_expired(now: datetime, move: str):
    account = factories.account(balance="5")
    factories.grant(account, "10", now=now, expires_at=now + HOUR, source="pack:1")
    later = now + HOUR

    if move == "debit":
        services.adjust(account=account, amount=credits(-5), reference="T", memo="m", actor="user:1", now=later)
    elif move == "grant":
        factories.grant(account, "1", now=later)
    else:
        reverse(
            account=account, source="pack:1", key="re_1", kind="REFUND", asked=credits(10), as_of=later,
            actor="system", now=later,
        )  # fmt: skip

    assert moved(account)[2:3] == [("EXPIRY", 1, -10)]


@pytest.mark.parametrize(("expired", "grants"), [(False, [10]), (True, [0, 10])])
def test_what_is_put_back_returns_to_its_grant_or_for_good_to_a_new_one(
    now: datetime, expired: bool, grants: list[int]
):
    account = factories.account()
    factories.grant(account, "10", now=now, expires_at=now + HOUR, source="pack:1")
    terms = {"account": account, "source": "pack:1", "key": "re_1", "kind": "REFUND", "actor": "system"}
    reverse(asked=credits(10), as_of=now, now=now, **terms)

    later = now + HOUR if expired else now + HOUR - INSTANT
    reverse(asked=0, as_of=later, now=later, **terms)

    left = account.grants.order_by("pk").values_list("remaining", "expires_at")
    assert [remaining // credits(1) for remaining, _ in left] == grants
    assert left[len(left) - 1][1] == (None if expired else now + HOUR)


def test_month_of_a_plan_adds_a_grant_once_and_ends_the_one_before_at_the_same_instant(now: datetime):
    account = factories.account(balance="3")
    month = 30 * 24 * HOUR

    def refill(period: int, amount: str = "10") -> Grant:
        start = now + period * month
        return factories.grant(
            account, amount, category="PLAN", priority=50, source=f"plan:item_1:{start.isoformat()}",
            effective_at=start, expires_at=start + month, now=now,
        )  # fmt: skip

    first, second = refill(0), refill(1)
    again = refill(1)
    settle(place(account, 4, now), 4, now)
    at_the_end, then = sums(account, now + month - INSTANT), sums(account, now + month)

    assert again == second
    assert first != second
    with pytest.raises(SourceConflict):
        refill(1, "11")
    assert (at_the_end, then) == ((9, 0), (13, 0))
    assert moved(account)[2:] == [("USAGE", 1, -4)]
