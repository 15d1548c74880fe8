"""
The decision: may this call be made, and how much is held for it.

Pure: it sees what the batch has read under the account's lock and nothing else, so
every rule can be tested without a database, and there is no cache in it.
"""

from dataclasses import dataclass
from datetime import datetime

from accounts.errors import InvalidApiKey, PermissionDenied, Suspended
from accounts.zones import UTC
from billing.errors import UnknownPrice
from billing.pricing import FIXED, Terms, ceiling
from credits.errors import InsufficientCredits


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the database says at this instant: a key, or a user in person."""

    customer_id: int
    account_id: int
    key_id: int | None
    user_id: int | None
    mode: str
    scopes: str
    is_active: bool
    suspended_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    time_zone: str = UTC

    @property
    def actor(self) -> str:
        return f"key:{self.key_id}" if self.key_id is not None else f"user:{self.user_id}"


def decide(caller: Caller, terms: Terms | None, *, quantity: int, available: int, now: datetime) -> int:
    """
    Return the units to hold for ``quantity`` of a feature under ``terms``.

    :raises InvalidApiKey: if the key is revoked or has expired
    :raises Suspended: if the customer or the person may not spend
    :raises PermissionDenied: if the key's scopes do not reach so far
    :raises UnknownPrice: if no price is in force
    :raises InsufficientCredits: if less is available than the call may cost
    """
    if caller.revoked_at is not None or (caller.expires_at is not None and caller.expires_at <= now):
        raise InvalidApiKey
    if caller.suspended_at is not None or not caller.is_active:
        raise Suspended
    if caller.key_id is not None and "ai" not in caller.scopes.split():
        raise PermissionDenied("This key may not call models: it lacks the scope 'ai'.")
    if caller.mode == "test":
        raise PermissionDenied("Test keys cannot call models here. Use a live key.")
    if terms is None or terms.type != FIXED:
        raise UnknownPrice
    amount = ceiling(terms, quantity)
    if amount > available:
        raise InsufficientCredits(required=amount, available=available)
    return amount
