"""The query parameters of the bank's reads: known, bounded, and named when they are wrong."""

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from accounts.errors import ValidationFailed
from credits.fields import InstantField
from credits.models import Currency, Grant

LAST_PAGE = 1_000_000
LARGEST_ID = 2**63 - 1

Row = TypeVar("Row", bound=Model)


class Query(serializers.Serializer[dict[str, Any]]):
    """The parameters that a read takes. ``read`` returns their values; anything else is refused."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """
        Return the parameters of ``request``, with defaults filled in.

        :raises ValidationFailed: naming every parameter that is unknown, repeated or wrong
        """
        query = cls(data=request.query_params.dict())
        details = query._strangers(request)
        if not query.is_valid():
            details += [
                {"field": name, "message": str(error), "code": str(error.code).upper()}
                for name, errors in query.errors.items()
                for error in errors
            ]
        if details:
            raise ValidationFailed(details=details)
        values: dict[str, Any] = query.validated_data
        return values

    def _strangers(self, request: Request) -> list[dict[str, str]]:
        details = []
        for name, values in request.query_params.lists():
            if name not in self.fields:
                details.append({"field": "query", "message": f'Unrecognized key: "{name}"', "code": "UNRECOGNIZED_KEYS"})
            elif len(values) > 1:
                details.append({"field": name, "message": "Give this parameter once.", "code": "REPEATED"})
        return details


class Period(Query):
    """``from`` (inclusive) and ``to`` (exclusive). Python keeps the word ``from`` for itself, hence ``get_fields``."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return super().get_fields() | {
            "from": InstantField(required=False, help_text="Not before this instant: RFC 3339 with its zone, or a date (UTC)."),
            "to": InstantField(required=False, help_text="Before this instant: RFC 3339 with its zone, or a date (UTC)."),
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


class GrantsQuery(Query):
    page = serializers.IntegerField(min_value=1, max_value=LAST_PAGE, default=1, help_text="Page, from 1.")
    pageSize = serializers.IntegerField(min_value=1, max_value=100, default=50, help_text="Grants a page.")
    currency = serializers.ChoiceField(Currency.choices, default=Currency.CREDITS.value, help_text="Which balance.")
    category = serializers.ChoiceField(Grant.Category.choices, required=False, help_text="Grants of this category only.")
