"""How amounts and instants are written outside, and how instants are read."""

import re
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from credits.amounts import PLACES, display, number, parse

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2}))?", re.ASCII)


def write_instant(instant: datetime) -> str:
    """An instant as JavaScript writes it: UTC, milliseconds, ``2026-11-20T12:00:00.000Z``."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class InstantField(serializers.DateTimeField):
    """
    An RFC 3339 instant. Read with its zone or as a bare date, which is that day's midnight in UTC.

    An instant without a zone is refused, since it would mean something else to everyone.
    """

    default_error_messages = {
        "invalid": "Write an RFC 3339 instant with its zone, such as 2026-11-20T12:00:00Z, or a date.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
            self.fail("invalid", format="")
        return super().to_internal_value(value)

    def to_representation(self, value: datetime | None) -> str | None:  # type: ignore[override]
        return None if value is None else write_instant(value)


@extend_schema_field({"type": "string", "pattern": r"^-?\d+(\.\d{1,7})?$", "examples": ["12.5"]})
class AmountField(serializers.Field[int, Any, str, Any]):
    """An amount of units as decimal text."""

    def __init__(self, *, least_places: int = 0, **options: Any) -> None:
        self.least_places = least_places
        super().__init__(read_only=True, **options)

    def to_representation(self, value: int) -> str:
        return display(value, least_places=self.least_places)


@extend_schema_field(
    {"oneOf": [{"type": "integer"}, {"type": "string", "pattern": r"^-?\d+\.\d{1,7}$"}], "examples": [42, "41.5"]}
)
class CreditsField(serializers.Field[int, Any, int | str, Any]):
    """Credits where clients expect a number: one when whole, else decimal text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, **options)

    def to_representation(self, value: int) -> int | str:
        return number(value)


@extend_schema_field({"type": "string", "pattern": r"^(?=.*[1-9])\d{1,12}(\.\d{1,7})?$", "examples": ["12.5"]})
class PositiveAmountField(serializers.Field[int, Any, str, Any]):
    """An amount above 0, read as decimal text and as nothing else: a JSON number may have been a float."""

    default_error_messages = {
        "invalid": f'Write decimal text above 0 with at most {PLACES} places, such as "12.5".',
    }

    def to_internal_value(self, data: Any) -> int:
        try:
            units = parse(data) if isinstance(data, str) else 0
        except ValueError:
            units = 0
        if units <= 0:
            self.fail("invalid")
        return units

    def to_representation(self, value: int) -> str:
        return display(value)


@extend_schema_field(
    {
        "oneOf": [{"type": "integer"}, {"type": "string", "pattern": r"^-?\d{1,12}(\.\d{1,7})?$"}],
        "examples": [42, "41.5"],
    }
)
class CreditsInputField(serializers.Field[int, Any, int | str, Any]):
    """
    Credits where clients send a number: a whole one, or decimal text. A number with a fraction may have been a float.

    Below 0 only with ``signed``.
    """

    default_error_messages = {
        "invalid": f'Write a whole number, or decimal text with at most {PLACES} places, such as "12.5".',
        "negative": "Must not be below 0.",
    }

    def __init__(self, *, signed: bool = False, **options: Any) -> None:
        self.signed = signed
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int:
        is_whole = isinstance(data, int) and not isinstance(data, bool)
        if not is_whole and not isinstance(data, str):
            self.fail("invalid")
        try:
            units = parse(str(data))
        except ValueError:
            self.fail("invalid")
        if units < 0 and not self.signed:
            self.fail("negative")
        return units

    def to_representation(self, value: int) -> int | str:
        return number(value)
