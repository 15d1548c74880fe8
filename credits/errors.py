"""Refusals of the bank."""

from accounts.errors import PrepaidError
from credits.amounts import number


class InsufficientCredits(PrepaidError):
    """402: the account has less available than is asked for. Amounts are in units."""

    status = 402
    code = "insufficient_credits"

    def __init__(self, *, required: int, available: int) -> None:
        super().__init__(
            f"This needs {number(required)} credits and {number(available)} are available. "
            "Buy credits, or ask for less.",
            headers={"x-should-retry": "false"},
            required=number(required),
            available=number(available),
        )


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
