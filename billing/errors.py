"""Refusals of billing."""

from accounts.errors import PrepaidError


class UnknownPrice(PrepaidError):
    """503: nobody has said what this costs, so it is not sold. Never free, never guessed."""

    status = 503
    code = "unknown_price"
    message = "This feature has no price in force. The operator must publish one."
