"""What an account holds at an instant, read without a lock and without writing anything."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    """Return what ``customer`` has in ``currency``, or None if the account was never opened."""
    return balances_at([customer.pk], currency=currency, now=now).get(customer.pk)


def balances_at(customer_ids: Collection[int], *, currency: str, now: datetime) -> dict[int, Balance]:
    """
    Return what the customers have in ``currency``, by their ids. One whose account was never opened is missing.

    Grants that fell due or took effect since the account last moved are counted by the
    ledger's own rule, so this never promises what the next hold would refuse. Accounts and
    lots come from one statement: between two, a grant could expire unseen.
    """
    if not customer_ids:
        return {}
    found = (
        Account.objects.filter(customer__in=customer_ids, currency=currency)
        .annotate(lot=FilteredRelation("grants", condition=Q(grants__remaining__gt=0) | WAITING))
        .values_list("customer_id", "created_at", "updated_at", *ACCOUNT, *(f"lot__{name}" for name in LOT))
    )
    by_customer: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for customer_id, *row in found:
        by_customer[customer_id].append(tuple(row))
    return {customer_id: _balance(rows, now) for customer_id, rows in by_customer.items()}


def _balance(rows: Sequence[tuple[Any, ...]], now: datetime) -> Balance:
    created_at, updated_at, account_id, balance, held, owed, entry_count, head = rows[0][: 2 + len(ACCOUNT)]
    lots = (row[2 + len(ACCOUNT) :] for row in rows)
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
