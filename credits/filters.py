"""The query parameters of the bank's reads: known, bounded, and named when they are wrong."""

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers

from accounts.reads import Filter as Filter
from credits.fields import InstantField
from credits.models import Currency, Grant

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


class CurrencyFilter(Filter):
    currency = serializers.ChoiceField(Currency.choices, default=Currency.CREDITS.value, help_text="Which balance.")


class GrantFilter(CurrencyFilter):
    category = serializers.ChoiceField(Grant.Category.choices, required=False, help_text="Of this category only.")
