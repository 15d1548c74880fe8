"""
Taking back what a grant gave: refunds and disputes of a purchase, and grants given in error.

What is unspent of the grant goes first, and what has expired or was voided counts as gone
already. Only what was spent becomes ``owed``, which the next grants pay before anything else
(``credits.ledger.Book``); what a hold has claimed stays claimed, and is taken when the hold
frees it. A won dispute, or a refund that failed, puts back what was taken. Nothing is edited:
each step is an entry. ``docs/ledger.md`` has the rules.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Sum

from credits.books import Books
from credits.errors import SourceConflict
from credits.ledger import LAPSING, Book, Debt, Lot, Why
from credits.models import Account, Grant, LedgerEntry, Reversal


@transaction.atomic
def reverse(
    *,
    account: Account,
    source: str,
    key: str,
    kind: str,
    asked: int,
    as_of: datetime,
    actor: str,
    now: datetime,
    memo: str = "",
) -> Reversal:
    """
    Have ``asked`` of the grant of ``source`` reversed, all told, by the refund or dispute ``key``.

    ``asked`` is cumulative, as the other side counts: the same news again changes nothing, a
    larger amount takes the difference, a smaller one (a refund that failed, a dispute won)
    puts it back. News that is older than what is known (``as_of``) is passed over. If the
    grant has not arrived, it is reversed when it does. All reversals of one grant together
    never take more than it gave.

    :raises SourceConflict: if ``key`` is known for another account, source or kind
    """
    books = Books.open([account.pk], now=now)
    reversal = Reversal.objects.filter(key=key).first()
    if reversal is None:
        reversal = Reversal(account=account, source=source, key=key, kind=kind, created_at=now)
    elif (reversal.account_id, reversal.source, reversal.kind) != (account.pk, source, kind):
        raise SourceConflict
    elif as_of < reversal.as_of:
        return reversal
    reversal.asked, reversal.as_of, reversal.actor, reversal.memo = asked, as_of, actor, memo
    reversal.grant = Grant.objects.filter(account=account, source=source).first()
    if reversal.pk is None:
        _keep_once(reversal)
    if reversal.grant is not None:
        others = Reversal.objects.filter(grant=reversal.grant).exclude(pk=reversal.pk)
        _apply(books, reversal.grant, [*others, reversal], now=now)
    reversal.save()
    books.save()
    return reversal


def _keep_once(reversal: Reversal) -> None:
    """
    Insert ``reversal``, whose account is locked; another account's may have taken its key meanwhile.

    :raises SourceConflict: if it has
    """
    try:
        with transaction.atomic():
            reversal.save(force_insert=True)
    except IntegrityError as error:
        if Reversal.objects.filter(key=reversal.key).exists():
            raise SourceConflict from error
        raise


def apply_waiting(books: Books, grant: Grant, *, now: datetime) -> None:
    """Apply the reversals that came before their grant. The caller has opened ``books`` and saves them."""
    waiting = list(Reversal.objects.filter(account=grant.account_id, source=grant.source, grant=None))
    if waiting:
        _apply(books, grant, waiting, now=now)
    for reversal in waiting:
        reversal.grant = grant
        reversal.save()


@transaction.atomic
def void_grant(*, grant: Grant, actor: str, memo: str, now: datetime) -> Grant:
    """
    Take back what nobody has spent of a grant that should not have been given. Voiding twice is voiding once.

    What a hold has claimed stays with it, and goes when the hold frees it. Nothing becomes owed, and a refund of it
    owes no more than was spent.
    """
    books = Books.open([grant.account_id], now=now)
    grant = Grant.objects.get(pk=grant.pk)
    if grant.voided_at is not None:
        return grant
    lot = books.lot_of(grant)
    book = books.by_account[grant.account_id]
    book.void(lot, why=Why(actor=actor, reference=f"void:{grant.source}"[:255], memo=memo), now=now)
    _apply(books, grant, list(grant.reversals.all()), now=now)
    Grant.objects.filter(pk=grant.pk).update(voided_at=now)
    books.save()
    grant.refresh_from_db()
    return grant


def _apply(books: Books, grant: Grant, reversals: Sequence[Reversal], *, now: datetime) -> None:
    """
    Let each of ``reversals``, which are all of ``grant``, have what it asks for, as long as the grant has that much.

    What one gives up goes back first, so that another, the oldest first, may have it. Then what
    has lapsed of the grant unspent is not owed. The caller saves ``books`` and ``reversals``.
    """
    book = books.by_account[grant.account_id]
    lot = books.lot_of(grant)
    pairs = [(reversal, _debt(book, grant, reversal)) for reversal in sorted(reversals, key=lambda each: each.pk)]
    for reversal, debt in pairs:
        if reversal.asked < debt.reversed:
            _put_back(books, reversal, lot, book.undo(debt, debt.reversed - reversal.asked), now=now)
    left = grant.amount - sum(debt.reversed for _, debt in pairs)
    for reversal, debt in pairs:
        more = min(reversal.asked - debt.reversed, left)
        if more:
            book.reverse(lot, debt, more, why=_why(reversal), now=now)
            left -= more
    lapsed = _lapsed(book, grant, lot) - sum(debt.lapsed for _, debt in pairs)
    for reversal, debt in pairs:
        lapsed -= book.excuse(debt, lapsed)
        reversal.taken, reversal.paid = debt.taken, debt.paid
        reversal.lapsed, reversal.owed = debt.lapsed, debt.owed


def _lapsed(book: Book, grant: Grant, lot: Lot) -> int:
    """What of ``grant`` has expired or was voided. One that was voided before it took effect has lapsed whole."""
    if lot.booked_at is None:
        return lot.amount if lot.is_voided else 0
    kept = LedgerEntry.objects.filter(grant=grant, kind__in=LAPSING).aggregate(total=Sum("amount", default=0))
    made = sum(entry.amount for entry in book.entries if entry.grant_id == grant.pk and entry.kind in LAPSING)
    return -int(kept["total"]) - made


def _debt(book: Book, grant: Grant, reversal: Reversal) -> Debt:
    """The reversal as the book knows it; one that owes nothing was not read with the others."""
    for debt in book.debts:
        if debt.reversal_id == reversal.pk:
            return debt
    debt = Debt(
        reversal.pk,
        reversal.key,
        grant.pk,
        reversal.kind,
        taken=reversal.taken,
        owed=reversal.owed,
        paid=reversal.paid,
        lapsed=reversal.lapsed,
    )
    book.debts.append(debt)
    return debt


def _put_back(books: Books, reversal: Reversal, lot: Lot, undone: tuple[int, int], *, now: datetime) -> None:
    """Put back what was taken, into the grant if it has not expired; the rest, and what others paid, as a new one."""
    book = books.by_account[reversal.account_id]
    paid, taken = undone
    if taken and (lot.is_voided or not lot.is_due(now)):
        book.give_back(lot, taken, why=_why(reversal), now=now)
        taken = 0
    if not paid + taken:
        return
    replacement = Grant.objects.create(
        account_id=reversal.account_id,
        category=Grant.Category.ADJUSTMENT,
        amount=paid + taken,
        remaining=0,
        source=f"reinstated:{book.account_id}:{book.entry_count + 1}:{reversal.key}"[:255],
        effective_at=now,
        memo=f"Put back of {reversal.source}.",
        actor=reversal.actor,
        created_at=now,
    )
    new_lot = Lot(replacement.pk, paid + taken, 0, 0, replacement.priority, now, None, booked_at=None)
    book.grant(new_lot, why=Why(reversal.actor, reversal.key, replacement.memo), now=now)


def _why(reversal: Reversal) -> Why:
    return Why(reversal.actor, reversal.key, reversal.memo)
