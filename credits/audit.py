"""
The proof of the ledger: every kept sum against what it sums up, every entry against its chain.

All of it reads one snapshot, so that money that moves meanwhile is never a false alarm.
``manage.py check_ledger`` runs it, and the proofs of the floors above, which call it
rather than register with it (``docs/adr/0004``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Case, F, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from credits.amounts import display
from credits.ledger import Entry, chain
from credits.models import Account, Draw, Grant, Hold, LedgerEntry, Reversal
from credits.rows import read_id

ENTRIES_A_READ = 2000
#: What a reversal makes entries of; they name it by its key. What is put back of an expired grant is a new grant.
KINDS_OF_REVERSALS = ("REFUND", "DISPUTE", "DEBT", "REINSTATE", "GRANT")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be, and by how much."""

    subject: str
    rule: str
    kept: str
    proved: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule} is {self.kept}, but {self.proved} is proved"


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


def findings(progress: Callable[[int], None]) -> Iterator[Finding]:
    """Yield every difference. ``progress`` is told the number of entries that have been proved so far."""
    yield from _sums_of_accounts()
    yield from _sums_of_grants()
    yield from _sums_of_holds()
    yield from _sums_of_reversals()
    yield from _chains(progress)


def differences(rows: QuerySet[Any], kept: str, proved: str, meaning: str) -> Iterator[Finding]:
    """Yield those of ``rows`` whose amount ``kept`` is not the amount ``proved``, which is ``meaning``."""
    for row in rows.exclude(**{kept: F(proved)}).iterator(chunk_size=ENTRIES_A_READ):
        yield Finding(
            subject_of(row),
            kept.replace("_", " "),
            display(getattr(row, kept)),
            f"{meaning}, {display(getattr(row, proved))},",
        )


def subject_of(row: Any) -> str:
    """What an operator looks for: the row, and the account it is of."""
    name = f"{row._meta.verbose_name} {row.pk}"
    return name if isinstance(row, Account) else f"{name} of account {row.account_id}"


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
        yield Finding(_name(entry), "amount", display(entry.spent), proved)


def _sums_of_reversals() -> Iterator[Finding]:
    named = LedgerEntry.objects.filter(kind__in=KINDS_OF_REVERSALS)
    reversals = Reversal.objects.annotate(moved=-_total(named, "amount", account="account", reference="key"))
    yield from differences(reversals, "taken", "moved", "the sum of its entries")


def _total(rows: QuerySet[Any], amount: str, **by: str) -> Coalesce:
    """The sum of ``amount`` over those of ``rows`` whose fields are what ``by`` says of the outer row."""
    mine = rows.filter(**{name: OuterRef(outer) for name, outer in by.items()})
    summed = mine.order_by().values(*by).annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(summed, output_field=BigIntegerField()), Value(0))


def _chains(progress: Callable[[int], None]) -> Iterator[Finding]:
    """Walk every account's entries in their order, and compare where they end with what the account keeps."""
    ends: dict[int, tuple[int, str]] = {}
    sequence, balance, head, account_id = 0, 0, "", 0
    entries = LedgerEntry.objects.order_by("account_id", "sequence").annotate(
        account_of_grant=F("grant__account"), account_of_hold=F("hold__account")
    )
    for number, kept in enumerate(entries.iterator(chunk_size=ENTRIES_A_READ), start=1):
        if kept.account_id != account_id:
            sequence, balance, head, account_id = 0, 0, "", kept.account_id
        sequence += 1
        balance += kept.amount
        head = chain(head, account_id, _stated(kept))
        if kept.sequence != sequence:
            yield Finding(_name(kept), "sequence", str(kept.sequence), str(sequence))
            sequence = kept.sequence
        if kept.balance_after != balance:
            yield Finding(_name(kept), "balance after", display(kept.balance_after), display(balance))
            balance = kept.balance_after
        if kept.digest != head:
            yield Finding(_name(kept), "digest", kept.digest, head)
            head = kept.digest
        for owner, of in ((kept.account_of_grant, "grant"), (kept.account_of_hold, "hold")):
            if owner not in (account_id, None):
                yield Finding(_name(kept), f"the account of its {of}", str(owner), str(account_id))
        ends[account_id] = (sequence, head)
        if number % ENTRIES_A_READ == 0:
            progress(number)
    for account in Account.objects.iterator(chunk_size=ENTRIES_A_READ):
        end = ends.get(account.pk, (0, ""))
        if (account.entry_count, account.head) != end:
            yield Finding(
                subject_of(account), "the end of its chain", _end(account.entry_count, account.head), _end(*end)
            )


def _name(entry: LedgerEntry) -> str:
    return f"ledger entry {entry.sequence} of account {entry.account_id}"


def _end(count: int, head: str) -> str:
    return f"entry {count} with digest {head[:12]}…" if count else "no entry"


def _stated(kept: LedgerEntry) -> Entry:
    return Entry(
        sequence=kept.sequence,
        grant_id=kept.grant_id,
        hold_id=None if kept.hold_id is None else read_id(kept.hold_id),
        kind=kept.kind,
        amount=kept.amount,
        balance_after=kept.balance_after,
        reference=kept.reference,
        memo=kept.memo,
        actor=kept.actor,
        created_at=kept.created_at,
    )
