"""
The proof of the ledger: every kept sum against what it sums up, every entry against its chain, every seal.

All of it reads one snapshot, so that money that moves meanwhile is never a false alarm.
``manage.py check_ledger`` runs it, and the proofs of the floors above, which call it
rather than register with it (``docs/adr/0004``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Case, F, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, Least

from credits import chains
from credits.amounts import display
from credits.findings import ENTRIES_A_READ, Finding, name_of_entry, subject_of
from credits.ledger import LAPSING
from credits.models import Account, DayTotal, Draw, Grant, Hold, LedgerEntry, Reversal, Seal
from credits.seals import end_of
from credits.trial_balance import sums_by_day

#: What a reversal makes entries of; they name it by its key. What is put back of an expired grant is a new grant.
KINDS_OF_REVERSALS = ("REFUND", "DISPUTE", "DEBT", "REINSTATE", "GRANT")


@contextmanager
def snapshot() -> Iterator[None]:
    """
    Everything read inside is of one instant, and holds up nobody who writes.

    Inside a transaction, it is that transaction's.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with _as_reader(), transaction.atomic():
            yield


@contextmanager
def _as_reader() -> Iterator[None]:
    """Begin as SQLite's readers do. Our transactions are IMMEDIATE otherwise, and lock out every writer."""
    database: Any = connection
    usual, database.transaction_mode = database.transaction_mode, "DEFERRED"
    try:
        yield
    finally:
        database.transaction_mode = usual


def findings(progress: Callable[[int], None], *, since: Seal | None = None) -> Iterator[Finding]:
    """
    Yield every difference. ``progress`` is told the number of entries that have been proved so far.

    With ``since`` the chains are walked from the end of that sealed day on; the sums are of everything all the same.
    """
    yield from _sums_of_accounts()
    yield from _sums_of_grants()
    yield from _sums_of_holds()
    yield from _sums_of_reversals()
    yield from _sums_of_days()
    yield from _reasons()
    yield from chains.findings(progress, since=since)


def differences(rows: QuerySet[Any], kept: str, proved: str, meaning: str) -> Iterator[Finding]:
    """Yield those of ``rows`` whose amount ``kept`` is not the amount ``proved``, which is ``meaning``."""
    for row in rows.exclude(**{kept: F(proved)}).iterator(chunk_size=ENTRIES_A_READ):
        yield Finding(
            subject_of(row),
            kept.replace("_", " "),
            display(getattr(row, kept)),
            f"{meaning}, {display(getattr(row, proved))},",
        )


def _sums_of_accounts() -> Iterator[Finding]:
    accounts = Account.objects.annotate(
        posted=_total(LedgerEntry.objects.all(), "amount", account="pk"),
        left=_total(Grant.objects.all(), "remaining", account="pk"),
        promised=_total(Hold.objects.filter(status=Hold.Status.PENDING), "amount", account="pk")
        - _total(Hold.objects.filter(status=Hold.Status.PENDING), "lent", account="pk"),
        unpaid=_total(Reversal.objects.all(), "owed", account="pk"),
        claimed=_total(Grant.objects.all(), "held", account="pk"),
    )
    yield from differences(accounts, "balance", "posted", "the sum of its entries")
    yield from differences(accounts, "balance", "left", "what is left of its grants")
    yield from differences(accounts, "held", "promised", "the sum of its pending holds")
    yield from differences(accounts, "held", "claimed", "what is held of its grants")
    yield from differences(accounts, "owed", "unpaid", "the sum of its reversals")


def _sums_of_grants() -> Iterator[Finding]:
    grants = Grant.objects.annotate(
        given=Case(When(booked_at=None, then=0), default="amount", output_field=BigIntegerField()),
        booked=_total(LedgerEntry.objects.filter(kind=LedgerEntry.Kind.GRANT), "amount", grant="pk"),
        posted=_total(LedgerEntry.objects.all(), "amount", grant="pk"),
        claimed=_total(Draw.objects.filter(hold__status=Hold.Status.PENDING), "amount", grant="pk"),
    )
    yield from differences(grants, "given", "booked", "its first entry")
    yield from differences(grants, "remaining", "posted", "the sum of its entries")
    yield from differences(grants, "held", "claimed", "what pending holds have drawn")


def _sums_of_holds() -> Iterator[Finding]:
    holds = Hold.objects.annotate(
        drawn=_total(Draw.objects.all(), "amount", hold="pk") + F("lent"),
        borrowed=_total(Hold.objects.filter(status=Hold.Status.PENDING), "amount", parent="pk")
        + _total(Hold.objects.all(), "settled", parent="pk"),
        spent=-_total(LedgerEntry.objects.all(), "amount", hold="pk"),
    )
    yield from differences(holds, "amount", "drawn", "the sum of its draws")
    yield from differences(holds, "settled", "spent", "the sum of its entries")
    sessions = holds.filter(status=Hold.Status.PENDING)  # one that is over gets nothing back
    yield from differences(sessions, "lent", "borrowed", "what is drawn from it")

    strange = Draw.objects.exclude(grant__account=F("hold__account")).select_related("grant", "hold")
    for draw in strange.iterator(chunk_size=ENTRIES_A_READ):
        drawn_from = f"grant {draw.grant_id} of account {draw.grant.account_id}"
        yield Finding(subject_of(draw.hold), "what it has drawn on", drawn_from, "a grant of its own account")

    usage = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.USAGE).annotate(
        spent=-F("amount"), drawn=_total(Draw.objects.all(), "amount", hold="hold", grant="grant")
    )
    in_time = usage.exclude(hold__status=Hold.Status.EXPIRED)  # what is settled late is spent of what there is
    for entry in in_time.filter(spent__gt=F("drawn")).iterator(chunk_size=ENTRIES_A_READ):
        proved = f"at most what its hold has drawn on grant {entry.grant_id}, {display(entry.drawn)},"
        yield Finding(name_of_entry(entry), "amount", display(entry.spent), proved)


def _sums_of_reversals() -> Iterator[Finding]:
    # An ordinary grant is named by its source, which may be the same word as the key of a reversal.
    named = LedgerEntry.objects.filter(kind__in=KINDS_OF_REVERSALS).exclude(kind="GRANT", grant__source=F("reference"))
    reversals = Reversal.objects.annotate(moved=-_total(named, "amount", account="account", reference="key"))
    yield from differences(reversals, "taken", "moved", "the sum of its entries")

    of_grant = Reversal.objects.exclude(grant=None)
    gone = Case(
        When(booked_at=None, voided_at__isnull=False, then="amount"),
        default=-_total(LedgerEntry.objects.filter(kind__in=LAPSING), "amount", grant="pk"),
        output_field=BigIntegerField(),
    )
    grants = Grant.objects.filter(pk__in=of_grant.values("grant")).annotate(
        reversed=_total(of_grant, F("taken") + F("owed") + F("lapsed"), grant="pk"),
        wanted=Least(_total(of_grant, "asked", grant="pk"), F("amount")),
        excused=_total(of_grant, "lapsed", grant="pk"),
        gone=gone,
    )
    yield from differences(grants, "reversed", "wanted", "what is asked of it")
    excessive = grants.filter(excused__gt=F("gone"))
    yield from differences(excessive, "excused", "gone", "at most what has expired of it or was voided")


def _sums_of_days() -> Iterator[Finding]:
    """Of every day that is sealed, also where nothing is kept."""
    newest = Seal.objects.order_by("day").last()
    if newest is None:
        sealed = LedgerEntry.objects.none()
    else:
        sealed = LedgerEntry.objects.filter(created_at__lt=end_of(newest.day))
    proved = sums_by_day(sealed)
    kept = {(row.day, row.currency, row.kind): (row.entries, row.amount) for row in DayTotal.objects.all()}
    for key in sorted(proved.keys() | kept.keys()):
        found, should = kept.get(key, (0, 0)), proved.get(key, (0, 0))
        if found != should:
            day, currency, kind = key
            yield Finding(
                f"day total of {kind} on {day} in {currency}",
                "the sum of its entries",
                f"{display(found[1])} of {found[0]} entries",
                f"{display(should[1])} of {should[0]} entries",
            )


def _reasons() -> Iterator[Finding]:
    """Whoever gives or takes by hand says who, why and, for an entry, under which reference."""
    by_hand = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.ADJUSTMENT)
    for name in ("actor", "memo", "reference"):
        for entry in by_hand.filter(**{name: ""}).iterator(chunk_size=ENTRIES_A_READ):
            yield Finding(name_of_entry(entry), name, "empty", "one of every adjustment")
    given = Grant.objects.filter(category=Grant.Category.ADJUSTMENT)
    for name in ("actor", "memo"):
        for grant in given.filter(**{name: ""}).iterator(chunk_size=ENTRIES_A_READ):
            yield Finding(subject_of(grant), name, "empty", "one of every adjustment")


def _total(rows: QuerySet[Any], amount: str | CombinedExpression, **by: str) -> Coalesce:
    """The sum of ``amount`` over those of ``rows`` whose fields are what ``by`` says of the outer row."""
    mine = rows.filter(**{name: OuterRef(outer) for name, outer in by.items()})
    summed = mine.order_by().values(*by).annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(summed, output_field=BigIntegerField()), Value(0))
