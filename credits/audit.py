"""
The proof of the ledger: every kept sum against what it sums up, every entry against its chain.

All of it reads one snapshot, so that money that moves meanwhile is never a false alarm.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, F, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from credits import rows
from credits.amounts import display
from credits.ledger import Entry, chain
from credits.models import Account, Draw, Grant, Hold, LedgerEntry, Reversal

ENTRIES_A_READ = 2000
#: The kinds of entries that a reversal makes; they name it by its key.
REVERSALS = ("REFUND", "DISPUTE", "DEBT", "REINSTATE", "GRANT")


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
    """Everything read inside is of one instant. Inside a transaction, it is that transaction's."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def findings(progress: Callable[[int], None]) -> Iterator[Finding]:
    """Yield every difference. ``progress`` is told the number of entries that have been proved so far."""
    yield from _sums()
    yield from _chains(progress)


def _sums() -> Iterator[Finding]:
    accounts = Account.objects.annotate(
        posted=_total(LedgerEntry.objects.all(), "account", "amount"),
        promised=_total(Hold.objects.filter(status=Hold.Status.PENDING), "account", "amount")
        - _total(Hold.objects.filter(status=Hold.Status.PENDING), "account", "lent"),
        unpaid=_total(Reversal.objects.all(), "account", "owed"),
        left=_total(Grant.objects.all(), "account", "remaining"),
    )
    grants = Grant.objects.annotate(
        posted=_total(LedgerEntry.objects.all(), "grant", "amount"),
        claimed=_total(Draw.objects.filter(hold__status=Hold.Status.PENDING), "grant", "amount"),
    )
    holds = Hold.objects.annotate(
        drawn=_total(Draw.objects.all(), "hold", "amount") + F("lent"),
        borrowed=_total(Hold.objects.filter(status=Hold.Status.PENDING), "parent", "amount")
        + _total(Hold.objects.all(), "parent", "settled"),
        spent=-_total(LedgerEntry.objects.all(), "hold", "amount"),
    )
    named = LedgerEntry.objects.filter(account=OuterRef("account"), reference=OuterRef("key"), kind__in=REVERSALS)
    reversals = Reversal.objects.annotate(moved=-_sum(named, "account", "amount"))
    yield from _differences(accounts, "balance", "posted", "the sum of its entries")
    yield from _differences(accounts, "balance", "left", "what is left of its grants")
    yield from _differences(accounts, "held", "promised", "the sum of its pending holds")
    yield from _differences(grants, "remaining", "posted", "the sum of its entries")
    yield from _differences(grants, "held", "claimed", "what pending holds have drawn")
    yield from _differences(holds, "amount", "drawn", "the sum of its draws")
    yield from _differences(holds, "settled", "spent", "the sum of its entries")
    sessions = holds.filter(status=Hold.Status.PENDING)  # a session that is over gets nothing back
    yield from _differences(sessions, "lent", "borrowed", "what is drawn from it")
    yield from _differences(accounts, "owed", "unpaid", "the sum of its reversals")
    yield from _differences(reversals, "taken", "moved", "the sum of its entries")


def _differences(rows: QuerySet[Any], kept: str, proved: str, meaning: str) -> Iterator[Finding]:
    for row in rows.exclude(**{kept: F(proved)}).iterator():
        yield Finding(
            f"{row._meta.verbose_name} {row.pk}",
            kept,
            display(getattr(row, kept)),
            f"{meaning}, {display(getattr(row, proved))},",
        )


def _total(rows: QuerySet[Any], by: str, amount: str) -> Coalesce:
    """The sum of ``amount`` over those of ``rows`` whose ``by`` is the outer row."""
    return _sum(rows.filter(**{by: OuterRef("pk")}), by, amount)


def _sum(rows: QuerySet[Any], by: str, amount: str) -> Coalesce:
    summed = rows.order_by().values(by).annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(summed, output_field=BigIntegerField()), Value(0))


def _chains(progress: Callable[[int], None]) -> Iterator[Finding]:
    """Walk every account's entries in their order, and compare where they end with what the account keeps."""
    ends: dict[int, tuple[int, str]] = {}
    sequence, balance, head, account_id = 0, 0, "", 0
    entries = LedgerEntry.objects.order_by("account_id", "sequence")
    for number, kept in enumerate(entries.iterator(chunk_size=ENTRIES_A_READ), start=1):
        if kept.account_id != account_id:
            sequence, balance, head, account_id = 0, 0, "", kept.account_id
        sequence += 1
        balance += kept.amount
        head = chain(head, account_id, _stated(kept))
        subject = f"ledger entry {account_id}/{kept.sequence}"
        if kept.sequence != sequence:
            yield Finding(subject, "sequence", str(kept.sequence), str(sequence))
            sequence = kept.sequence
        if kept.balance_after != balance:
            yield Finding(subject, "balance after", display(kept.balance_after), display(balance))
            balance = kept.balance_after
        if kept.digest != head:
            yield Finding(subject, "digest", kept.digest, head)
            head = kept.digest
        ends[account_id] = (sequence, head)
        if number % ENTRIES_A_READ == 0:
            progress(number)
    for account in Account.objects.iterator(chunk_size=ENTRIES_A_READ):
        end = ends.get(account.pk, (0, ""))
        if (account.entry_count, account.head) != end:
            kept_end = f"entry {account.entry_count} with digest {account.head[:12]}…"
            yield Finding(
                f"account {account.pk}", "the end of its chain", kept_end, f"entry {end[0]} with digest {end[1][:12]}…"
            )


def _stated(kept: LedgerEntry) -> Entry:
    return Entry(
        sequence=kept.sequence,
        grant_id=kept.grant_id,
        hold_id=None if kept.hold_id is None else rows.read_id(kept.hold_id),
        kind=kept.kind,
        amount=kept.amount,
        balance_after=kept.balance_after,
        reference=kept.reference,
        memo=kept.memo,
        actor=kept.actor,
        created_at=kept.created_at,
    )
