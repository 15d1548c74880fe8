"""What a trial balance is asked for, and how it is written: as JSON and as a table."""

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.spreadsheets import CsvResponse
from credits.amounts import display
from credits.fields import AmountField
from credits.filters import CurrencyFilter
from credits.kinds import COUNTER_ACCOUNTS
from credits.models import LedgerEntry
from credits.trial_balance import TrialBalance

FIRST_DAY = date(2000, 1, 1)


class TrialBalanceFilter(CurrencyFilter):
    """``from`` (inclusive) and ``to`` (exclusive), in days. Python keeps the word ``from`` for itself."""

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {
            "from": serializers.DateField(required=False, help_text="The first day, UTC. Left out: this month's."),
            "to": serializers.DateField(required=False, help_text="The day after the last. Left out: tomorrow."),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        today = timezone.now().astimezone(UTC).date()
        end = attrs.setdefault("to", today + timedelta(days=1))
        start = attrs.setdefault("from", min(today.replace(day=1), end - timedelta(days=1)))
        if not FIRST_DAY <= start < end <= date.max - timedelta(days=1):
            raise serializers.ValidationError(
                {"to": [f"Must be later than `from`, which is {FIRST_DAY} at the earliest."]}, code="invalid"
            )
        return attrs


class LineSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices, read_only=True)
    counterAccount = serializers.ChoiceField(COUNTER_ACCOUNTS, source="counter_account", read_only=True)
    entries = serializers.IntegerField(read_only=True)
    amount = AmountField(help_text="Signed, as the balances see it: what customers were given is above 0.")


class CounterAccountsSerializer(serializers.Serializer[Any]):
    """What stands against the change of the liability: together, and with that change, they are 0."""

    def get_fields(self) -> dict[str, Any]:
        return {name: AmountField() for name in COUNTER_ACCOUNTS}


class TrialBalanceSerializer(serializers.Serializer[TrialBalance]):
    currency = serializers.CharField(read_only=True)
    opening = AmountField(help_text="The liability (deferred revenue) when `from` began: what could be spent.")
    lines = LineSerializer(many=True, help_text="Every kind of entry.")
    counterAccounts = CounterAccountsSerializer(source="counter_accounts")
    closing = AmountField(help_text="The liability when `to` began: the opening and all lines.")

    def get_fields(self) -> dict[str, Any]:
        days = {
            "from": serializers.DateField(source="start", read_only=True, help_text="The first day, UTC."),
            "to": serializers.DateField(source="end", read_only=True, help_text="The day after the last."),
        }
        return days | super().get_fields()


def csv_rows(balance: TrialBalance) -> Iterator[list[Any]]:
    """Yield a trial balance as a table: the opening, each kind, each counter account, the closing."""
    yield ["line", "counterAccount", "entries", "amount"]
    yield ["opening", "liability", "", display(balance.opening)]
    for line in balance.lines:
        yield [line.kind, line.counter_account, line.entries, display(line.amount)]
    yield ["closing", "liability", "", display(balance.closing)]


def csv_of(balance: TrialBalance) -> CsvResponse:
    """A trial balance as a download."""
    return CsvResponse(
        csv_rows(balance), filename=f"trial-balance-{balance.currency}-{balance.start}-{balance.end}.csv"
    )
