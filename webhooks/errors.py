"""What senders of webhooks are answered when an event cannot be taken."""

from accounts.errors import NotFound, PrepaidError


class WebhookNotConfigured(NotFound):
    """404: without a secret nothing can be verified, so there is no such endpoint."""

    code = "webhook_not_configured"
    message = "This installation has no secret for these webhooks. Set it and send the event again."


class InvalidSignature(PrepaidError):
    """400: missing, malformed, forged or outside the window; nothing was kept."""

    code = "invalid_signature"
    message = "The signature is missing, malformed or not of this body. Check the endpoint's signing secret."


class InvalidEvent(PrepaidError):
    """400: signed, but without an id, a type or a part that its type cannot do without."""

    code = "invalid_event"
    message = "The body is signed, but it is not an event of this sender."


class WebhookNotHandled(PrepaidError):
    """500: the event is kept, its effect is not there. The sender's next try, or a replay, handles it."""

    status = 500
    code = "webhook_not_handled"
    message = "The event is kept, but handling it failed. Send it again."
