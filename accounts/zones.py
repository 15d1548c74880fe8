"""Time zones by their IANA names, such as ``Europe/Berlin``, and the days that they make of instants."""

import logging
from datetime import date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

logger = logging.getLogger(__name__)

UTC = "UTC"

#: Names that every machine reads as something else.
NOT_A_PLACE = frozenset({"Factory", "localtime"})


@cache
def choices() -> list[tuple[str, str]]:
    """The names that a customer can have, for a field."""
    return [(name, name) for name in sorted(available_timezones() - NOT_A_PLACE)]


def day_of(instant: datetime, time_zone: str) -> date:
    """The day that ``instant`` falls on in ``time_zone``."""
    return instant.astimezone(zone(time_zone)).date()


@cache
def zone(name: str) -> ZoneInfo:
    """
    Return the time zone called ``name``; UTC where this machine does not know it.

    Days are for reading, and a call is not refused for them.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        logger.warning("unknown_time_zone", extra={"time_zone": name})
        return ZoneInfo(UTC)


def beginning_of(day: date, time_zone: str) -> datetime:
    """The first instant of ``day`` in ``time_zone``, in UTC; where clocks skip midnight, the one at which they do."""
    return datetime.combine(day, time(), zone(time_zone)).astimezone(zone(UTC))
