"""
What may be done with money. Every function is one transaction, or a part of its caller's.

Amounts are in units of 10⁻⁷ (``credits.amounts``), the clock is an argument, and every
change is keyed: the same ``source``, ``reference`` or ``key`` again returns the first result.
"""

import random
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts.models import Customer
from credits.amounts import MAXIMUM
from credits.books import Books, HoldRequest, Resolution
from credits.errors import DuplicateHold, InsufficientCredits, SourceConflict
from credits.ledger import Lot, Why
from credits.models import Account, Currency, Grant, Hold, LedgerEntry
from credits.reversals import apply_waiting

#: What an operator may write, in characters. SQLite would keep longer texts than the columns are for.
LONGEST_REFERENCE, LONGEST_MEMO = 200, 500


def account_of(customer: Customer, currency: str = Currency.CREDITS) -> Account:
    """Return the customer's account in ``currency``, opened empty on first use. Safe in any number of threads."""
    account, _ = Account.objects.get_or_create(customer=customer, currency=currency)
    return account


@transaction.atomic
def grant(
    *,
    account: Account,
    amount: int,
    category: str,
    source: str,
    actor: str,
    now: datetime,
    memo: str = "",
    priority: int = 100,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Grant:
    """
    Give an account ``amount``, once per ``source``.

    One that takes effect in the future is kept and booked when its time has come.

    :raises SourceConflict: if ``source`` has granted before, to another account or another amount
    :raises ValueError: if ``amount`` is not above 0, or more than the account can hold
    """
    books = Books.open([account.pk], now=now)
    first = Grant.objects.filter(source=source).first()
    if first is not None:
        if (first.account_id, first.amount) != (account.pk, amount):
            raise SourceConflict
        return first
    if not 0 < amount <= MAXIMUM - books.by_account[account.pk].balance:
        raise ValueError("A grant gives something, and no more than the account can hold.")
    given = _kept_once(
        Grant(
            account=account,
            category=category,
            amount=amount,
            remaining=0,
            priority=priority,
            source=source,
            effective_at=effective_at or now,
            expires_at=expires_at,
            memo=memo,
            actor=actor,
            created_at=now,
        )
    )
    lot = Lot(given.pk, amount, 0, 0, priority, given.effective_at, expires_at, booked_at=None)
    books.by_account[account.pk].grant(lot, why=Why(actor=actor, reference=source, memo=memo), now=now)
    apply_waiting(books, given, now=now)
    books.save()
    given.refresh_from_db()
    return given


def _kept_once(grant: Grant) -> Grant:
    """
    Insert ``grant``, whose account is locked; another account's may have taken its source meanwhile.

    :raises SourceConflict: if it has
    """
    try:
        with transaction.atomic():
            grant.save(force_insert=True)
    except IntegrityError as error:
        if Grant.objects.filter(source=grant.source).exists():
            raise SourceConflict from error
        raise
    return grant


@transaction.atomic
def debit(
    *, account: Account, amount: int, kind: str, reference: str, actor: str, now: datetime, memo: str
) -> list[LedgerEntry]:
    """
    Take ``amount`` at once, in burn order, once per ``reference``. Returns its entries, one a grant.

    :raises InsufficientCredits: if less is available
    :raises SourceConflict: if ``reference`` has debited another amount before
    """
    books = Books.open([account.pk], now=now)
    entries = LedgerEntry.objects.filter(account=account, kind=kind, reference=reference)
    first = list(entries.order_by("sequence"))
    if first:
        if sum(entry.amount for entry in first) != -amount:
            raise SourceConflict
        return first
    books.by_account[account.pk].debit(amount, kind, why=Why(actor=actor, reference=reference, memo=memo), now=now)
    books.save()
    return list(entries.order_by("sequence"))


def adjust(*, account: Account, amount: int, reference: str, memo: str, actor: str, now: datetime) -> list[LedgerEntry]:
    """
    Correct a balance by the signed ``amount``, once per ``reference``. Returns the entries that do it.

    More is a grant of category ADJUSTMENT; less is a debit in burn order.

    :raises InsufficientCredits: if more is taken than is available
    :raises SourceConflict: if ``reference`` has adjusted by another amount before
    :raises ValueError: if ``amount`` is 0 or more than the account can hold, or if ``reference`` or ``memo``
        is empty or too long
    """
    if amount == 0:
        raise ValueError("An adjustment of nothing changes nothing.")
    if not reference.strip() or len(reference) > LONGEST_REFERENCE:
        raise ValueError(f"An adjustment needs a reference of at most {LONGEST_REFERENCE} characters.")
    if not memo.strip() or len(memo) > LONGEST_MEMO:
        raise ValueError(f"An adjustment needs a memo of at most {LONGEST_MEMO} characters.")
    source = f"adjustment:{account.pk}:{reference}"
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        given = Grant.objects.filter(source=source).exists()
        taken = LedgerEntry.objects.filter(account=account, kind=LedgerEntry.Kind.ADJUSTMENT, reference=source).exists()
        if (given and amount < 0) or (taken and amount > 0):
            raise SourceConflict
        if amount > 0:
            granted = grant(
                account=account,
                amount=amount,
                category=Grant.Category.ADJUSTMENT,
                source=source,
                actor=actor,
                now=now,
                memo=memo,
            )
            return list(granted.entries.filter(kind=LedgerEntry.Kind.GRANT))
        return debit(
            account=account,
            amount=-amount,
            kind=LedgerEntry.Kind.ADJUSTMENT,
            reference=source,
            actor=actor,
            now=now,
            memo=memo,
        )


def new_hold_id() -> str:
    """
    A hold's id, made before anything is written: a UUID in 32 hexadecimal digits.

    Version 7 (RFC 9562): 48 bits of milliseconds, so that new rows lie side by side in the
    index, then 74 random bits.
    """
    bits = random.getrandbits(74)  # new, not secret: a hold is shown to its customer only
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds:012x}7{bits >> 62:03x}{8 | (bits >> 60 & 3):x}{bits & (1 << 60) - 1:015x}"


@transaction.atomic
def place_holds(requests: Sequence[HoldRequest], *, now: datetime) -> list[Hold | InsufficientCredits]:
    """
    Set credits aside for each request, in their order; a refusal stands in its place.

    A key that holds already returns that hold; so does an id, where there is no key.

    :raises DuplicateHold: if it holds another amount already
    """
    sessions = [request.parent_id for request in requests if request.parent_id is not None]
    books = Books.open((request.account_id for request in requests), sessions, now=now)
    kept = _kept(requests)
    outcomes: list[UUID | InsufficientCredits] = []
    for request in requests:
        first = kept.get(_name(request))
        try:
            if first is None:
                books.hold(request)
                first = kept[_name(request)] = (request.id, request.account_id, request.amount)
            if first[1:] != (request.account_id, request.amount):
                raise DuplicateHold
            outcomes.append(UUID(first[0]))
        except InsufficientCredits as refusal:
            outcomes.append(refusal)
    books.save()
    holds = Hold.objects.in_bulk([outcome for outcome in outcomes if isinstance(outcome, UUID)])
    return [holds[outcome] if isinstance(outcome, UUID) else outcome for outcome in outcomes]


@transaction.atomic
def settle_holds(
    settlements: Sequence[tuple[str, int]], *, actor: str, now: datetime, memo: str = ""
) -> list[Resolution]:
    """
    Spend what each hold was used for, given as (hold id, amount), and free the rest.

    Whoever comes second gets the first result (``Resolution.first`` is false).

    :raises HoldNotFound: if there is no such hold
    """
    books = open_for_holds([hold_id for hold_id, _ in settlements], now=now)
    why = Why(actor=actor, memo=memo)
    resolutions = [books.settle(hold_id, amount, why=why) for hold_id, amount in settlements]
    books.save()
    return resolutions


@transaction.atomic
def release_holds(hold_ids: Sequence[str], *, now: datetime) -> list[Resolution]:
    """
    Give holds back whole.

    :raises HoldNotFound: if there is no such hold
    """
    books = open_for_holds(hold_ids, now=now)
    resolutions = [books.release(hold_id) for hold_id in hold_ids]
    books.save()
    return resolutions


@transaction.atomic
def expire_holds(hold_ids: Sequence[str], *, now: datetime) -> list[Resolution]:
    """
    Give back the holds whose time is over. One that pays for a call is left to the worker, who asks how it ended.

    :raises HoldNotFound: if there is no such hold
    """
    due = Hold.objects.filter(pk__in=hold_ids, expires_at__lte=now, lapse=Hold.Lapse.RELEASE)
    due_ids = [id_.hex for id_ in due.values_list("pk", flat=True)]
    books = open_for_holds(due_ids, now=now)
    resolutions = [books.release(hold_id, status=Hold.Status.EXPIRED.value) for hold_id in due_ids]
    books.save()
    return resolutions


@transaction.atomic
def bring_up_to_date(account_ids: Iterable[int], *, now: datetime) -> list[LedgerEntry]:
    """Book grants that have taken effect and expire what fell due; return the entries that it took."""
    books = Books.open(account_ids, now=now)
    before = {book.account_id: book.entry_count - len(book.entries) for book in books.by_account.values()}
    books.save()
    made = Q(pk__in=[])
    for book in books.by_account.values():
        if book.entries:
            made |= Q(account_id=book.account_id, sequence__gt=before[book.account_id])
    return list(LedgerEntry.objects.filter(made).select_related("account__customer", "grant").order_by("pk"))


def open_for_holds(hold_ids: Sequence[str], *, now: datetime) -> Books:
    """Open the books of ``hold_ids`` and of their sessions. A hold changes neither, so they are read first."""
    found = Hold.objects.filter(pk__in=hold_ids).values_list("account_id", "parent_id")
    sessions = {parent_id.hex for _, parent_id in found if parent_id is not None}
    return Books.open([account_id for account_id, _ in found], {*hold_ids, *sessions}, now=now)


def _name(request: HoldRequest) -> tuple[int, str] | str:
    """What may hold once: the key in its account, or the id where there is no key."""
    return request.id if request.key is None else (request.account_id, request.key)


def _kept(requests: Sequence[HoldRequest]) -> dict[tuple[int, str] | str, tuple[str, int, int]]:
    """The holds there are by their names: id, account and amount."""
    accounts = {request.account_id for request in requests}
    keys = {request.key for request in requests if request.key is not None}
    ids = {request.id for request in requests if request.key is None}
    found = Hold.objects.filter(Q(account__in=accounts, key__in=keys) | Q(pk__in=ids))
    kept: dict[tuple[int, str] | str, tuple[str, int, int]] = {}
    for id_, account_id, key, amount in found.values_list("id", "account_id", "key", "amount"):
        kept[id_.hex] = (id_.hex, account_id, amount)
        if key is not None:
            kept[account_id, key] = kept[id_.hex]
    return kept
