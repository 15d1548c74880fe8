"""
What limits have been used of, in one transaction: locked and read once, changed by the pure rules, written once.

They are opened after the books, and so locked after the accounts: no two transactions wait for each other. A counter
is a cache of what is elsewhere: what was spent is in the daily roll-up, what is held in the calls that run. It is
counted from there when its first call comes, when a period begins, and when the limits were changed; no job resets it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from django.db.models import QuerySet, Sum

from billing.admission import Decision
from billing.calls import Call, Ending, Receipt, Report
from billing.limits import Allowance, Counter, Ration, Rations
from billing.models import UsageDay, UsageRecord
from credits import rows
from credits.models import Hold

#: For so long after limits were changed calls may still be admitted by who has read them before: no batch takes longer.
GRACE = timedelta(minutes=1)

SUBJECT = (("subject", rows.TEXT),)
STATE = (
    ("id", rows.BIGINT),
    ("requests_level", rows.BIGINT),
    ("tokens_level", rows.BIGINT),
    ("leaked_at", rows.INSTANT),
    ("open_calls", rows.BIGINT),
    ("period_start", rows.DATE),
    ("spent", rows.BIGINT),
    ("held", rows.BIGINT),
    ("limited_at", rows.INSTANT),
    ("is_complete", rows.BOOLEAN),
)
NEW = (
    ("subject", rows.TEXT),
    ("customer_id", rows.BIGINT),
    ("key_id", rows.BIGINT),
    ("end_user", rows.TEXT),
    ("currency", rows.TEXT),
    *STATE[1:],
)
LOCK = """
    SELECT counter.id, counter.subject, counter.requests_level, counter.tokens_level, counter.leaked_at,
           counter.open_calls, counter.currency, counter.period_start, counter.spent, counter.held,
           counter.limited_at, counter.is_complete
    FROM billing_counter counter
    WHERE counter.subject IN (SELECT subject FROM {rows})
    ORDER BY counter.id {lock}
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What has been used of an allowance: calls that run, and in the period what was spent and what they hold."""

    open_calls: int
    spent: int
    held: int


def used_of(allowance: Allowance, now: datetime) -> Used:
    """Count what has been used of ``allowance``, from where it is proved, for whoever reads it. Nothing is locked."""
    calls = [call for call in _running({allowance.customer_id}) if _is_of(call, allowance)]
    return _used(allowance, calls, allowance.period_start(now))


def _used(allowance: Allowance, calls: Sequence[Call], start: date | None) -> Used:
    if start is None:
        return Used(len(calls), 0, 0)
    held = sum(call.held for call in calls if _counts(call, allowance, start))
    return Used(len(calls), _spent(allowance, start), held)


class Counters:
    """The counters of the calls that a batch admits and concludes. They stay locked until the transaction ends."""

    def __init__(self, counters: dict[str, Counter], ids: dict[str, int], now: datetime) -> None:
        self._counters = counters
        self._ids = ids
        self._now = now

    @classmethod
    def open(cls, allowances: Iterable[Allowance], concluded: Iterable[Call], *, now: datetime) -> Self:
        """Lock the counters of ``allowances``, which are made where there are none, and those of calls that end."""
        wanted = {allowance.subject: allowance for allowance in allowances}
        subjects = wanted.keys() | {subject for call in concluded for subject in call.counted_as}
        if not subjects:
            return cls({}, {}, now)
        ids, counters = _locked(subjects)
        missing = wanted.keys() - ids.keys()
        if missing:
            _make([wanted[subject] for subject in sorted(missing)], now)
            made_ids, made = _locked(missing)
            ids |= made_ids
            counters |= made
        _recount([(allowance, counters[subject]) for subject, allowance in wanted.items()], now)
        return cls(counters, ids, now)

    def rations(self, allowances: Iterable[Allowance]) -> Rations:
        """What is left of ``allowances``."""
        return [Ration(allowance, self._counters[allowance.subject]) for allowance in allowances]

    def take(self, rations: Rations, decision: Decision) -> dict[str, int]:
        """Count a call that is admitted, and return whom it counts for, each with the tokens reserved for it."""
        currency, held = decision.offer.currency, decision.amount
        return {
            ration.allowance.subject: ration.take(currency=currency, held=held, tokens=decision.tokens)
            for ration in rations
        }

    def conclude(self, call: Call, report: Report, receipt: Receipt) -> None:
        """Count the end of a call. Whoever concludes it second changes nothing."""
        if not receipt.first:
            return
        for subject, tokens in call.counted_as.items():
            counter = self._counters.get(subject)
            if counter is not None:
                counter.conclude(
                    day=call.day,
                    currency=call.currency,
                    held=call.held,
                    charged=receipt.charged,
                    tokens=tokens,
                    tokens_used=_tokens_used(report),
                )

    def changes(self) -> rows.Change:
        """What is to be written of them."""
        changed = [subject for subject, counter in self._counters.items() if counter.changed]
        return rows.update(
            "billing_counter",
            STATE,
            [{"id": self._ids[subject], **_state(self._counters[subject])} for subject in changed],
        )


def _tokens_used(report: Report) -> int | None:
    """None where nobody knows, though something was delivered."""
    told = [count for count in (report.prompt_tokens, report.completion_tokens) if count is not None]
    if told:
        return sum(told)
    return None if report.ending in (Ending.COMPLETED, Ending.CANCELLED) else 0


def _locked(subjects: Iterable[str]) -> tuple[dict[str, int], dict[str, Counter]]:
    ids, counters = {}, {}
    for (
        id_,
        subject,
        requests,
        tokens,
        leaked_at,
        calls,
        currency,
        start,
        spent,
        held,
        limited_at,
        whole,
    ) in rows.select(LOCK, SUBJECT, [{"subject": subject} for subject in sorted(subjects)]):
        ids[subject] = id_
        counters[subject] = Counter(
            subject=subject,
            requests_level=requests,
            tokens_level=tokens,
            leaked_at=rows.aware(leaked_at),
            open_calls=calls,
            currency=currency,
            period_start=start,
            spent=spent,
            held=held,
            limited_at=limited_at and rows.aware(limited_at),
            is_complete=bool(whole),
        )
    return ids, counters


def _make(allowances: Sequence[Allowance], now: datetime) -> None:
    """Make counters that have counted nothing, unless somebody else does."""
    made = [
        {
            "subject": allowance.subject,
            "customer_id": allowance.customer_id,
            "key_id": allowance.key_id,
            "end_user": allowance.end_user,
            "currency": allowance.currency,
            **_state(Counter(allowance.subject, 0, 0, now)),
        }
        for allowance in allowances
    ]
    rows.write(rows.insert("billing_counter", NEW, made, unless_there=True))


def _state(counter: Counter) -> dict[str, Any]:
    return {
        "requests_level": counter.requests_level,
        "tokens_level": counter.tokens_level,
        "leaked_at": counter.leaked_at,
        "open_calls": counter.open_calls,
        "period_start": counter.period_start,
        "spent": counter.spent,
        "held": counter.held,
        "limited_at": counter.limited_at,
        "is_complete": counter.is_complete,
    }


def _recount(pairs: Iterable[tuple[Allowance, Counter]], now: datetime) -> None:
    """Count anew what is of another period, of other limits, or incomplete: from the roll-up and the calls that run."""
    stale = [
        (allowance, counter, start)
        for allowance, counter in pairs
        if (start := allowance.period_start(now)) != counter.period_start
        or counter.limited_at != allowance.limited_at
        or not counter.is_complete
    ]
    if not stale:
        return
    running = _running({allowance.customer_id for allowance, _, _ in stale})
    for allowance, counter, start in stale:
        calls = [call for call in running if _is_of(call, allowance)]
        used = _used(allowance, calls, start)
        counter.open_calls, counter.spent, counter.held = used.open_calls, used.spent, used.held
        counter.period_start, counter.limited_at = start, allowance.limited_at
        counter.is_complete = all(allowance.subject in call.counted_as for call in calls) and (
            allowance.limited_at is None or now >= allowance.limited_at + GRACE
        )
        counter.changed = True


def _running(customer_ids: Iterable[int]) -> list[Call]:
    """The calls of these customers that are not concluded."""
    holds = Hold.objects.filter(
        status=Hold.Status.PENDING, account__customer__in=list(customer_ids), context__has_key="terms"
    )
    return [Call.from_context(context) for context in holds.values_list("context", flat=True)]


def _is_of(call: Call, allowance: Allowance) -> bool:
    if call.customer_id != allowance.customer_id:
        return False
    return allowance.key_id in (None, call.key_id) and allowance.end_user in ("", call.end_user)


def _counts(call: Call, allowance: Allowance, start: date) -> bool:
    return call.currency == allowance.currency and call.day >= start


def _spent(allowance: Allowance, start: date) -> int:
    """What was charged in the name of ``allowance`` from the day ``start`` on."""
    in_period = {"customer": allowance.customer_id, "day__gte": start, "currency": allowance.currency}
    if allowance.end_user:
        # The roll-up knows no end users. A record is not created before its day begins, wherever that is.
        since = datetime.combine(start, time(), UTC) - timedelta(days=1)
        found: QuerySet[Any] = UsageRecord.objects.filter(
            **in_period, end_user=allowance.end_user, created_at__gte=since
        ).order_by()
    else:
        found = UsageDay.objects.filter(**in_period).order_by()
        if allowance.key_id is not None:
            found = found.filter(key_id=allowance.key_id)
    return found.aggregate(total=Sum("charged"))["total"] or 0
