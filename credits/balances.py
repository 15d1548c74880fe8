"""What an account holds at an instant, read without a lock and without writing anything."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import FilteredRelation, Q

from accounts.models import Customer
from credits import tables
from credits.ledger import DEBT, Book, Debt
from credits.models import Account

ACCOUNT = ("id", "balance", "held", "owed", "entry_count", "head")
LOT = ("id", "amount", "remaining", "held", "priority", "effective_at", "expires_at", "booked_at", "voided_at")
WAITING = Q(grants__booked_at__isnull=True, grants__voided_at__isnull=True)


@dataclass(frozen=True, slots=True)
class Balance:
    """
    An account's sums in units, as the ledger would find them now.

    ``changed_at`` is when they last changed, or empty if they did through the clock alone.
    """

    balance: int
    held: int
    available: int
    owed: int
    created_at: datetime
    updated_at: datetime
    changed_at: datetime | None


def balance_at(*, customer: Customer, currency: str, now: datetime) -> Balance | None:
    """
    Return what ``customer`` has in ``currency``, or None if the account was never opened.

    Grants that fell due or took effect since the account last moved are counted by the
    ledger's own rule, so this never promises what the next hold would refuse. Account and
    lots come from one statement: between two, a grant could expire unseen.
    """
    found = list(
        Account.objects.filter(customer=customer, currency=currency)
        .annotate(lot=FilteredRelation("grants", condition=Q(grants__remaining__gt=0) | WAITING))
        .values_list("created_at", "updated_at", *ACCOUNT, *(f"lot__{name}" for name in LOT))
    )
    if not found:
        return None
    created_at, updated_at, account_id, balance, held, owed, entry_count, head = found[0][: 2 + len(ACCOUNT)]
    lots = (row[2 + len(ACCOUNT) :] for row in found)
    by_grant = {lot[0]: tables.lot(*lot) for lot in lots if lot[0] is not None}
    book = Book(account_id, balance, held, owed, entry_count, head, by_grant)
    if owed:  # whose debt it is makes no difference to the sums
        book.debts.append(Debt(0, "", 0, DEBT, taken=0, owed=owed))
    book.bring_up_to(now)
    return Balance(
        balance=book.balance,
        held=book.held,
        available=book.available,
        owed=book.owed,
        created_at=created_at,
        updated_at=updated_at,
        changed_at=None if book.entries else updated_at,
    )
