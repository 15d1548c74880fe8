"""What an administrator wants of a balance, as movements of the ledger: a balance is never assigned."""

import hashlib
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import Customer
from credits import services
from credits.amounts import display
from credits.models import Account, Grant


def reference_of(customer: Customer, key: str) -> str:
    """
    Return the name in the ledger of what ``customer``'s administrator asked for under an idempotency key.

    It counts once even after the answer that was kept under the key has been forgotten.
    """
    return f"api:{customer.pk}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def change_to(wanted: int, *, available: int, owed: int) -> int:
    """Return what to add, or to take if it is below 0, so that ``wanted`` is available. Debts are paid first. Pure."""
    change = wanted - available
    return change + owed if change > 0 else change


@transaction.atomic
def adjust(
    account: Account,
    *,
    available: int | None = None,
    change: int = 0,
    reference: str,
    reason: str,
    actor: str,
    now: datetime,
) -> int:
    """
    Change what can be spent by ``change`` units, or to ``available`` units. Returns by how much it was adjusted.

    No more is taken than can be spent: what is held for calls that run now stays theirs. More than was asked is
    given to reach ``available`` where something is owed, for that is paid first.

    :raises SourceConflict: if ``reference`` has adjusted this account by something else before
    :raises ValueError: if it is more than the account can hold
    """
    services.bring_up_to_date([account.pk], now=now)
    locked = Account.objects.select_for_update().get(pk=account.pk)
    if available is not None:
        change = change_to(available, available=locked.available, owed=locked.owed)
    change = max(change, -locked.available)
    if change:
        services.adjust(account=account, amount=change, reference=reference, memo=reason, actor=actor, now=now)
        details = {"amount": display(change), "currency": account.currency, "reference": reference}
        audit.record(account.customer_id, "credits.adjusted", f"account:{account.pk}", actor=actor, now=now, **details)
    return change


@transaction.atomic
def give(
    account: Account,
    *,
    amount: int,
    category: str,
    reference: str,
    reason: str,
    actor: str,
    now: datetime,
    **terms: Any,
) -> Grant:
    """
    Give an account a grant on ``terms`` (``priority``, ``effective_at``, ``expires_at``), once per ``reference``.

    :raises SourceConflict: if ``reference`` has granted something else before
    :raises ValueError: if it is more than the account can hold
    """
    given = services.grant(
        account=account, amount=amount, category=category, source=reference, memo=reason, actor=actor, now=now, **terms
    )
    details = {"amount": display(amount), "currency": account.currency, "reference": reference}
    audit.record(account.customer_id, "credits.granted", f"grant:{given.pk}", actor=actor, now=now, **details)
    return given
