"""Accounts beside what their customers would be found to have now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from credits.balances import Balance, balances_at
from credits.models import Account


@dataclass(frozen=True, slots=True)
class Line:
    account: Account
    balance: Balance
    #: By how much it was just changed.
    adjusted: int = 0


def lines(accounts: Iterable[Account], *, currency: str, now: datetime) -> list[Line]:
    """Return ``accounts``, which are in ``currency``, with their balances; in one more query."""
    found = list(accounts)
    balances = balances_at([account.customer_id for account in found], currency=currency, now=now)
    return [Line(account, balances[account.customer_id]) for account in found]
