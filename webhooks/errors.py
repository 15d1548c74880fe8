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


class ClerkNotConfigured(PrepaidError):
    """501: nothing can be asked of Clerk without a key, or where strangers could read along."""

    status = 501
    code = "clerk_not_configured"
    message = "Clerk's Backend API is not set up here: CLERK_SECRET_KEY is missing, or CLERK_API_URL is not https."


class ClerkUnreachable(PrepaidError):
    """502: Clerk does not answer, or not as it should. What was read before is kept."""

    status = 502
    code = "clerk_unreachable"
    message = "Clerk does not answer as it should. Try again in a moment."
