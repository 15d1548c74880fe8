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
