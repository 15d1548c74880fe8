"""
Errors that are answers: each has a status, a stable code and a message that says what to do.

Every floor raises its own subclasses. The edges render them: flat under ``/api/``
(``config.api``), in the client's own shape in the gateway (``ai.protocols``).
"""

from typing import Any


class PrepaidError(Exception):
    """
    An answer to the caller, never a bug.

    ``code`` is for programs and never changes (``docs/api.md`` lists all); ``message``
    is for people. ``extra`` holds further top-level fields of the body, such as
    ``required`` and ``available``; ``details`` names the fields of a refused request;
    ``headers`` are sent along, such as ``Retry-After``.
    """

    status = 400
    code = "bad_request"
    message = "The request cannot be served."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self.message = message or self.message
        self.details = details or []
        self.headers = headers or {}
        self.extra = extra
        super().__init__(self.message)


class ValidationFailed(PrepaidError):
    """400: a field is missing, unknown or wrong; ``details`` names it."""

    code = "validation_error"
    message = "Request validation failed"


class Unauthenticated(PrepaidError):
    """401: no usable credential."""

    status = 401
    code = "unauthorized"
    message = "Unauthorized"


class InvalidApiKey(Unauthenticated):
    code = "invalid_api_key"
    message = "This API key is not valid: it is mistyped, unknown, expired or revoked. Create one at /api/keys."


class PermissionDenied(PrepaidError):
    """403: the credential is good, but not for this."""

    status = 403
    code = "forbidden"
    message = "This credential may not do that."


class Suspended(PermissionDenied):
    code = "suspended"
    message = "This customer or user is suspended. Contact the operator."
