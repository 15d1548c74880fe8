"""
Seals of closed days: one digest for where the chain of every account stood at midnight UTC.

A seal is the SHA-256 of a text that anybody can keep and check with ``sha256sum``:

    seal 2026-11-20 <digest of the seal before, or a dash>
    <account> <number of its newest entry> <digest of that entry>
    …

with a line for every account that had entries, in the order of their ids. Each entry's
digest covers all entries before it and each seal's digest the seal before, so one digest
kept elsewhere proves the whole past.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Subquery

from credits.models import Account, LedgerEntry, Seal
from credits.trial_balance import close_days

#: How long after midnight a day is still open: what was begun before it may be committed after it.
SETTLING = timedelta(minutes=5)
ACCOUNTS_A_READ = 2000


class DayIsOpen(ValueError):
    """The day is not over, or has only just ended."""


class DayIsPast(ValueError):
    """A later day is sealed already; its seal covers this one too."""


class SealIsBroken(ValueError):
    """What is there now is not what was sealed. ``manage.py check_ledger`` says more."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain of an account stood: its newest entry, and the balance after it."""

    account_id: int
    sequence: int
    digest: str
    balance: int

    @property
    def line(self) -> bytes:
        return f"{self.account_id} {self.sequence} {self.digest}\n".encode()


class Sealing:
    """The digest of a day in the making: the heads are added in the order of their accounts' ids."""

    def __init__(self, day: date, previous: str) -> None:
        self.day = day
        self.previous = previous
        self.accounts = 0
        self.entries = 0
        self.first_line = f"seal {day.isoformat()} {previous or '-'}\n".encode()
        self._hash = hashlib.sha256(self.first_line)

    def add(self, head: Head) -> None:
        self.accounts += 1
        self.entries += head.sequence
        self._hash.update(head.line)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def agrees_with(self, seal: Seal) -> bool:
        return (self.accounts, self.entries, self.digest) == (seal.accounts, seal.entries, seal.digest)


def seal_day(day: date, *, now: datetime) -> Seal:
    """
    Seal ``day``, or return its seal if it has one.

    :raises DayIsOpen: if it is not over
    :raises DayIsPast: if a later day is sealed already
    """
    if now < end_of(day) + SETTLING:
        raise DayIsOpen(f"{day} is open until {end_of(day) + SETTLING:%Y-%m-%d %H:%M} UTC.")
    kept = Seal.objects.filter(day=day).first()
    if kept is not None:
        return kept
    newest = Seal.objects.first()
    if newest is not None and newest.day > day:
        raise DayIsPast(f"{newest.day} is sealed already, and {day} with it.")
    sealing = Sealing(day, "" if newest is None else newest.digest)
    for head in heads_at(end_of(day)):
        sealing.add(head)
    seal = Seal(
        day=day,
        accounts=sealing.accounts,
        entries=sealing.entries,
        previous=sealing.previous,
        digest=sealing.digest,
        created_at=now,
    )
    try:
        with transaction.atomic():
            seal.save(force_insert=True)
            close_days(day, before=newest)
    except IntegrityError:
        return Seal.objects.get(day=day)
    return seal


def text_of(seal: Seal) -> Iterator[bytes]:
    """
    Yield the text that ``seal`` is the digest of, line by line.

    :raises SealIsBroken: at the end, if the entries are not what was sealed
    """
    sealing = Sealing(seal.day, seal.previous)
    yield sealing.first_line
    for head in heads_at(end_of(seal.day)):
        sealing.add(head)
        yield head.line
    if not sealing.agrees_with(seal):
        raise SealIsBroken(f"What is there now is not what was sealed on {seal.day}. Run check_ledger.")


def heads_at(end: datetime) -> Iterator[Head]:
    """Yield where the chain of every account stood before ``end``, in the order of their ids."""
    newest = LedgerEntry.objects.filter(account=OuterRef("pk"), created_at__lt=end).order_by("-sequence")
    accounts = Account.objects.order_by("pk").annotate(newest=Subquery(newest.values("pk")[:1]))
    ids = accounts.exclude(newest=None).values_list("newest", flat=True)
    for some in _parts(ids.iterator(chunk_size=ACCOUNTS_A_READ)):
        entries = LedgerEntry.objects.filter(pk__in=some).order_by("account_id")
        for row in entries.values_list("account_id", "sequence", "digest", "balance_after"):
            yield Head(*row)


def end_of(day: date) -> datetime:
    """Return the midnight that ends ``day``, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _parts(ids: Iterable[int]) -> Iterator[list[int]]:
    part: list[int] = []
    for id_ in ids:
        part.append(id_)
        if len(part) == ACCOUNTS_A_READ:
            yield part
            part = []
    yield part
