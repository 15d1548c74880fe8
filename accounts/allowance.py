"""
How often something may be done: so many at once, and one more each time its share of the window is over. Pure.

This is GCRA, the leaky bucket that keeps one instant: ``full_at``, when everything that was taken is given back.
"""

from datetime import datetime, timedelta

NO_WAIT = timedelta(0)


def take(full_at: datetime, *, most: int, window: timedelta, now: datetime) -> tuple[datetime, timedelta]:
    """
    Take one of ``most`` in ``window``.

    Returns when all are given back, and how long to wait until one may be taken: ``NO_WAIT`` if it was taken now,
    else nothing has changed.
    """
    later = max(full_at, now) + window // most
    wait = later - now - window
    return (later, NO_WAIT) if wait <= NO_WAIT else (full_at, wait)


def give_back(full_at: datetime, *, most: int, window: timedelta) -> datetime:
    """Return when all are given back if one of those taken had not been."""
    return full_at - window // most
