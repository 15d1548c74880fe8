"""The proof of what was used: every call was charged what its hold settled, and none was forgotten."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.models import ApiKey
from billing.models import Price, UsageRecord
from credits.audit import ENTRIES_A_READ, Finding, differences, subject_of
from credits.models import Hold


def findings() -> Iterator[Finding]:
    """Yield every difference between usage records and the holds that they are of."""
    records = UsageRecord.objects.annotate(
        account_id=F("hold__account"),
        payer=F("hold__account__customer"),
        status_of_hold=F("hold__status"),
        settled=F("hold__settled"),
        set_aside=F("hold__amount"),
    )
    yield from differences(records, "charged", "settled", "what its hold settled")
    yield from differences(records, "held", "set_aside", "what its hold set aside")
    yield from _strange(records.exclude(customer=F("payer")), "customer_id", "whose account its hold is on")
    yield from _strange(records.filter(status_of_hold=Hold.Status.PENDING), "status_of_hold", "a resolved hold")
    yield from _strange(
        records.filter(shortfall__gt=0).exclude(charged=F("held")), "shortfall", "none as long as its hold is not spent"
    )
    # The database does not check these two, since that would cost every call.
    key = ApiKey.objects.filter(pk=OuterRef("api_key_id"), customer=OuterRef("customer_id"))
    price = Price.objects.filter(pk=OuterRef("price_id"), feature=OuterRef("feature"))
    yield from _strange(records.exclude(Q(api_key=None) | Exists(key)), "api_key_id", "one of its customer's keys")
    yield from _strange(records.exclude(Exists(price)), "price_id", "one of its feature's prices")

    calls = Hold.objects.filter(context__has_key="terms").exclude(status=Hold.Status.PENDING)
    for hold in calls.exclude(Exists(UsageRecord.objects.filter(hold=OuterRef("pk")))).iterator(ENTRIES_A_READ):
        yield Finding(subject_of(hold), "its usage record", "missing", "that it was resolved")


def _strange(records: QuerySet[Any], field: str, proved: str) -> Iterator[Finding]:
    for record in records.iterator(chunk_size=ENTRIES_A_READ):
        yield Finding(subject_of(record), field.replace("_", " "), str(getattr(record, field)), proved)
