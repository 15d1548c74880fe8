"""Refusals of the bank."""

from typing import Any

from accounts.errors import PrepaidError
from credits.amounts import display, number

CREDITS = "credits"
#: How many places at least an amount in a currency is written with, and what it is called.
WRITTEN = {CREDITS: (0, "credits"), "usdc": (2, "USDC"), "test": (0, "test credits")}


class InsufficientCredits(PrepaidError):
    """
    402: the account has less available than is asked for. Amounts are in units of ``currency``.

    ``more`` are further fields of the body. The currency is one of them where it is not credits.
    """

    status = 402
    code = "insufficient_credits"

    def __init__(self, *, required: int, available: int, currency: str = CREDITS, **more: Any) -> None:
        places, name = WRITTEN[currency]
        needed, left = (
            display(units, least_places=places) if places else number(units) for units in (required, available)
        )
        super().__init__(
            f"This needs {needed} {name} and {left} are available. Buy credits, or ask for less.",
            headers={"x-should-retry": "false"},
            required=needed,
            available=left,
            **more,
        )
        if currency != CREDITS:
            self.extra["currency"] = currency


class SourceConflict(PrepaidError):
    """409: this source or reference was booked before, with other terms."""

    status = 409
    code = "source_conflict"
    message = "This reference was booked before with another amount or account. Use a new reference."


class DuplicateHold(PrepaidError):
    """409: the account has a hold with this key already."""

    status = 409
    code = "duplicate_hold"
    message = "A hold with this key exists already. Use a new key."


class AccountNotFound(PrepaidError):
    status = 404
    code = "account_not_found"
    message = "There is no such account. GET /api/admin/credits lists them."


class HoldNotFound(PrepaidError):
    status = 404
    code = "hold_not_found"
    message = "There is no such hold."


class HoldIsOver(PrepaidError):
    """409: the hold has been resolved, or its time is over."""

    status = 409
    code = "hold_is_over"
    message = "This hold has been resolved, or its time is over. Place a new one."


class LedgerBusy(PrepaidError):
    """503: more requests wait for the ledger than it may keep waiting; nothing was charged."""

    status = 503
    code = "ledger_busy"
    message = "The service is overloaded. Nothing was charged; try again in a moment."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class LedgerUnreachable(PrepaidError):
    """503: the database is away, so nothing can be admitted; no provider was called."""

    status = 503
    code = "ledger_unreachable"
    message = "The service cannot reach its ledger right now. Nothing was charged; try again in a moment."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"Retry-After": "2"})
