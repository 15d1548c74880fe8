"""So many at once, and one more with each share of the window: never more, and never fewer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.allowance import NO_WAIT, give_back, take

pytestmark = pytest.mark.usefixtures("one_database")

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
FOUR_AN_HOUR = {"most": 4, "window": timedelta(hours=1)}
QUARTER = timedelta(minutes=15)


def test_as_many_as_there_are_may_be_taken_at_once_and_then_one_each_share() -> None:
    full_at = NOON
    waits = []
    for minutes in (0, 0, 0, 0, 0, 14, 15, 15, 45, 45, 45):
        full_at, wait = take(full_at, now=NOON + timedelta(minutes=minutes), **FOUR_AN_HOUR)
        waits.append(wait // timedelta(minutes=1))

    assert waits == [0, 0, 0, 0, 15, 1, 0, 15, 0, 0, 15]


def test_what_is_refused_takes_nothing() -> None:
    full_at = NOON + timedelta(hours=1)

    assert take(full_at, now=NOON, **FOUR_AN_HOUR) == (full_at, QUARTER)


def test_what_is_given_back_can_be_taken_again() -> None:
    full_at = give_back(NOON + timedelta(hours=1), **FOUR_AN_HOUR)

    assert take(full_at, now=NOON, **FOUR_AN_HOUR) == (NOON + timedelta(hours=1), NO_WAIT)


@given(
    most=st.integers(1, 50),
    seconds=st.integers(1, 10_000),
    pauses=st.lists(st.timedeltas(timedelta(0), timedelta(minutes=30)), max_size=200),
)
def test_no_stretch_of_time_has_more_than_its_share(most: int, seconds: int, pauses: list[timedelta]) -> None:
    window = timedelta(seconds=seconds)
    taken, now, full_at = [], NOON, NOON
    for pause in pauses:
        now += pause
        full_at, wait = take(full_at, most=most, window=window, now=now)
        if not wait:
            taken.append(now)
        else:
            assert take(full_at, most=most, window=window, now=now + wait)[1] == NO_WAIT

    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= most + (taken[last] - begin) // (window // most)
