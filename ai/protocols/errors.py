"""Shapes of a refusal: OpenAI's under ``/v1/``, the flat one of both originals under ``/api/``."""

import orjson

from accounts.errors import PrepaidError

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


def openai(error: PrepaidError, request_id: str) -> bytes:
    """OpenAI's: ``{"error": {"message", "type", "param", "code"}}``, with our further fields beside them."""
    first = error.details[0] if error.details else {}
    stated = {
        "message": text_of(error),
        "type": KINDS.get(error.status, "invalid_request_error" if error.status < 500 else "server_error"),
        "param": first.get("field", "").removeprefix("body.") or None,
        "code": error.code,
        **error.extra,
    }
    return orjson.dumps({"error": stated})


def text_of(error: PrepaidError) -> str:
    """What went wrong, in words; of several fields the first."""
    first = error.details[0] if error.details else {}
    return f"{first['field']}: {first['message']}" if first else error.message


def flat(error: PrepaidError, request_id: str) -> bytes:
    """The flat one, which the REST API has too."""
    return orjson.dumps(error.flat(request_id))
