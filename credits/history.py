"""
An account's past, read from its entries and holds alone.

The past is final, so none of this needs a lock or a snapshot: entries do not change, and a
hold that is resolved meanwhile is resolved after the instant that is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum

from credits import rows
from credits.explanation import Difference, Movement, State, difference, state_at
from credits.ledger import DEBT, DISPUTE, REFUND, Debt, Lot
from credits.models import Account, Draw, Grant, Hold, LedgerEntry, Reversal

#: An account's entries are numbered in the order of time, so the newest by an instant is found by halving: some
#: two dozen look-ups in ten million, and no index that every call would have to write to.
POSITIONS = """
    WITH RECURSIVE asked AS (SELECT number, account_id, instant FROM {rows}), search AS (
        SELECT asked.number, asked.account_id, asked.instant, CAST(0 AS bigint) AS low, account.entry_count AS high
        FROM asked JOIN credits_account account ON account.id = asked.account_id
        UNION ALL
        SELECT search.number, search.account_id, search.instant,
               CASE WHEN entry.created_at <= search.instant THEN entry.sequence ELSE search.low END,
               CASE WHEN entry.created_at <= search.instant THEN search.high ELSE entry.sequence - 1 END
        FROM search JOIN credits_ledgerentry entry
          ON entry.account_id = search.account_id AND entry.sequence = (search.low + search.high + 1) / 2
        WHERE search.low < search.high
    )
    SELECT number, low FROM search WHERE low = high ORDER BY number
"""
#: The entries with which a grant pays what is owed.
PAYING = (REFUND, DISPUTE, DEBT)
#: What a hold lasts longer than is rare. The index ``hold_that_lasted`` (migration 0008) says so too.
LASTING = timedelta(hours=1)
POSITION = (("number", rows.BIGINT), ("account_id", rows.BIGINT), ("instant", rows.INSTANT))


@dataclass(frozen=True, slots=True)
class Booked:
    """When and as which entry something was booked that had fallen due before."""

    sequence: int
    booked_at: datetime


def positions(account: Account, instants: Iterable[datetime]) -> list[int]:
    """Return for each instant how many entries ``account`` had by then."""
    asked = [
        {"number": number, "account_id": account.pk, "instant": instant.astimezone(UTC)}
        for number, instant in enumerate(instants)
    ]
    return [position for _, position in rows.select(POSITIONS, POSITION, asked)]


def account_at(account: Account, at: datetime) -> State:
    """Return ``account`` as it was at ``at``, which is not in the future."""
    [sequence] = positions(account, [at])
    return _state(account, at, sequence)


def between(account: Account, start: datetime, end: datetime) -> Difference:
    """Return what became of ``account`` after ``start`` and up to ``end``."""
    first, last = positions(account, [start, end])
    opening, closing = _state(account, start, first), _state(account, end, last)
    return difference(opening, closing, _movements(account, first, last))


def holds_at(account: Account, at: datetime, *, most: int) -> list[Hold]:
    """Return the holds that were pending at ``at``, oldest first, and no more than ``most``."""
    found = {hold.pk: hold for holds in _pending(account, at) for hold in holds.order_by("created_at", "pk")[:most]}
    return sorted(found.values(), key=lambda hold: (hold.created_at, hold.pk))[:most]


def booked_later(account: Account, state: State) -> dict[tuple[int, str], Booked]:
    """Return what became of the ``due`` of ``state``, by grant and kind; what is still to be booked is missing."""
    if not state.due:
        return {}
    entries = LedgerEntry.objects.filter(
        account=account,
        sequence__gt=state.sequence,
        kind__in={entry.kind for entry in state.due},
        grant__in={entry.grant_id for entry in state.due},
    )
    booked: dict[tuple[int, str], Booked] = {}
    for grant_id, kind, sequence, created_at in entries.order_by("sequence").values_list(
        "grant_id", "kind", "sequence", "created_at"
    ):
        booked.setdefault((grant_id, kind), Booked(sequence, created_at))
    return booked


def _state(account: Account, at: datetime, sequence: int) -> State:
    left = _left(account, sequence)
    held = _held(account, at)
    waited = (
        Q(created_at__lte=at) & (Q(booked_at=None) | Q(booked_at__gt=at)) & (Q(voided_at=None) | Q(voided_at__gt=at))
    )
    grants = list(Grant.objects.filter(Q(pk__in=[*left, *held]) | (Q(account=account) & waited)))
    lots = [
        Lot(
            grant.pk,
            grant.amount,
            left.get(grant.pk, 0),
            held.get(grant.pk, 0),
            grant.priority,
            grant.effective_at,
            grant.expires_at,
            None if grant.booked_at is None or grant.booked_at > at else grant.booked_at,
            grant.voided_at is not None and grant.voided_at <= at,
        )
        for grant in grants
    ]
    late = [grant for grant, lot in zip(grants, lots, strict=True) if lot.booked_at is None and lot.effective_at <= at]
    debts = _debts(account, late) if late else []
    return state_at(at, account_id=account.pk, sequence=sequence, lots=lots, debts=debts)


def _debts(account: Account, late: list[Grant]) -> list[Debt]:
    """
    Return what the grants that had taken effect and were not booked yet had to pay at once.

    If they were booked since, all were at one instant, before anything else changed: what they
    paid then they owed before. What is reversed only at that instant is no such debt.
    """
    booked = [grant for grant in late if grant.booked_at is not None]
    if not booked:
        owed = Reversal.objects.filter(account=account, owed__gt=0).exclude(grant=None).order_by("pk")
        return [Debt(row.pk, row.key, row.grant_id or 0, row.kind, row.taken, row.owed) for row in owed]
    booked_at = booked[0].booked_at
    assert booked_at is not None, "those that wait were left out"
    before = Reversal.objects.filter(account=account, created_at__lt=OuterRef("created_at"), key=OuterRef("reference"))
    paid = LedgerEntry.objects.filter(
        Exists(before), grant__in=booked, created_at=booked_at, actor="system", kind__in=PAYING
    )
    first: dict[tuple[int, str], Debt] = {}
    for entry in paid.order_by("sequence"):
        own = 0 if entry.kind == DEBT else entry.grant_id
        debt = Debt(0, entry.reference, own, entry.kind, taken=0, owed=-entry.amount)
        first.setdefault((entry.grant_id, entry.reference), debt)
    return list(first.values())


def _movements(account: Account, after: int, up_to: int) -> list[Movement]:
    """
    Return what the entries above ``after`` and up to ``up_to`` did, by kind.

    Nearly all are USAGE. Those are not read, however many: they are what the numbers and the balances
    of the first and the last entry leave when the others, which have an index, are taken away.
    """
    others = (
        LedgerEntry.objects.filter(account=account, sequence__gt=after, sequence__lte=up_to)
        .exclude(kind=LedgerEntry.Kind.USAGE)
        .order_by()
        .values_list("kind")
        .annotate(entries=Count("pk"), total=Sum("amount"))
    )
    movements = [Movement(*row) for row in others]
    calls = up_to - after - sum(movement.entries for movement in movements)
    if calls:
        changed = _balance(account, up_to) - _balance(account, after)
        used = changed - sum(movement.amount for movement in movements)
        movements.append(Movement(LedgerEntry.Kind.USAGE.value, calls, used))
    return movements


def _balance(account: Account, sequence: int) -> int:
    """Return the balance that entry ``sequence`` left."""
    if not sequence:
        return 0
    return LedgerEntry.objects.values_list("balance_after", flat=True).get(account=account, sequence=sequence)


def _left(account: Account, sequence: int) -> dict[int, int]:
    """
    Return what was left of each grant after entry ``sequence``.

    A grant that nothing was taken from yet is whole, and one that has not changed since is as it is now. Between the
    two there is nearly always one, which has what the others leave of the balance. Further ones are summed up.
    """
    own = LedgerEntry.objects.filter(grant=OuterRef("pk"))
    newest = own.filter(sequence__lte=sequence).order_by("-sequence")
    grants = (
        Grant.objects.filter(account=account)
        .annotate(newest=Subquery(newest.values("kind")[:1]), has_changed=Exists(own.filter(sequence__gt=sequence)))
        .exclude(newest=None)
        .exclude(remaining=0, has_changed=False)
        .order_by("amount", "pk")
        .values_list("pk", "amount", "remaining", "newest", "has_changed")
    )
    left: dict[int, int] = {}
    begun: list[int] = []
    for grant_id, amount, remaining, kind, has_changed in grants:
        if not has_changed:
            left[grant_id] = remaining
        elif kind == LedgerEntry.Kind.GRANT:
            left[grant_id] = amount
        else:
            begun.append(grant_id)
    for grant_id in begun[:-1]:
        left[grant_id] = _left_of(grant_id, sequence)
    if begun:
        left[begun[-1]] = _balance(account, sequence) - sum(left.values())
    return {grant_id: amount for grant_id, amount in left.items() if amount}


def _left_of(grant_id: int, sequence: int) -> int:
    entries = LedgerEntry.objects.filter(grant=grant_id, sequence__lte=sequence)
    return int(entries.aggregate(total=Sum("amount"))["total"])


def _held(account: Account, at: datetime) -> dict[int, int]:
    """
    Return what pending holds had drawn of each grant.

    A session hold's draws are what it has not lent now. What it lent after ``at`` was its own then,
    and what was given back to it after ``at`` was not.
    """
    pending = [pk for holds in _pending(account, at) for pk in holds.values_list("pk", flat=True)]
    if not pending:
        return {}
    lent = Q(hold__parent__in=pending)
    given_back = Q(hold__resolved_at__gt=at) & (
        Q(hold__parent__resolved_at=None) | Q(hold__resolved_at__lte=F("hold__parent__resolved_at"))
    )
    held: dict[int, int] = {}
    for sign, draws in (
        (1, Draw.objects.filter(hold__in=pending)),
        (1, Draw.objects.filter(lent, hold__created_at__gt=at)),
        (-1, Draw.objects.filter(lent & given_back)),
    ):
        _add(held, sign, draws, "amount")
    settled_in_time = LedgerEntry.objects.filter(lent & given_back, hold__status=Hold.Status.SETTLED)
    _add(held, -1, settled_in_time, "amount")
    session_lasted = Q(hold__parent__resolved_at=None) | Q(created_at__lte=F("hold__parent__resolved_at"))
    late = lent & Q(hold__status=Hold.Status.EXPIRED, created_at__gt=at) & session_lasted
    _add(held, -1, LedgerEntry.objects.filter(late), "amount")
    return {grant_id: amount for grant_id, amount in held.items() if amount}


def _add(sums: dict[int, int], sign: int, rows_: QuerySet[Any], field: str) -> None:
    for grant_id, amount in rows_.order_by().values_list("grant_id").annotate(total=Sum(field)):
        sums[grant_id] = sums.get(grant_id, 0) + sign * amount


def _pending(account: Account, at: datetime) -> list[QuerySet[Hold]]:
    """
    Return the holds that were pending at ``at``: of the older ones those that still are, the others, and the younger.

    Of the millions that were placed before ``at``, few lasted for ``LASTING``: those have an index of their own.
    One that is resolved while they are read may be among the first and the second, and is in neither case missing.
    """
    placed = account.holds.filter(created_at__lte=at)
    older = placed.filter(created_at__lte=at - LASTING)
    return [
        older.filter(status=Hold.Status.PENDING),
        older.alias(lasted=F("resolved_at") - F("created_at")).filter(resolved_at__gt=at, lasted__gt=LASTING),
        placed.filter(Q(resolved_at=None) | Q(resolved_at__gt=at), created_at__gt=at - LASTING),
    ]
