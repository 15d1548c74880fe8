"""What is left of limits, by example and by property."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import zones
from billing.admission import Offer, afford, decide
from billing.errors import BudgetExceeded, BudgetInUse, NotInBudget, RateLimited, TooManyCalls
from billing.limits import MINUTE, TICK, Allowance, Counter, Ration, duration, headers, period_of
from billing.pricing import Demand, Limits, Terms
from billing.rates import FEMTO, Rates
from billing.rationing import USUAL_ANSWER, tokens_of
from credits.errors import InsufficientCredits
from tests.billing.test_admission import ASKED, KEY

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOW.date()
SECOND = timedelta(seconds=1)
UNLIMITED = Allowance("key:3", 1, 3)
LIMITS = st.integers(1, 2_000_000_000)
WAITS = st.lists(st.integers(0, 90_000_000), min_size=1, max_size=60)


def ration(spent=0, held=0, open_calls=0, **limits):
    counter = Counter("key:3", 0, 0, NOW, spent=spent, held=held, open_calls=open_calls, period_start=NOW.date())
    return Ration(replace(UNLIMITED, **limits), counter)


def ask(limited, now, tokens=0):
    """Whether a request may come at ``now``; if so, it is counted."""
    try:
        limited.check_pace(now)
        limited.check_tokens(tokens, now)
    except RateLimited as refusal:
        return refusal
    limited.take(currency="credits", held=0, tokens=tokens)
    return None


# Requests and tokens a minute


@given(st.integers(1, 40), WAITS)
def test_no_time_sees_more_requests_than_a_full_bucket_and_what_runs_out_of_it(limit, waits):
    """Of any times s and t, at most ``limit`` and its share of the time between them are admitted."""
    limited, now, admitted = ration(requests=limit), NOW, []
    for wait in waits:
        now += wait * TICK
        if ask(limited, now) is None:
            admitted.append(now)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            between = (admitted[last] - start) // TICK
            assert (last - first + 1) * MINUTE <= limit * MINUTE + limit * between


@given(LIMITS, WAITS)
def test_whoever_is_refused_is_told_the_first_instant_at_which_they_are_not(limit, waits):
    limited, now = ration(tokens=limit), NOW
    for wait in waits:
        now += wait * TICK
        refusal = ask(limited, now, tokens=max(1, limit // 3))
        if refusal is not None:
            told = datetime.fromisoformat(refusal.extra["resetsAt"])
            assert int(refusal.headers["Retry-After"]) * SECOND >= told - now - SECOND
            again = now + limited_wait(limited, max(1, limit // 3)) * TICK
            assert ask(limited, again - TICK, tokens=max(1, limit // 3)) is not None
            assert ask(limited, again, tokens=max(1, limit // 3)) is None
            now = again


def limited_wait(limited, needed):
    limit, level = limited.allowance.tokens, limited.counter.tokens_level
    return -(-(level + needed * MINUTE - limit * MINUTE) // limit)


def test_limit_is_there_at_once_and_then_evenly():
    limited = ration(requests=60)

    assert [ask(limited, NOW) for _ in range(60)] == [None] * 60
    refusal = ask(limited, NOW)
    assert (refusal.code, refusal.status, refusal.headers["Retry-After"]) == ("rate_limit_exceeded", 429, "1")
    assert refusal.extra == {
        "unit": "requests",
        "limitOf": "key",
        "limit": 60,
        "used": 60,
        "resetsAt": "2026-11-20T12:00:01.000Z",
    }
    assert ask(limited, NOW + SECOND - TICK) is not None
    assert ask(limited, NOW + SECOND) is None
    assert ask(limited, NOW + SECOND) is not None


def test_clock_that_goes_back_gives_nothing():
    limited = ration(requests=1)
    ask(limited, NOW)

    assert ask(limited, NOW - timedelta(hours=1)) is not None
    assert ask(limited, NOW + 59 * SECOND) is not None
    assert ask(limited, NOW + 60 * SECOND) is None


def test_tokens_that_were_reserved_and_not_used_come_back():
    limited = ration(tokens=1000)
    assert ask(limited, NOW, tokens=900) is None
    assert ask(limited, NOW, tokens=101) is not None

    conclude(limited, tokens=900, tokens_used=100)

    assert ask(limited, NOW, tokens=900) is None
    assert ask(limited, NOW, tokens=1) is not None


def test_tokens_above_what_was_reserved_are_waited_for():
    limited = ration(tokens=60)
    assert ask(limited, NOW, tokens=10**9) is None

    conclude(limited, tokens=60, tokens_used=180)

    assert ask(limited, NOW + 120 * SECOND, tokens=1) is not None
    assert ask(limited, NOW + 121 * SECOND, tokens=1) is None


def test_tokens_that_nobody_has_told_stay_reserved():
    limited = ration(tokens=1000)
    ask(limited, NOW, tokens=900)

    conclude(limited, tokens=900, tokens_used=None)

    assert ask(limited, NOW, tokens=101) is not None


def test_call_that_may_use_more_than_a_minutes_worth_waits_for_a_full_bucket():
    limited = ration(tokens=1000)

    assert ask(limited, NOW, tokens=50_000) is None
    assert ask(limited, NOW + 59 * SECOND, tokens=50_000) is not None
    assert ask(limited, NOW + 60 * SECOND, tokens=50_000) is None


def conclude(limited, *, day=TODAY, currency="credits", held=0, charged=0, tokens=0, tokens_used=None):
    limited.counter.conclude(
        day=day, currency=currency, held=held, charged=charged, tokens=tokens, tokens_used=tokens_used
    )


def test_answer_says_what_is_left_of_the_limit_that_has_the_least_left():
    wide, narrow = ration(requests=600, tokens=90_000), ration(requests=60)
    for each in (wide, narrow):
        each.take(currency="credits", held=0, tokens=15_000)

    assert headers([wide, narrow]) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "75000",
        "x-ratelimit-reset-tokens": "10s",
    }
    assert headers([ration(budget=5, period="DAY")]) == {}


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0ms"), (1, "1ms"), (20_000, "20ms"), (999_001, "1s"), (1_500_000, "1.5s"),
        (59_999_999, "1m0s"), (360_000_000, "6m0s"), (90_951_000, "1m30.951s"),
    ],
)  # fmt: skip
def test_times_are_written_as_openai_does(microseconds, text):
    assert duration(microseconds) == text


# Calls at the same time


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_no_more_calls_run_than_may_and_one_that_ends_makes_room(limit, wishes):
    limited, running = ration(calls=limit), 0
    for begins in wishes:
        if begins:
            if running == limit:
                with pytest.raises(TooManyCalls) as refusal:
                    limited.check_pace(NOW)
                assert (refusal.value.extra["limit"], refusal.value.extra["used"]) == (limit, limit)
                continue
            limited.check_pace(NOW)
            limited.take(currency="credits", held=0, tokens=0)
            running += 1
        elif running:
            conclude(limited)
            running -= 1
        assert limited.counter.open_calls == running <= limit


# Budgets


def decided(available, *rations, currency="credits", amount=10, quantity=1, offers=None):
    terms = Terms(1, "FIXED", amount)
    return decide(
        KEY,
        offers or [Offer(currency, KEY.account_id, (terms,))],
        asked=ASKED,
        quantity=quantity,
        available={KEY.account_id: available, 9: available},
        now=NOW,
        rations=rations,
    )


@given(
    st.integers(1, 200),
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100), st.booleans()), max_size=40),
)
def test_spent_and_held_never_exceed_the_budget_and_what_fits_is_admitted(budget, balance, calls):
    """Whatever begins and ends in whatever order, against a model that remembers every call."""
    limited, available, running, spent = ration(budget=budget, period="DAY"), balance, [], 0
    for amount, share, ends in calls:
        if amount > available or spent + sum(running) + amount > budget:
            in_the_way = BudgetExceeded if spent + amount > budget else BudgetInUse
            with pytest.raises(InsufficientCredits if amount > available else in_the_way):
                decided(available, limited, amount=amount)
        else:
            limited.take(currency="credits", held=decided(available, limited, amount=amount).amount, tokens=0)
            running.append(amount)
            available -= amount
        if ends and running:
            held = running.pop(0)
            charged = held * share // 100
            conclude(limited, held=held, charged=charged)
            available += held - charged
            spent += charged
        assert (limited.counter.held, limited.counter.spent) == (sum(running), spent)
        assert limited.counter.spent + limited.counter.held <= budget


def test_refusal_says_what_is_spent_what_is_held_and_when_the_period_ends():
    limited = ration(budget=50_000_000, period="MONTH", spent=20_000_000, held=15_000_000, time_zone="Europe/Berlin")

    with pytest.raises(BudgetInUse) as in_use:
        decided(10**9, limited, amount=20_000_000)
    with pytest.raises(BudgetExceeded) as exceeded:
        decided(10**9, limited, amount=30_000_001)

    assert exceeded.value.extra == {
        "unit": "credits",
        "limitOf": "key",
        "required": "3.0000001",
        "limit": "5",
        "used": "3.5",
        "spent": "2",
        "held": "1.5",
        "resetsAt": "2026-11-30T23:00:00.000Z",
    }
    assert exceeded.value.status == 403
    assert exceeded.value.headers["x-should-retry"] == "false"
    assert int(exceeded.value.headers["Retry-After"]) == (datetime(2026, 11, 30, 23, tzinfo=UTC) - NOW).total_seconds()
    assert (in_use.value.status, in_use.value.headers) == (429, {"Retry-After": "1"})


def test_tightest_budget_is_the_one_that_is_told():
    key = ration(budget=100, period="DAY", spent=50)
    customer = ration(budget=60, period="WEEK", spent=55, key_id=None)

    with pytest.raises(BudgetExceeded) as refusal:
        decided(1000, key, customer)

    assert (refusal.value.extra["limitOf"], refusal.value.extra["resetsAt"]) == ("customer", "2026-11-23T00:00:00.000Z")


def test_whoever_has_no_credits_hears_of_that_and_not_of_the_budget():
    with pytest.raises(InsufficientCredits) as refusal:
        decided(9, ration(budget=5, period="DAY"))

    assert refusal.value.extra["available"] == "0.0000009"


def test_test_credits_are_not_of_the_customers_budget():
    assert decided(10, ration(budget=1, period="DAY", key_id=None), currency="test").amount == 10


def test_nothing_is_paid_in_usdc_where_there_is_a_budget_in_credits():
    usdc = Offer("usdc", 9, (Terms(2, "FIXED", 1),))
    dear = Offer("credits", KEY.account_id, (Terms(1, "FIXED", 100),))
    budget = ration(budget=200, period="DAY")

    assert decided(50, ration(requests=5), offers=[dear, usdc]).offer == usdc
    with pytest.raises(InsufficientCredits):
        decided(50, budget, offers=[dear, usdc])
    with pytest.raises(NotInBudget):
        decided(50, budget, offers=[usdc])


RATES = Rates(prompt=3, completion=5, input=3, output=5, request=7, image=11, context=1000, longest=500)
AT_COST = Terms(1, "METERED", 0, rate=FEMTO, markup=10**6)
DEMAND = Demand(prompt_tokens=100, completion_tokens=200)


def test_answer_is_clamped_to_what_the_budget_affords():
    """307 before the answer and 5 for each of its tokens, of which 100 fit."""
    limited = ration(budget=2000, period="DAY", spent=1000, held=193)
    offers = [Offer("credits", 2, (AT_COST,))]

    def with_budget(each):
        return decide(
            KEY, offers, asked=ASKED, quantity=1, available={2: 10**6}, now=NOW, demand=DEMAND, rates=RATES,
            rations=[each],
        )  # fmt: skip

    decision = with_budget(limited)
    with pytest.raises(BudgetExceeded) as refusal:
        with_budget(ration(budget=307 + 5 * 20, period="DAY"))

    assert (decision.amount, decision.limits.max_tokens, decision.limits.is_clamped) == (807, 100, True)
    assert decision.tokens == 100 + 100
    assert refusal.value.extra["affordableMaxTokens"] == 20
    assert afford(offers, quantity=1, available={2: 10**6}, demand=DEMAND, rates=RATES).limits.max_tokens == 200


@pytest.mark.parametrize(
    ("demand", "answer", "rates", "tokens"),
    [
        (DEMAND, None, None, 300),
        (replace(DEMAND, completion_tokens=None), None, None, 100 + USUAL_ANSWER),
        (replace(DEMAND, prompt_tokens=10**9), Limits(64, True, RATES), RATES, 1000 + 64),
        (replace(DEMAND, choices=3, calls=2), Limits(64, True, RATES), RATES, 2 * (100 + 3 * 64)),
    ],
)
def test_tokens_are_reserved_for_the_most_that_a_call_may_use(demand, answer, rates, tokens):
    assert tokens_of(demand, answer, rates) == tokens


# Periods

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Auckland",
]
INSTANTS = st.integers(0, 16_000 * 24 * 3600).map(lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + seconds * SECOND)


@given(INSTANTS, st.sampled_from(["DAY", "WEEK", "MONTH"]), st.sampled_from(ZONES))
def test_periods_follow_each_other_without_a_gap_whatever_the_clocks_do(now, period, zone):
    allowance = replace(UNLIMITED, budget=1, period=period, time_zone=zone)
    start, after = allowance.period_start(now), allowance.period_ends(now)

    assert start <= zones.day_of(now, zone)
    assert now < after
    assert allowance.period_start(after) == period_of(start, period)[1]
    assert allowance.period_start(after - TICK) == start


@pytest.mark.parametrize(
    ("day", "period", "found"),
    [
        ((2026, 11, 26), "DAY", ((2026, 11, 26), (2026, 11, 27))),
        ((2026, 11, 26), "WEEK", ((2026, 11, 23), (2026, 11, 30))),
        ((2026, 11, 23), "WEEK", ((2026, 11, 23), (2026, 11, 30))),
        ((2024, 2, 29), "MONTH", ((2024, 2, 1), (2024, 3, 1))),
        ((2026, 12, 31), "MONTH", ((2026, 12, 1), (2027, 1, 1))),
    ],
)
def test_period(day, period, found):
    assert period_of(date(*day), period) == tuple(date(*each) for each in found)


def test_day_of_the_change_of_clocks_is_as_long_as_it_is():
    allowance = replace(UNLIMITED, budget=1, period="DAY", time_zone="Europe/Berlin")
    noon = datetime(2026, 10, 25, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    assert allowance.period_ends(noon) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert allowance.period_ends(noon - timedelta(days=1)) == datetime(2026, 10, 24, 22, tzinfo=UTC)


def test_there_is_no_other_period():
    with pytest.raises(ValueError, match="YEAR"):
        period_of(NOW.date(), "YEAR")


@pytest.mark.parametrize(
    ("day", "currency", "left"),
    [
        (NOW.date(), "credits", (0, 7)),
        (NOW.date() - timedelta(days=1), "credits", (10, 0)),
        (NOW.date(), "test", (10, 0)),
    ],
    ids=["in the period", "admitted before it", "in another currency"],
)
def test_end_of_a_call_counts_in_the_period_of_its_admission(day, currency, left):
    limited = ration(budget=100, period="DAY", held=10, open_calls=1)

    conclude(limited, day=day, currency=currency, held=10, charged=7)

    assert (limited.counter.held, limited.counter.spent) == left
    assert limited.counter.open_calls == 0
