"""What a provider reports is read exactly, or not at all."""

from decimal import Decimal

import pytest

from ai.errors import ProviderGarbled
from ai.providers.base import CostReport, Usage, parse_exact, read_answer, read_text, read_usage


@pytest.mark.parametrize(
    ("reported", "cost", "cost_report"),
    [
        ("0.00012345678901234567", Decimal("0.00012345678901234567"), CostReport.REPORTED),
        ("1.5e-7", Decimal("0.00000015"), CostReport.REPORTED),
        ("3", Decimal(3), CostReport.REPORTED),
        ("10000", Decimal(10_000), CostReport.REPORTED),
        ("0", Decimal(0), CostReport.ZERO),
        ("-0.0", Decimal(0), CostReport.ZERO),
        ("null", None, CostReport.ABSENT),
        ("-0.000001", None, CostReport.NEGATIVE),
        ("NaN", None, CostReport.NOT_FINITE),
        ("Infinity", None, CostReport.NOT_FINITE),
        ("-Infinity", None, CostReport.NOT_FINITE),
        ("1e99999999999999999999", None, CostReport.NOT_FINITE),
        ('"0.1"', None, CostReport.NOT_A_NUMBER),
        ("true", None, CostReport.NOT_A_NUMBER),
        ("[1]", None, CostReport.NOT_A_NUMBER),
        ("1e308", None, CostReport.OUT_OF_RANGE),
        ("10000.01", None, CostReport.OUT_OF_RANGE),
        (f"0.{'1' * 60}", None, CostReport.OUT_OF_RANGE),
        ("1e-400000000", None, CostReport.OUT_OF_RANGE),
        ("0e-400000000", None, CostReport.OUT_OF_RANGE),
    ],
)
def test_cost_is_exact_or_not_there(reported, cost, cost_report):
    usage = read_usage(parse_exact(f'{{"usage": {{"cost": {reported}}}}}'))

    assert usage == Usage(cost=cost, cost_report=cost_report)


def test_missing_cost_is_absent_and_not_zero():
    assert read_usage({"usage": {}}) == Usage(cost=None, cost_report=CostReport.ABSENT)


@pytest.mark.parametrize("event", [{}, {"usage": None}, {"usage": 3}, {"usage": []}])
def test_event_without_usage_has_none(event):
    assert read_usage(event) is None


def test_tokens_are_read_with_their_details():
    usage = read_usage(
        {
            "model": "openai/gpt-4o",
            "usage": {
                "cost": Decimal("0.5"),
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
        }
    )

    assert usage == Usage(Decimal("0.5"), CostReport.REPORTED, 10, 20, 4, 7, "openai/gpt-4o")


@pytest.mark.parametrize("count", [-1, "7", True, Decimal("1.5"), None, 10**13])
def test_number_of_tokens_that_cannot_be_is_not_reported(count):
    details = {"prompt_tokens": count, "prompt_tokens_details": count, "completion_tokens_details": "none"}

    assert read_usage({"usage": details}) == Usage()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"a": 1', b"\xff", b"[" * 100_000])
def test_answer_that_is_no_json_object_is_garbled(body):
    with pytest.raises(ProviderGarbled):
        read_answer(body)


def test_answer_may_begin_with_the_blanks_that_keep_a_connection_alive():
    assert read_answer(b'\n         \n{"a": 1.10}') == {"a": Decimal("1.10")}


def test_text_is_cut_and_can_be_stored():
    assert read_text("a\0b" + "c" * 300, 5) == "abccc"
    assert read_text("a\ud83d\ude00b\udc00😀") == "ab😀"
    assert read_text(None) == ""
