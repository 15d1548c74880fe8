"""Refusals of billing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.errors import PermissionDenied, PrepaidError
from credits.amounts import display


class PaymentsNotTaken(PrepaidError):
    """503: paying is not possible here, because no payment provider is connected."""

    status = 503
    code = "payments_not_taken"
    message = "This installation takes no payments itself. Ask its operator for a top-up."


class UnknownPrice(PrepaidError):
    """503: nobody has said what this costs, so it is not sold. Never free, never guessed."""

    status = 503
    code = "unknown_price"
    message = "This feature has no price in force. The operator must publish one."


class CallTooDear(PrepaidError):
    """400: even a short answer could cost the operator more than the fixed price of this call allows."""

    code = "call_too_dear"
    message = (
        "This call could cost more at the provider than its fixed price covers. "
        "Shorten the prompt, or choose a cheaper model."
    )

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class UnpricedField(PrepaidError):
    """400: a field of the request costs money at the provider, and nobody has said what it costs here."""

    code = "unpriced_field"
    message = "This field costs money at the provider, and has no price here. Leave it out."

    def __init__(self, field: str, message: str | None = None) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})
        self.details = [{"field": field, "message": self.message, "code": self.code.upper()}]


class ReceiptNotFound(PrepaidError):
    """404: there is no such call, or it is somebody else's, or what was kept of it has been erased."""

    status = 404
    code = "receipt_not_found"
    message = "There is no receipt with this id. GET /api/credits/usage lists your calls."


class ReceiptsNotConfigured(PrepaidError):
    """501: the operator has made no key to sign receipts with."""

    status = 501
    code = "receipts_not_configured"
    message = "Receipts are not signed here: RECEIPT_SIGNING_KEY is not set."


class PlanNotFound(PrepaidError):
    status = 404
    code = "plan_not_found"
    message = "There is no such plan. GET /api/admin/plans lists them."


class PlanExists(PrepaidError):
    """409: another plan has this id at Clerk, or this slug."""

    status = 409
    code = "plan_exists"
    message = "Another plan has this clerkId or slug."


NAMES = {"key": "This API key", "customer": "This customer", "endUser": "This end user"}


class RateLimited(PrepaidError):
    """
    429: too many requests, or tokens, a minute. ``used`` is of the last minute, as the bucket has it.

    ``resetsAt`` is when this request may come again; ``Retry-After`` says the same in whole seconds.
    """

    status = 429
    code = "rate_limit_exceeded"
    message = "That is too much for a minute. Try again in a moment."

    def __init__(self, *, unit: str, of: str, limit: int, used: int, resets_at: datetime, now: datetime) -> None:
        super().__init__(
            f"{NAMES[of]} may use {limit} {unit} a minute. Try again after {_seconds(resets_at - now)} s.",
            headers={"Retry-After": str(_seconds(resets_at - now))},
            unit=unit,
            limitOf=of,
            limit=limit,
            used=used,
            resetsAt=_instant(resets_at),
        )


class TooManyCalls(PrepaidError):
    """429: as many calls run at the same time as may. One more may as soon as one of them has ended."""

    status = 429
    code = "too_many_calls"
    message = "Too many calls run at the same time. Try again when one has ended."

    def __init__(self, *, of: str, limit: int, used: int) -> None:
        super().__init__(
            f"{NAMES[of]} may run {limit} calls at the same time. Try again when one has ended.",
            headers={"Retry-After": "1"},
            unit="calls",
            limitOf=of,
            limit=limit,
            used=used,
        )


class BudgetRefusal(PrepaidError):
    """What a budget does not allow. Amounts are in units; ``used`` is what was spent and what is held."""

    says = ""

    def __init__(
        self,
        *,
        of: str,
        period: str,
        required: int,
        budget: int,
        spent: int,
        held: int,
        resets_at: datetime,
        now: datetime,
        **more: Any,
    ) -> None:
        super().__init__(
            f"{NAMES[of]} may spend {display(budget)} a {period.lower()}; {display(spent)} are spent and "
            f"{display(held)} are held for calls that run. {self.says}",
            headers=self._advice(resets_at - now),
            unit="credits",
            limitOf=of,
            required=display(required),
            limit=display(budget),
            used=display(spent + held),
            spent=display(spent),
            held=display(held),
            resetsAt=_instant(resets_at),
            **more,
        )

    def _advice(self, until_then: timedelta) -> dict[str, str]:
        """When to come again, as headers."""
        return {"Retry-After": str(_seconds(until_then)), "x-should-retry": "false"}


class BudgetExceeded(BudgetRefusal):
    """403: the period's budget has too little left for this call, whatever becomes of the calls that run."""

    status = 403
    code = "budget_exceeded"
    message = "The budget has too little left for this call."
    says = "This call needs more than is left."


class BudgetInUse(BudgetRefusal):
    """429: the budget would be enough if calls that run did not hold the rest of it. They give back what they spare."""

    status = 429
    code = "budget_in_use"
    message = "What is left of the budget is held for calls that run. Try again when one has ended."
    says = "Try again when one of them has ended."

    def _advice(self, until_then: timedelta) -> dict[str, str]:
        return {"Retry-After": "1"}


class EndUserNotLimited(PrepaidError):
    status = 404
    code = "end_user_not_limited"
    message = "This end user has no budget of their own. GET /api/end-users lists those who have."


class NotInBudget(PermissionDenied):
    """403: there is a budget, which is in credits, and the call could be paid in another currency only."""

    code = "not_in_budget"
    message = "There is a budget in credits here, and this call can be paid in USDC only."


def _seconds(time: timedelta) -> int:
    """In whole seconds, rounded up; 1 at the least."""
    return max(1, -(-time // timedelta(seconds=1)))


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
