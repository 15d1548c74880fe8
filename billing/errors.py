"""Refusals of billing."""

from accounts.errors import PrepaidError


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
