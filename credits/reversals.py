"""
Taking back what a grant gave: refunds and disputes of a purchase, and grants given in error.

What is unspent of the grant goes first. What was spent before becomes ``owed``, which the
next grants pay before anything else (``credits.ledger.Book``); what a hold has claimed stays
claimed, and is taken when the hold frees it. A won dispute, or a refund that failed, puts
back what was taken. Nothing is edited: each step is an entry.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from credits.books import Books
from credits.errors import SourceConflict
from credits.ledger import Debt, Lot, Why
from credits.models import Account, Grant, Reversal


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
        reversal = Reversal(account=account, source=source, key=key, kind=kind, asked=0, as_of=as_of, created_at=now)
    elif (reversal.account_id, reversal.source, reversal.kind) != (account.pk, source, kind):
        raise SourceConflict
    elif as_of < reversal.as_of:
        return reversal
    reversal.asked, reversal.as_of, reversal.actor, reversal.memo = asked, as_of, actor, memo
    grant = Grant.objects.filter(account=account, source=source).first()
    _apply(books, reversal, grant, actor=actor, now=now)
    books.save()
    reversal.refresh_from_db()
    return reversal


def apply_waiting(books: Books, grant: Grant, *, now: datetime) -> None:
    """Apply the reversals that came before their grant. The caller has opened ``books`` and saves them."""
    for reversal in Reversal.objects.filter(account=grant.account_id, source=grant.source, grant=None).order_by("pk"):
        _apply(books, reversal, grant, actor=reversal.actor, now=now)


@transaction.atomic
def void_grant(*, grant: Grant, actor: str, memo: str, now: datetime) -> Grant:
    """
    Take back what nobody has spent of a grant that should not have been given. Voiding twice is voiding once.

    What a hold has claimed stays with it, and goes when the hold frees it. Nothing becomes owed.
    """
    books = Books.open([grant.account_id], now=now)
    grant = Grant.objects.get(pk=grant.pk)
    if grant.voided_at is not None:
        return grant
    lot = books.lot_of(grant)
    book = books.by_account[grant.account_id]
    book.void(lot, why=Why(actor=actor, reference=f"void:{grant.source}"[:255], memo=memo), now=now)
    Grant.objects.filter(pk=grant.pk).update(voided_at=now)
    books.save()
    grant.refresh_from_db()
    return grant


def _apply(books: Books, reversal: Reversal, grant: Grant | None, *, actor: str, now: datetime) -> None:
    reversal.grant = grant
    if grant is None:
        reversal.save()
        return
    others = Reversal.objects.filter(grant=grant).exclude(pk=reversal.pk)
    sums = others.aggregate(taken=Sum("taken", default=0), owed=Sum("owed", default=0))
    target = min(reversal.asked, grant.amount - sums["taken"] - sums["owed"])
    change = target - reversal.taken - reversal.owed
    if reversal.pk is None:
        reversal.save()

    book = books.by_account[grant.account_id]
    lot = books.lot_of(grant)
    debt = _debt(books, reversal, grant)
    why = Why(actor=actor, reference=reversal.key, memo=reversal.memo)
    if change > 0:
        taken = book.take_back(lot, change, reversal.kind, why=why, now=now)
        debt.taken += taken
        book.owe(debt, change - taken)
    elif change < 0:
        back = -change - book.forgive(debt, -change)
        debt.taken -= back
        _put_back(books, reversal, lot, back, why=why, now=now)
    reversal.taken, reversal.owed = debt.taken, debt.owed
    reversal.save()


def _debt(books: Books, reversal: Reversal, grant: Grant) -> Debt:
    """The reversal as the book knows it; one that owes nothing was not read with the others."""
    book = books.by_account[grant.account_id]
    for debt in book.debts:
        if debt.reversal_id == reversal.pk:
            return debt
    debt = Debt(reversal.pk, reversal.key, grant.pk, reversal.kind, reversal.taken, reversal.owed)
    book.debts.append(debt)
    return debt


def _put_back(books: Books, reversal: Reversal, lot: Lot, amount: int, *, why: Why, now: datetime) -> None:
    """
    Into the same grant, or, where that is over or has no room, into a new one that does not expire.

    It has no room where other grants have paid for it: it is as full as it was given, or is yet to begin.
    """
    book = books.by_account[reversal.account_id]
    is_open = lot.booked_at is not None and not lot.is_due(now)
    same = min(amount, lot.amount - lot.remaining) if is_open else 0
    if same:
        book.give_back(lot, same, why=why, now=now)
        amount -= same
    if not amount:
        return
    replacement = Grant.objects.create(
        account_id=reversal.account_id,
        category=Grant.Category.ADJUSTMENT,
        amount=amount,
        remaining=0,
        source=f"reinstated:{book.account_id}:{book.entry_count + 1}:{reversal.key}"[:255],
        effective_at=now,
        memo=f"Put back of {reversal.source}."[:500],
        actor=why.actor,
        created_at=now,
    )
    new_lot = Lot(replacement.pk, amount, 0, 0, replacement.priority, now, None, booked_at=None)
    book.grant(new_lot, why=Why(why.actor, reversal.key, replacement.memo), now=now)
