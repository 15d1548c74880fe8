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

    def flat(self, request_id: str) -> dict[str, Any]:
        """
        Return the body of this error under ``/api/``, which serves the clients of both originals.

        ``error`` and ``code`` are the same word in lower and upper case, so that each finds its own.
        """
        body = {"error": self.code, "code": self.code.upper(), "message": self.message, "requestId": request_id}
        return body | ({"details": self.details} if self.details else {}) | self.extra


class ValidationFailed(PrepaidError):
    """400: a field is missing, unknown or wrong; ``details`` names it."""

    code = "validation_error"
    message = "Request validation failed"

    def flat(self, request_id: str) -> dict[str, Any]:
        return super().flat(request_id) | {"error": "Validation failed"}


class MalformedJson(PrepaidError):
    """400: the body is not JSON that everybody reads alike; ``message`` says why not."""

    code = "malformed_json"


class NotFound(PrepaidError):
    """404: nothing there, or nothing of yours."""

    status = 404
    code = "not_found"
    message = "There is nothing here."


class LengthRequired(PrepaidError):
    """411: a body in chunks, which not every server in front of us would hand on whole."""

    status = 411
    code = "length_required"
    message = "Send the body with a Content-Length, not in chunks."


class MethodNotAllowed(PrepaidError):
    """405: the path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"
    message = "This path does not answer that method."


class InternalServerError(PrepaidError):
    """500: a bug. The log knows more, under the request's id; the caller is told nothing of the inside."""

    status = 500
    code = "internal_server_error"
    message = "Internal server error"


class BodyTooLarge(PrepaidError):
    status = 413
    code = "request_body_too_large"
    message = "Request body too large"


class RequestTimeout(PrepaidError):
    """408: the body did not arrive in time."""

    status = 408
    code = "request_timeout"
    message = "The body did not arrive in time. Nothing was done. Send it again."


class UnsupportedMedia(PrepaidError):
    """415: a body that is not JSON in UTF-8, or is compressed."""

    status = 415
    code = "unsupported_media_type"
    message = "Send the body as application/json in UTF-8, not compressed."


class Unauthenticated(PrepaidError):
    """401: no usable credential."""

    status = 401
    code = "unauthorized"
    message = "Unauthorized"

    def __init__(self, message: str | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.headers = {"WWW-Authenticate": 'Bearer realm="prepaid"'} | self.headers


class InvalidAuthHeader(Unauthenticated):
    code = "invalid_auth_header"
    message = "Invalid authorization header"


class MissingToken(Unauthenticated):
    code = "missing_token"
    message = "Missing token"


class InvalidToken(Unauthenticated):
    """The token is forged, damaged, of somebody else, or for somewhere else; which one is not said."""

    code = "invalid_token"
    message = "Invalid token"


class TokenExpired(Unauthenticated):
    code = "token_expired"
    message = "Token expired"


class TokenNotActive(Unauthenticated):
    code = "token_not_active"
    message = "Invalid token"


class MissingClaims(Unauthenticated):
    """The signature is good, but no claim says who it is."""

    code = "missing_claims"
    message = "Token missing required claims"


class InvalidApiKey(Unauthenticated):
    code = "invalid_api_key"
    message = "This API key is not valid: it is mistyped, unknown, expired or revoked. Create one at /api/keys."


class WrongProxySecret(Unauthenticated):
    """A trusted network forwards a user without the secret that it must know: told as no credential at all."""


class PermissionDenied(PrepaidError):
    """403: the credential is good, but not for this."""

    status = 403
    code = "forbidden"
    message = "This credential may not do that."


class SessionPending(PermissionDenied):
    """403: the person has signed in, but still has to do something at the identity provider."""

    code = "session_pending"
    message = "Finish signing in first: the identity provider still asks something of you, such as a second factor."


class Suspended(PermissionDenied):
    code = "suspended"
    message = "This customer or user is suspended. Contact the operator."


class ModelNotAllowed(PermissionDenied):
    """403: the key is for other models. The message does not list them."""

    code = "model_not_allowed"
    message = "This key is not for that model."


class FeatureNotAllowed(PermissionDenied):
    """403: the key is for other features."""

    code = "feature_not_allowed"
    message = "This key is not for that feature."


class AddressNotAllowed(PermissionDenied):
    """403: the key is good, but not from here."""

    code = "address_not_allowed"
    message = "This key may not be used from this address."


class LimitsAreFixed(PermissionDenied):
    """403: an administrator of the installation has limited this customer."""

    code = "limits_are_fixed"
    message = "An administrator has set these limits. Ask them for others."


class CustomerNotFound(NotFound):
    """404: there is no such customer, or the caller is no member of it."""

    code = "customer_not_found"
    message = "There is no such customer. GET /api/customers lists yours."


class UserNotFound(NotFound):
    code = "user_not_found"
    message = "There is no such user. GET /api/admin/users lists them."


class ApiKeyNotFound(NotFound):
    code = "api_key_not_found"
    message = "There is no such API key. GET /api/keys lists yours."


class MemberNotFound(NotFound):
    code = "member_not_found"
    message = "This customer has no such member."


class InvitationNotFound(NotFound):
    code = "invitation_not_found"
    message = "There is no such invitation."


class InvitationForAnother(PermissionDenied):
    """403: the token is good, but not for who is signed in. It is not said whom it is for."""

    code = "invitation_for_another"
    message = "This invitation is for another e-mail address. Sign in with the address that it was sent to."


class Conflict(PrepaidError):
    """409: it cannot be done as things stand."""

    status = 409
    code = "conflict"
    message = "This cannot be done as things stand."


class InvitationIsOver(Conflict):
    code = "invitation_is_over"
    message = "This invitation was accepted, declined or taken back, or its time is over."


class AlreadyInvited(Conflict):
    code = "already_invited"
    message = "This address is invited already. Send the invitation again, or revoke it."


class AlreadyMember(Conflict):
    code = "already_member"
    message = "A member of this team has this address."


class TooManyInvitations(Conflict):
    code = "too_many_invitations"
    message = "This team has as many open invitations as it may have. Revoke some."


class ManagedElsewhere(Conflict):
    """409: the identity provider decides who belongs to this team, and what it is called."""

    code = "managed_at_identity_provider"
    message = "This is managed at the identity provider. Change it there."


class NotATeam(Conflict):
    code = "not_a_team"
    message = "This is a person's own customer, which has no other members. Create a team."


class OwnerMustTransfer(Conflict):
    code = "owner_must_transfer"
    message = "A team has one owner, always. Transfer the ownership to another member first."


class UserIsGone(Conflict):
    """409: the user was deleted, which is final."""

    code = "user_is_gone"
    message = "This user was deleted and pseudonymised, for good."


class AddressTaken(Conflict):
    code = "address_taken"
    message = "Another user has this address."


class NotOnOneself(Conflict):
    """409: an administrator would shut themselves out."""

    code = "not_on_oneself"
    message = "You cannot shut yourself out. Ask another administrator."


class TooManyRequests(PrepaidError):
    """429: again in the seconds of ``Retry-After``."""

    status = 429
    code = "too_many_requests"
    message = "That was too soon. Try again in a moment."


class TooManyFailedSignIns(TooManyRequests):
    """429: the account or the address has failed too often. Which, and whether it exists, is not said."""

    code = "too_many_failed_sign_ins"
    message = "Too many failed sign-ins. A good credential still works. Try another one after the time in Retry-After."

    def __init__(self, *, wait_seconds: int) -> None:
        # Clients that repeat by themselves would only repeat the bad credential.
        super().__init__(headers={"Retry-After": str(wait_seconds), "x-should-retry": "false"})


class SignUpNotConfigured(PrepaidError):
    """501: the operator has not said where people sign up, so a mail could lead nowhere."""

    status = 501
    code = "sign_up_not_configured"
    message = "Nobody can be invited: SIGN_UP_URL, the page on which people sign up, is not set here."


class LeakReportsNotConfigured(NotFound):
    """404: the operator has named no key that reports are signed with."""

    code = "leak_reports_not_configured"
    message = "Leak reports are not switched on here."


class InvalidLeakReport(PermissionDenied):
    """403: the signature is missing, damaged or another's. Nothing was done."""

    code = "invalid_leak_report"
    message = "The signature of this report is not one that is believed here."


class KeyIsOver(PrepaidError):
    """409: the key is revoked or has expired, and stays so."""

    status = 409
    code = "key_is_over"
    message = "This API key is revoked or has expired. Create another."


class KeyAlreadyRotated(PrepaidError):
    """409: the key has a successor already; ``replacedBy`` names it."""

    status = 409
    code = "key_already_rotated"
    message = "This API key has been rotated already. Rotate its successor."


class IdempotencyKeyMissing(PrepaidError):
    """400: a request that moves money has no key by which it could be told from its repetition."""

    code = "idempotency_key_missing"
    message = (
        "Send an Idempotency-Key header: a new UUID for each thing that you want done, and the same one when you "
        "repeat the request because you do not know how it ended."
    )


class InvalidIdempotencyKey(PrepaidError):
    code = "invalid_idempotency_key"
    message = (
        "Idempotency-Key is one key of 1 to 255 visible ASCII characters, in double quotes or bare, "
        "without commas, backslashes and inner quotes. A UUID is a good one."
    )


class IdempotencyInProgress(PrepaidError):
    """409: the first request with this key still runs."""

    status = 409
    code = "idempotency_in_progress"
    message = "The first request with this Idempotency-Key is still running. Send it again in a moment."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class IdempotencyKeyReused(PrepaidError):
    """422: this key was used for another request."""

    status = 422
    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another method, path or body. Use a new key for a new request."
