"""
The end of details: what a call was, beyond its sums, is erased when it is old.

Whole usage records go, not some of their columns: which model was called when, and how long it
took, tells as much of a person as a request id does, and a table whose rows only lose texts
still grows for ever. What the ledger needs stays: entries, holds and grants, of which nothing is
deleted, and the daily roll-up, which also counts how many of its records are gone, so that the
proof of the sums holds before and after. What a hold kept of its call goes with the record.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Customer
from billing import days
from billing.models import Counter, UsageRecord
from credits import rows

HOLD = (("id", rows.UUID_), ("reference", rows.TEXT), ("context", rows.JSON))


#: For so long what an end user has spent may still count.
LONGEST_PERIOD = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many records a batch has erased, and the instant up to which it got; None when it found nothing."""

    count: int
    up_to: datetime | None


def erasable(before: datetime, customer: Customer | None = None) -> QuerySet[UsageRecord]:
    """The usage records of calls that began before an instant, of one customer or of all."""
    records = UsageRecord.objects.filter(created_at__lt=before)
    return records if customer is None else records.filter(customer=customer)


@transaction.atomic
def erase_details(
    *, before: datetime, limit: int, since: datetime | None = None, customer: Customer | None = None
) -> Erased:
    """
    Erase at most ``limit`` usage records of calls that began before ``before``, of ``customer`` or all, oldest first.

    It is one transaction, and leaves to others what they are erasing. ``since`` is where the batch
    before ended: without it each batch would walk again over all that is gone.
    """
    found = erasable(before, customer)
    if since is not None:
        found = found.filter(created_at__gte=since)
    columns = [name for name, _ in days.KEY[:-1]] + ["api_key_id", "created_at", "pk", "hold_id"]
    oldest = found.order_by("created_at", "pk").select_for_update(skip_locked=True)
    records = list(oldest.values(*columns)[:limit])
    if not records:
        return Erased(0, None)
    rows.write(
        days.mark_erased(records),
        rows.update(
            "credits_hold",
            HOLD,
            [{"id": record["hold_id"].hex, "reference": "", "context": {}} for record in records],
        ),
    )
    UsageRecord.objects.filter(pk__in=[record["pk"] for record in records]).delete()
    _forget_end_users(before - LONGEST_PERIOD, customer)
    return Erased(len(records), records[-1]["created_at"])


def _forget_end_users(before: datetime, customer: Customer | None) -> None:
    """Erase the names of end users whose last call was before an instant, where their budgets were counted."""
    over = Counter.objects.filter(leaked_at__lt=before, open_calls=0).exclude(end_user="")
    (over if customer is None else over.filter(customer=customer)).delete()
