"""
The proof of the chains: every entry against the one before it, and every seal against the entries it sealed.

From the first entry on, or from where the chains stood at the end of a sealed day: its seal
vouches for all that came before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db.models import F

from credits.amounts import display
from credits.findings import ENTRIES_A_READ, Finding, name_of_entry, subject_of
from credits.ledger import Entry, chain
from credits.models import Account, LedgerEntry, Seal
from credits.rows import read_id
from credits.seals import Head, Sealing, end_of, heads_at


def findings(progress: Callable[[int], None], *, since: Seal | None = None) -> Iterator[Finding]:
    """Yield every difference. ``progress`` is told the number of entries that have been proved so far."""
    yield from _links()
    starts: dict[int, Head] = {}
    if since is not None:
        sealing = Sealing(since.day, since.previous)
        for head in heads_at(end_of(since.day)):
            sealing.add(head)
            starts[head.account_id] = head
        yield from _disagreement(sealing, since)
    seals = _Seals(since)
    ends = dict(starts)
    idle = iter(sorted(starts))
    resting = next(idle, None)
    for account_id, entries in groupby(_entries(since, progress), key=attrgetter("account_id")):
        while resting is not None and resting < account_id:
            seals.add(starts[resting], {})
            resting = next(idle, None)
        resting = next(idle, None) if resting == account_id else resting
        start = starts.get(account_id)
        link = _Chain(start or Head(account_id, 0, "", 0))
        for kept in entries:
            if kept.sequence > link.head.sequence or start is None:
                yield from link.check(kept)
        seals.add(start, link.days)
        ends[account_id] = link.head
    while resting is not None:
        seals.add(starts[resting], {})
        resting = next(idle, None)
    yield from seals.findings()
    yield from _ends(ends)


@dataclass(slots=True)
class _Chain:
    """An account's chain as far as it is proved; ``days`` says where it stood after the newest entry of each day."""

    head: Head
    days: dict[date, Head] = field(default_factory=dict)

    def check(self, kept: Any) -> Iterator[Finding]:
        account_id, sequence = self.head.account_id, self.head.sequence + 1
        balance = self.head.balance + kept.amount
        digest = chain(self.head.digest, account_id, _stated(kept))
        if kept.sequence != sequence:
            yield Finding(name_of_entry(kept), "sequence", str(kept.sequence), str(sequence))
        if kept.balance_after != balance:
            yield Finding(name_of_entry(kept), "balance after", display(kept.balance_after), display(balance))
        if kept.digest != digest:
            yield Finding(name_of_entry(kept), "digest", kept.digest, digest)
        for owner, of in ((kept.account_of_grant, "grant"), (kept.account_of_hold, "hold")):
            if owner not in (account_id, None):
                yield Finding(name_of_entry(kept), f"the account of its {of}", str(owner), str(account_id))
        self.head = Head(account_id, kept.sequence, kept.digest, kept.balance_after)
        self.days[kept.created_at.astimezone(UTC).date()] = self.head


class _Seals:
    """The seals after ``since``, made again from the chains."""

    def __init__(self, since: Seal | None) -> None:
        seals = Seal.objects.order_by("day")
        self._seals = list(seals if since is None else seals.filter(day__gt=since.day))
        self._again = [Sealing(seal.day, seal.previous) for seal in self._seals]

    def add(self, start: Head | None, days: dict[date, Head]) -> None:
        """Add where one account stood at the end of each sealed day; accounts come in the order of their ids."""
        head = start
        moved = sorted(days)
        position = 0
        for sealing in self._again:
            while position < len(moved) and moved[position] <= sealing.day:
                newest = days[moved[position]]
                head = newest if head is None or newest.sequence > head.sequence else head
                position += 1
            if head is not None:
                sealing.add(head)

    def findings(self) -> Iterator[Finding]:
        for sealing, seal in zip(self._again, self._seals, strict=True):
            yield from _disagreement(sealing, seal)


def _entries(since: Seal | None, progress: Callable[[int], None]) -> Iterator[Any]:
    entries = LedgerEntry.objects.order_by("account_id", "sequence")
    if since is not None:
        entries = entries.filter(created_at__gte=end_of(since.day))
    found = entries.annotate(account_of_grant=F("grant__account"), account_of_hold=F("hold__account"))
    for number, kept in enumerate(found.iterator(chunk_size=ENTRIES_A_READ), start=1):
        yield kept
        if number % ENTRIES_A_READ == 0:
            progress(number)


def _links() -> Iterator[Finding]:
    """Each seal names the one before it."""
    before = ""
    for seal in Seal.objects.order_by("day"):
        if seal.previous != before:
            yield Finding(str(seal), "the seal before it", seal.previous or "none", before or "none")
        before = seal.digest


def _disagreement(sealing: Sealing, seal: Seal) -> Iterator[Finding]:
    for name, kept, proved in (
        ("accounts", seal.accounts, sealing.accounts),
        ("entries", seal.entries, sealing.entries),
        ("digest", seal.digest, sealing.digest),
    ):
        if kept != proved:
            yield Finding(str(seal), name, str(kept), str(proved))


def _ends(ends: dict[int, Head]) -> Iterator[Finding]:
    for account in Account.objects.iterator(chunk_size=ENTRIES_A_READ):
        end = ends.get(account.pk) or Head(account.pk, 0, "", 0)
        if (account.entry_count, account.head) != (end.sequence, end.digest):
            kept, proved = _end(account.entry_count, account.head), _end(end.sequence, end.digest)
            yield Finding(subject_of(account), "the end of its chain", kept, proved)


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
