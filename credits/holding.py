"""
Credits for anything that is not a model's call: held before, settled after, given back on failure.

    with credits.hold(customer, "5", reason="video rendering") as held:
        seconds = render(video)
        held.settle(parse("0.1") * seconds)

Without ``settle`` the whole amount is spent when the block ends, and none of it when it raises.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import Customer
from credits import services
from credits.amounts import parse
from credits.books import HoldRequest, Resolution
from credits.errors import InsufficientCredits
from credits.models import Currency, Hold

LIFETIME = timedelta(minutes=15)


class Held:
    """Credits that are set aside for a piece of work. ``amount`` is in units."""

    def __init__(self, hold: Hold, actor: str, reason: str) -> None:
        self.id = hold.pk.hex
        self.amount = hold.amount
        self.resolution: Resolution | None = None
        self._actor = actor
        self._reason = reason

    def settle(self, amount: int) -> Resolution:
        """Spend ``amount`` units and give the rest back. Above what is held, the rest is the house's."""
        settled = services.settle_holds([(self.id, amount)], actor=self._actor, memo=self._reason, now=timezone.now())
        self.resolution = settled[0]
        return self.resolution

    def release(self) -> Resolution:
        """Give all of it back."""
        self.resolution = services.release_holds([self.id], now=timezone.now())[0]
        return self.resolution


@contextmanager
def hold(
    customer: Customer,
    amount: str,
    *,
    reason: str,
    key: str | None = None,
    actor: str = "system",
    currency: str = Currency.CREDITS,
    lifetime: timedelta = LIFETIME,
) -> Iterator[Held]:
    """
    Set ``amount`` (decimal text) aside while the block runs.

    The hold is committed when the block begins, so it must not begin inside a transaction.
    ``key`` is an idempotency key: work that is done again under the same key is not paid
    twice. After ``lifetime`` the credits are given back, should the process have died.

    :raises InsufficientCredits: if less is available
    :raises DuplicateHold: if ``key`` holds another amount already
    :raises ValueError: if ``amount`` is not an amount
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        account = services.account_of(customer, currency)
        request = HoldRequest(
            id=services.new_hold_id(),
            account_id=account.pk,
            key=key,
            amount=parse(amount),
            expires_at=now + lifetime,
            context={"reason": reason},
        )
        placed = services.place_holds([request], now=now)[0]
    if isinstance(placed, InsufficientCredits):
        raise placed
    held = Held(placed, actor, reason)
    try:
        yield held
    except BaseException:
        if held.resolution is None:
            held.release()
        raise
    if held.resolution is None:
        held.settle(held.amount)
