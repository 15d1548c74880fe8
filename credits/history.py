"""
An account's past, read from its entries and holds alone.

The past is final, so none of this needs a lock or a snapshot: entries do not change, and a
hold that is resolved meanwhile is resolved after the instant that is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, FilteredRelation, Q, QuerySet, Sum

from credits import rows
from credits.explanation import Difference, Movement, State, difference, state_at
from credits.ledger import Lot
from credits.models import Account, Draw, Grant, Hold, LedgerEntry

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
    held = dict(_drawn(account, at))
    waited = Q(created_at__lte=at) & (Q(booked_at=None) | Q(booked_at__gt=at))
    grants = Grant.objects.filter(Q(pk__in=[*left, *held]) | (Q(account=account) & waited))
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
        )
        for grant in grants
    ]
    return state_at(at, account_id=account.pk, sequence=sequence, lots=lots)


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


def _drawn(account: Account, at: datetime) -> Iterable[tuple[int, int]]:
    draws = Draw.objects.filter(Q(hold__account=account) & _pending_at("hold__", at)).order_by()
    return draws.values_list("grant_id").annotate(total=Sum("amount"))


def _pending_at(path: str, at: datetime) -> Q:
    """Placed by then, and not resolved by then."""
    resolved_later = Q(**{f"{path}resolved_at": None}) | Q(**{f"{path}resolved_at__gt": at})
    return Q(**{f"{path}created_at__lte": at}) & resolved_later
