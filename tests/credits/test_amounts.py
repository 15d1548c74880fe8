"""Amounts: exact, in both directions, and refused where they are not plain decimals."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits.amounts import MAXIMUM, UNIT, credits, display, number, parse, share

UNITS = st.integers(-MAXIMUM, MAXIMUM)


@given(UNITS)
def test_what_is_displayed_is_parsed_back(units):
    assert parse(display(units)) == units


@given(UNITS, st.integers(0, 7))
def test_display_is_the_exact_decimal_with_no_more_zeros_than_asked_for(units, least_places):
    text = display(units, least_places=least_places)

    _, _, places = text.partition(".")
    assert Decimal(text) * UNIT == units
    assert least_places <= len(places) <= 7
    assert len(places) == least_places or not places.endswith("0")


@given(st.integers(0, 10**11), st.text("0123456789", min_size=1, max_size=7))
def test_parse_is_exact(whole, places):
    text = f"{whole}.{places}"

    assert parse(text) == Decimal(text) * UNIT
    assert parse("-" + text) == -parse(text)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("-0", 0),
        ("0.0000001", 1),
        ("-0.0000001", -1),
        ("12", 120_000_000),
        ("12.5", 125_000_000),
        ("007", 70_000_000),
        ("922337203685.4775807", MAXIMUM),
        ("-922337203685.4775807", -MAXIMUM),
    ],
)
def test_parse_reads_plain_decimals(text, units):
    assert parse(text) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "+1",
        "--1",
        "1.",
        ".5",
        "1,5",
        "1_000",
        "1 000",
        " 1",
        "1 ",
        "1\n",
        "1e3",
        "1E-7",
        "0x10",
        "NaN",
        "Infinity",
        "1.00000000",  # 8 places, though the last says nothing
        "0.00000001",
        "١",  # digits, but not ours
        "１.５",
        "1\u00a0",
        "\u22121",
        "1.5\0",
        "1234567890123",  # 13 digits
    ],
)
def test_parse_refuses_what_is_not_a_plain_decimal(text):
    with pytest.raises(ValueError, match="is not an amount: write a decimal with at most 7 places"):
        parse(text)


@pytest.mark.parametrize("text", ["922337203685.4775808", "-922337203685.4775808", "999999999999.9999999"])
def test_parse_refuses_more_than_an_account_can_hold(text):
    with pytest.raises(ValueError, match="is more than an account can hold"):
        parse(text)


@given(st.text(max_size=30))
def test_parse_says_no_in_one_way_only(text):
    try:
        units = parse(text)
    except ValueError:
        return
    assert Decimal(text) * UNIT == units


def test_refusal_of_a_long_text_quotes_its_beginning_only():
    with pytest.raises(ValueError, match=r"^'9{40}' is not an amount"):
        parse("9" * 10_000)


@pytest.mark.parametrize(
    ("units", "places", "text"),
    [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (1, 0, "0.0000001"),
        (-1, 2, "-0.0000001"),
        (1_005_000_000, 2, "100.50"),
        (125_000_000, 0, "12.5"),
        (-125_000_000, 2, "-12.50"),
        (120_000_000, 0, "12"),
    ],
)
def test_display_writes_as_many_places_as_it_needs(units, places, text):
    assert display(units, least_places=places) == text


@pytest.mark.parametrize(
    ("units", "seen"),
    [
        (0, "0"),
        (credits(100), "100"),
        (-credits(3), "-3"),
        (125_000_000, '"12.5"'),
        (-1, '"-0.0000001"'),
        (-15_000_000, '"-1.5"'),
        (MAXIMUM, '"922337203685.4775807"'),
    ],
)
def test_number_is_a_json_number_only_where_it_is_whole(units, seen):
    assert json.dumps(number(units)) == seen


@given(UNITS)
def test_number_is_exact(units):
    assert Decimal(str(number(units))) * UNIT == units


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 3, 0), (1, 3, 33), (2, 3, 66), (3, 3, 100), (4, 3, 100), (1, 1000, 0), (1, 1, 100)],
)
def test_share_is_rounded_down_and_at_most_all(part: int, whole: int, expected: int):
    assert share(100, part, whole) == expected


@given(st.integers(0, MAXIMUM), st.integers(0, 10**12), st.integers(1, 10**12))
def test_shares_never_add_up_to_more_than_the_whole(amount: int, part: int, whole: int):
    part = min(part, whole)
    rest = share(amount, whole - part, whole)

    assert 0 <= amount - share(amount, part, whole) - rest <= 1


@pytest.mark.parametrize(("part", "whole"), [(1, 0), (1, -1), (-1, 1)])
def test_share_of_nothing_is_refused(part: int, whole: int):
    with pytest.raises(ValueError, match=r"^A share is a part of something\.$"):
        share(100, part, whole)
