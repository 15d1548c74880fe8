"""A call between its admission and its end."""

import json
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.calls import Call, Ending, Report
from billing.models import UsageRecord
from billing.pricing import Terms


def picos(cost: str) -> int | None:
    return Report(Ending.COMPLETED, cost=cost).cost_picos


@pytest.mark.parametrize(
    ("cost", "exact"),
    [
        ("0", 0),
        ("0.00", 0),
        ("-0", 0),
        ("0.00013", 130_000_000),
        ("1.5E-7", 150_000),
        ("1e-12", 1),
        ("1e-13", 1),
        ("0.0000000000010000000000000000000000000000000000001", 2),
        ("1.0000000000000000000000000000000000000000001", 10**12 + 1),
        ("9223372.036854775807", 2**63 - 1),
    ],
)
def test_cost_is_kept_in_picos_and_rounded_up(cost, exact):
    assert picos(cost) == exact


@pytest.mark.parametrize(
    "cost",
    [
        "",
        " ",
        "free",
        "-1",
        "-1e-30",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "9223372.0368547758071",
        "1e7",
        "1e999999",
        "1e999999999999999999",
        "1e99999999999999999999999",
        "0x10",
        "1/3",
        "9" * 10_000,
    ],
)
def test_cost_that_cannot_be_believed_is_none(cost):
    assert picos(cost) is None


@pytest.mark.parametrize("cost", ["1e-999999", "1e-999999999999999999", "0." + "0" * 10_000 + "1"])
def test_cost_however_small_is_not_nothing(cost):
    assert picos(cost) == 1


@given(st.decimals(0, 9_000_000, allow_nan=False, allow_infinity=False))
def test_cost_is_exact(cost):
    assert picos(str(cost)) == ceil(Fraction(cost) * 10**12)


@given(st.text(max_size=40))
def test_no_text_is_an_error(text):
    assert picos(text) is None or picos(text) >= 0


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(0, 2**63 - 1)
CALLS = st.builds(
    Call,
    hold_id=st.uuids().map(lambda id_: id_.hex),
    session_id=st.none() | st.uuids().map(lambda id_: id_.hex),
    account_id=NUMBERS,
    customer_id=NUMBERS,
    key_id=st.none() | NUMBERS,
    actor=TEXT,
    request_id=TEXT,
    feature=TEXT,
    quantity=NUMBERS,
    terms=st.builds(Terms, NUMBERS, TEXT, NUMBERS),
    held=NUMBERS,
    provider=TEXT,
    model=TEXT,
    streamed=st.booleans(),
    admitted_at=st.datetimes(timezones=st.just(UTC)),
)


@given(CALLS)
def test_any_process_can_read_the_call_from_its_hold(call):
    assert Call.from_context(json.loads(orjson.dumps(call))) == call


def test_endings_are_the_statuses_of_usage():
    assert {ending.value for ending in Ending} == set(UsageRecord.Status.values)


def test_call_is_of_one_instant():
    assert Call.from_context(
        {
            "hold_id": "0" * 32, "account_id": 1, "customer_id": 2, "key_id": None, "actor": "a", "request_id": "r",
            "feature": "f", "quantity": 1, "terms": {"price_id": 3, "type": "FIXED", "amount": 4}, "held": 4,
            "provider": "p", "model": "m", "streamed": True, "admitted_at": "2026-11-20T12:00:00+00:00",
        }
    ).admitted_at == datetime(2026, 11, 20, 12, tzinfo=UTC)  # fmt: skip
