"""
An account's past, read from its entries and holds alone.

The past is final, so none of this needs a lock or a snapshot: entries do not change, and a
hold that is resolved meanwhile is resolved after the instant that is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Sum

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
    entries = LedgerEntry.objects.filter(account=account, sequence__gt=first, sequence__lte=last).order_by()
    sums = entries.values_list("kind").annotate(entries=Count("pk"), total=Sum("amount"))
    opening, closing = _state(account, start, first), _state(account, end, last)
    return difference(opening, closing, [Movement(*row) for row in sums])


def holds_at(account: Account, at: datetime) -> QuerySet[Hold]:
    """Return the holds that were pending at ``at``, oldest first."""
    return account.holds.filter(_pending_at("", at)).order_by("created_at", "pk")


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


def _left(account: Account, sequence: int) -> dict[int, int]:
    """
    Return what was left of each grant after entry ``sequence``.

    Summed up from the first entry on or taken back from what is left now, whichever is the shorter way.
    """
    entry_count, left = _left_now(account)
    if sequence > entry_count // 2:
        for grant_id, amount in _sums(account, sequence, entry_count):
            left[grant_id] = left.get(grant_id, 0) - amount
    else:
        left = dict(_sums(account, 0, sequence))
    return {grant_id: amount for grant_id, amount in left.items() if amount}


def _left_now(account: Account) -> tuple[int, dict[int, int]]:
    """Both from one statement, so that they belong together while money moves."""
    found = (
        Account.objects.filter(pk=account.pk)
        .annotate(lot=FilteredRelation("grants", condition=Q(grants__remaining__gt=0)))
        .values_list("entry_count", "lot__id", "lot__remaining")
    )
    lots = list(found)
    return lots[0][0], {grant_id: remaining for _, grant_id, remaining in lots if grant_id is not None}


def _sums(account: Account, after: int, up_to: int) -> Iterable[tuple[int, int]]:
    entries = LedgerEntry.objects.filter(account=account, sequence__gt=after, sequence__lte=up_to).order_by()
    return entries.values_list("grant_id").annotate(total=Sum("amount"))


def _held(account: Account, at: datetime) -> dict[int, int]:
    """
    Return what pending holds had drawn of each grant.

    A session hold's draws are what it has not lent now. What it lent after ``at`` was its own then,
    and what was given back to it after ``at`` was not.
    """
    pending = Q(hold__account=account) & _pending_at("hold__", at)
    lender = Q(hold__account=account) & _pending_at("hold__parent__", at)
    given_back = Q(hold__resolved_at__gt=at) & (
        Q(hold__parent__resolved_at=None) | Q(hold__resolved_at__lte=F("hold__parent__resolved_at"))
    )
    held: dict[int, int] = {}
    for sign, draws in (
        (1, Draw.objects.filter(pending)),
        (1, Draw.objects.filter(lender, hold__created_at__gt=at)),
        (-1, Draw.objects.filter(lender & given_back)),
    ):
        _add(held, sign, draws, "amount")
    spent = Q(hold__parent__isnull=False) & _pending_at("hold__parent__", at) & given_back
    settled_in_time = LedgerEntry.objects.filter(Q(account=account) & spent & Q(hold__status=Hold.Status.SETTLED))
    _add(held, -1, settled_in_time, "amount")
    session_lasted = Q(hold__parent__resolved_at=None) | Q(created_at__lte=F("hold__parent__resolved_at"))
    late = Q(hold__parent__isnull=False, hold__status=Hold.Status.EXPIRED, created_at__gt=at) & session_lasted
    settled_late = LedgerEntry.objects.filter(Q(account=account) & _pending_at("hold__parent__", at) & late)
    _add(held, -1, settled_late, "amount")
    return {grant_id: amount for grant_id, amount in held.items() if amount}


def _add(sums: dict[int, int], sign: int, rows_: QuerySet[Any], field: str) -> None:
    for grant_id, amount in rows_.order_by().values_list("grant_id").annotate(total=Sum(field)):
        sums[grant_id] = sums.get(grant_id, 0) + sign * amount


def _pending_at(path: str, at: datetime) -> Q:
    """Placed by then, and not resolved by then."""
    resolved_later = Q(**{f"{path}resolved_at": None}) | Q(**{f"{path}resolved_at__gt": at})
    return Q(**{f"{path}created_at__lte": at}) & resolved_later
