"""The query parameters of the bank's reads: known, bounded, and named when they are wrong."""

from datetime import datetime
from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.reads import Filter as Filter
from credits.fields import InstantField
from credits.models import Currency, Grant, currency_of

Row = TypeVar("Row", bound=Model)


class Period(Filter):
    """``from`` (inclusive) and ``to`` (exclusive). Python keeps the word ``from`` for itself, hence ``get_fields``."""

    def get_fields(self) -> dict[str, Any]:
        when = "RFC 3339 with its zone, or a date, which begins at midnight UTC."
        return super().get_fields() | {
            "from": InstantField(required=False, help_text=f"Not before this instant: {when}"),
            "to": InstantField(required=False, help_text=f"Before this instant: {when}"),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["from"] >= attrs["to"]:
            raise serializers.ValidationError({"to": ["Must be later than `from`."]}, code="invalid")
        return attrs


def within(rows: QuerySet[Row], start: datetime | None, end: datetime | None) -> QuerySet[Row]:
    """Keep the rows created from ``start`` up to, not including, ``end``."""
    if start is not None:
        rows = rows.filter(created_at__gte=start)
    if end is not None:
        rows = rows.filter(created_at__lt=end)
    return rows


class OwnCurrency:
    """The default of a filter by currency: what the caller spends."""

    requires_context = True

    def __call__(self, field: serializers.Field[Any, Any, Any, Any]) -> str:
        return currency_of(str(field.context.get("mode", ApiKey.Mode.LIVE.value)))


class CurrencyFilter(Filter):
    currency = serializers.ChoiceField(
        Currency.choices,
        default=cast(Any, OwnCurrency()),
        help_text="Which balance; `credits`, or `test` for a test key.",
    )

    def validate_currency(self, currency: str) -> str:
        if self.context.get("mode") == ApiKey.Mode.TEST and currency != Currency.TEST:
            raise serializers.ValidationError("A test key reads test credits only.", "test_only")
        return currency


class GrantFilter(CurrencyFilter):
    category = serializers.ChoiceField(Grant.Category.choices, required=False, help_text="Of this category only.")
