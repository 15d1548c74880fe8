"""
What is done again and again, by ``manage.py worker``.

A line here makes a management command a job: its name, and how long after it succeeded it is done again. It must be
safe to run twice, in parallel, and to kill, because a worker may die at any time and another begins again.
"""

from datetime import datetime, timedelta

JOBS = {
    "resolve_holds": timedelta(minutes=1),
    "expire_credits": timedelta(minutes=5),
    "refresh_catalogue": timedelta(hours=1),
    "seal_ledger": timedelta(hours=1),
    "prune_idempotency": timedelta(hours=6),
}

#: How long a worker that says nothing is believed to be at its job.
LEASE = timedelta(minutes=1)
#: A job that failed is tried again after this, then after twice as long, and so on up to its interval.
RETRY = timedelta(minutes=1)


def next_due(name: str, *, failures: int, now: datetime) -> datetime:
    """When a job that ended ``now``, after so many failures in a row, is due again."""
    every = JOBS[name]
    return now + (min(every, RETRY * 2 ** min(failures - 1, 10)) if failures else every)
