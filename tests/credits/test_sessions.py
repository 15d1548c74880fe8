"""Session holds: a budget held once, drawn on by many calls, given back at the end."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

import credits as bank
from accounts.models import Customer
from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.errors import HoldIsOver, HoldNotFound, InsufficientCredits
from credits.models import Account, Hold
from tests import factories

HOUR = timedelta(hours=1)


def place(account: Account, now, whole: int, parent: str | None = None, lifetime=HOUR):
    request = HoldRequest(services.new_hold_id(), account.pk, None, credits(whole), now + lifetime, parent_id=parent)
    (placed,) = services.place_holds([request], now=now)
    if isinstance(placed, InsufficientCredits):
        raise placed
    return placed.pk.hex


def settle(hold: str, whole: int, now):
    return services.settle_holds([(hold, credits(whole))], actor="key:1", now=now)[0]


def state(account: Account) -> tuple[int, int]:
    account.refresh_from_db()
    return account.balance // credits(1), account.held // credits(1)


@pytest.fixture
def session(account: Account, now) -> str:
    """A budget of 50 of the account's 100 credits."""
    return place(account, now, 50)


def lent(session: str) -> int:
    return Hold.objects.get(pk=session).lent // credits(1)


def test_calls_draw_on_the_session_and_give_back_what_they_do_not_need(account, session, now):
    call = place(account, now, 30, parent=session)
    during = state(account), lent(session)
    settle(call, 10, now)

    assert during == ((100, 50), 30)
    assert (state(account), lent(session)) == ((90, 40), 10)


def test_session_lends_no_more_than_it_has_though_the_account_has_more(account, session, now):
    place(account, now, 30, parent=session)

    with pytest.raises(InsufficientCredits) as refused:
        place(account, now, 21, parent=session)

    assert refused.value.extra == {"required": 21, "available": 20}


def test_spent_account_does_not_stop_the_calls_of_a_session(account, session, now):
    place(account, now, 50)

    settle(place(account, now, 50, parent=session), 50, now)

    assert state(account) == (50, 50)


def test_released_session_keeps_what_its_open_calls_have_drawn(account, session, now):
    call = place(account, now, 30, parent=session)

    services.release_holds([session], now=now)
    after_release = state(account)
    settle(call, 10, now)

    assert after_release == (100, 30)
    assert state(account) == (90, 0)


def test_resolved_or_lapsed_session_lends_nothing(account, session, now):
    with pytest.raises(HoldIsOver):
        place(account, now + HOUR, 1, parent=session)
    services.release_holds([session], now=now)
    with pytest.raises(HoldIsOver):
        place(account, now, 1, parent=session)


def test_session_of_another_account_is_not_found(session, now):
    other = services.account_of(Customer.objects.create(kind="TEAM", name="Others"))

    with pytest.raises(HoldNotFound):
        place(other, now, 1, parent=session)


def test_hold_whose_time_is_over_is_given_back_and_can_still_be_settled_as_far_as_there_is_money(account, now):
    hold = place(account, now, 80)
    services.expire_holds([hold], now=now + HOUR)
    given_back = state(account)
    place(account, now + HOUR, 70)

    late = settle(hold, 60, now + 2 * HOUR)

    assert given_back == (100, 0)
    assert (late.settled, late.shortfall) == (credits(30), credits(30))
    assert state(account) == (70, 70)
    assert Hold.objects.get(pk=hold).resolved_at == now + HOUR


def test_hold_whose_time_is_not_over_is_not_given_back(account, session, now):
    services.expire_holds([session], now=now)

    assert state(account) == (100, 50)


@pytest.mark.django_db(transaction=True)
def test_work_that_succeeds_is_paid_and_work_that_fails_is_free(account):
    with bank.hold(account.customer, "5", reason="rendering"):
        pass
    with bank.hold(account.customer, "5", reason="rendering") as held:
        held.settle(credits(2))
    with pytest.raises(RuntimeError), bank.hold(account.customer, "5", reason="rendering"):
        raise RuntimeError

    assert state(account) == (93, 0)


@pytest.mark.django_db(transaction=True)
def test_work_is_told_what_came_of_its_hold_and_the_hold_says_what_for_and_until_when(account):
    before = timezone.now()
    with bank.hold(account.customer, "5", reason="rendering", lifetime=HOUR) as settled:
        kept = Hold.objects.get(pk=settled.id)
        assert settled.settle(credits(2)) == settled.resolution
    with bank.hold(account.customer, "5", reason="rendering") as released:
        assert released.release() == released.resolution

    assert (settled.resolution.settled, released.resolution.settled) == (credits(2), 0)
    assert kept.context == {"reason": "rendering"}
    assert before + HOUR <= kept.expires_at <= timezone.now() + HOUR


@pytest.mark.django_db(transaction=True)
def test_work_does_not_begin_inside_a_transaction_that_could_undo_its_hold(account):
    with (
        pytest.raises(RuntimeError, match="durable"),
        transaction.atomic(),
        bank.hold(account.customer, "5", reason="rendering"),
    ):
        pytest.fail("the work has begun")


@pytest.mark.django_db(transaction=True)
def test_work_done_again_under_its_key_is_paid_once(account):
    for _ in range(2):
        with bank.hold(account.customer, "5", reason="rendering", key="job-1"):
            pass

    assert state(account) == (95, 0)


@pytest.mark.django_db(transaction=True)
def test_work_that_is_not_affordable_does_not_begin(account):
    with pytest.raises(InsufficientCredits), bank.hold(account.customer, "101", reason="rendering"):
        pytest.fail("the work has begun")


def test_late_settlement_that_finds_nothing_is_the_end_as_well(account, now):
    hold = place(account, now, 80)
    services.expire_holds([hold], now=now + HOUR)
    other = place(account, now + HOUR, 100)

    late = settle(hold, 60, now + HOUR)
    services.release_holds([other], now=now + HOUR)
    again = settle(hold, 60, now + HOUR)

    assert (late.settled, late.first, again.settled, again.first) == (0, True, 0, False)
    assert state(account) == (100, 0)


def test_late_settlement_of_a_call_is_paid_by_its_session_while_that_lasts(account, session, now):
    call = place(account, now, 30, parent=session, lifetime=HOUR / 2)
    services.expire_holds([call], now=now + HOUR / 2)

    late = settle(call, 20, now + HOUR / 2)

    assert late.settled == credits(20)
    assert (state(account), lent(session)) == ((80, 30), 20)


def test_what_was_drawn_from_a_session_is_no_session(account, session, now):
    call = place(account, now, 30, parent=session)

    with pytest.raises(HoldNotFound):
        place(account, now, 10, parent=call)


@pytest.mark.parametrize(
    ("used", "left"), [(10, [(10, 30), (0, 20)]), (35, [(35, 5), (0, 20)]), (50, [(40, 0), (10, 10)])]
)
def test_session_gets_back_what_the_call_drew_last(customer, now, used, left):
    """The session has 40 of one grant and 20 of another; the call drew all of it. ``left`` is (spent, held) of each."""
    account = services.account_of(customer)
    grants = [factories.grant(account, amount) for amount in ("40", "30")]
    session = place(account, now, 60)
    call = place(account, now, 60, parent=session)

    settle(call, used, now)

    for grant, (spent, held) in zip(grants, left, strict=True):
        grant.refresh_from_db()
        assert (grant.amount - grant.remaining, grant.held) == (credits(spent), credits(held))
    assert lent(session) == used
    assert place(account, now, 60 - used, parent=session)
