"""
The end of calls whose process died: settled from the provider's own record, never dropped.

Any number of these may run beside each other and beside the gateway: a hold resolves once,
and whoever comes second sees the first result.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from accounts.errors import PrepaidError
from ai.providers import PROVIDERS
from ai.settlement import report_of
from billing import batch
from billing.calls import Call, Ending, Receipt, Report
from billing.operations import Conclude
from credits.models import Hold

logger = logging.getLogger(__name__)

#: For how long after a hold's process should have ended the provider is asked again before its record counts as lost;
#: and for how long a clock may be ahead of another before a call that still runs is taken for dead.
PATIENCE = timedelta(minutes=10)
PAGE = 100


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    What became of a hold. ``receipt`` is None while it must wait, and ``reason`` says for what.

    ``is_lost`` means that nobody will ever know: the customer pays nothing, the cost is ours.
    """

    hold: Hold
    receipt: Receipt | None
    reason: str
    is_lost: bool = False


def overdue(*, now: datetime, older_than: timedelta | None = None) -> Iterator[Hold]:
    """
    Yield the pending holds of calls whose process no longer answers for them, oldest first.

    ``older_than`` takes every hold of that age instead; use it only when no gateway is running.
    """
    due = Q(expires_at__lte=now) if older_than is None else Q(created_at__lte=now - older_than)
    while True:
        found = Hold.objects.filter(due, status=Hold.Status.PENDING, context__has_key="terms").order_by("pk")
        page = list(found.select_related("account__customer")[:PAGE])
        if not page:
            return
        yield from page
        due &= Q(pk__gt=page[-1].pk)


def resolve(hold: Hold, *, now: datetime, is_abandoned: bool = False) -> Resolved:
    """
    Conclude the call that ``hold`` was placed for, if the provider tells how it ended.

    ``is_abandoned`` says that no process answers for it any more, whatever the clocks say.
    """
    call = Call.from_context(hold.context)
    is_over = is_abandoned or hold.expires_at + PATIENCE <= now
    if not hold.reference and not is_over:
        return Resolved(hold, None, "its process may still name the generation")
    if not hold.reference:
        return _lose(hold, call, "its process died before the provider named the generation", now=now)
    provider = PROVIDERS[call.provider]()
    try:
        record = provider.generation(hold.reference)
    except PrepaidError as error:
        return Resolved(hold, None, f"the provider cannot be asked ({error.code})")
    if record is None:
        if hold.expires_at + PATIENCE <= now:
            return _lose(hold, call, "the provider has no record of the generation", now=now)
        return Resolved(hold, None, "the provider has no record of the generation yet")
    report = report_of(call, record, was_relayed=call.streamed)
    return Resolved(hold, _conclude(call, report, now=now), report.ending.value.lower())


def _lose(hold: Hold, call: Call, reason: str, *, now: datetime) -> Resolved:
    logger.warning("What hold %s was used for nobody will know: it is our loss, for %s.", hold.pk, reason)
    report = Report(Ending.UNKNOWN, generation_id=hold.reference, error_code="unresolved")
    return Resolved(hold, _conclude(call, report, now=now), reason, is_lost=True)


def _conclude(call: Call, report: Report, *, now: datetime) -> Receipt:
    receipt: Receipt = batch.commit([Conclude(call, report)], again=False, now=now)[0]
    return receipt
