"""How amounts, instants and periods are read and written, whichever endpoint they are of."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

import credits as bank
from credits.administration.adjustments.serializers import reason_field
from credits.amounts import UNIT
from credits.errors import InsufficientCredits
from credits.fields import AmountField, CreditsField, CreditsInputField, InstantField, PositiveAmountField
from credits.filters import CurrencyFilter, Period
from credits.models import DayTotal, Draw, Grant, Hold, LedgerEntry, Reversal

pytestmark = pytest.mark.usefixtures("one_database")


def codes(refused: pytest.ExceptionInfo[ValidationError]) -> Any:
    return refused.value.get_codes()


def test_amounts_that_are_told_cannot_be_sent():
    assert AmountField().read_only
    assert CreditsField().read_only


def test_least_amount_is_a_unit():
    field = PositiveAmountField()

    assert field.run_validation("0.0000001") == 1
    for refused in ("0", "-0.0000001", "one", 1, None):
        with pytest.raises(ValidationError):
            field.run_validation(refused)


def test_credits_that_are_sent_may_be_below_nothing_only_where_it_is_said():
    assert CreditsInputField(signed=True).run_validation("-0.0000001") == -1
    with pytest.raises(ValidationError) as refused:
        CreditsInputField().run_validation("-0.0000001")
    assert codes(refused) == ["negative"]
    assert [CreditsInputField().to_representation(units) for units in (42 * UNIT, UNIT // 2)] == [42, "0.5"]


def test_instant_without_a_zone_is_refused_and_a_date_is_midnight():
    assert InstantField().run_validation("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(ValidationError) as refused:
        InstantField().run_validation("2026-03-01T12:00:00")
    assert codes(refused) == ["invalid"]


def test_reason_is_a_letter_at_least():
    assert reason_field().run_validation("x") == "x"
    with pytest.raises(ValidationError):
        reason_field().run_validation("")


def test_period_that_ends_where_it_begins_is_none():
    def asked(end: str) -> Period:
        return Period(data={"from": "2026-03-01", "to": end})

    assert asked("2026-03-02").is_valid()
    assert not asked("2026-03-01").is_valid()


def test_test_key_reads_test_credits_unless_it_asks_for_others_which_it_may_not():
    def asked(mode: str, **data: str) -> CurrencyFilter:
        return CurrencyFilter(data=data, context={"mode": mode})

    for mode, own in (("live", "credits"), ("test", "test")):
        usual = asked(mode)
        assert usual.is_valid()
        assert usual.validated_data["currency"] == own
    assert [asked("live", currency=currency).is_valid() for currency in ("credits", "usdc", "test")] == [True] * 3
    assert [asked("test", currency=currency).is_valid() for currency in ("credits", "usdc", "test")] == [
        False,
        False,
        True,
    ]


def test_client_is_told_not_to_ask_again_for_what_it_cannot_pay():
    assert InsufficientCredits(required=2, available=1).headers == {"x-should-retry": "false"}


def test_bank_has_one_door():
    assert callable(bank.hold)
    with pytest.raises(AttributeError, match="has no attribute 'borrow'"):
        bank.borrow  # noqa: B018


def test_rows_of_the_books_name_themselves():
    day = date(2026, 3, 1)

    assert [
        str(row)
        for row in (
            Grant(pk=1, source="gift"),
            Reversal(kind="REFUND", key="re_1"),
            Hold(pk="a"),
            Draw(hold_id="a", grant_id=1),
            LedgerEntry(account_id=1, sequence=2, kind="USAGE"),
            DayTotal(kind="USAGE", day=day, currency="usdc"),
        )
    ] == [
        "Grant 1: gift",
        "Refund re_1",
        "Hold a",
        "Draw of a on grant 1",
        "Entry 1/2: USAGE",
        "USAGE of 2026-03-01 in usdc",
    ]
