"""
What no single view can say of itself in the OpenAPI document: how every request can fail, and the gateway's routes.

Both are hooks that drf-spectacular runs over the finished document.
"""

from http import HTTPStatus
from typing import Any

import orjson

from accounts import idempotency
from accounts.errors import (
    BodyTooLarge,
    Conflict,
    IdempotencyKeyReused,
    LengthRequired,
    NotFound,
    PermissionDenied,
    PrepaidError,
    RequestTimeout,
    SignUpNotConfigured,
    TooManyRequests,
    Unauthenticated,
    UnsupportedMedia,
    ValidationFailed,
)
from ai.errors import ProviderError, ProviderTimeout
from ai.protocols import errors
from ai.protocols.messages import Messages
from ai.schema import ANTHROPIC_ERROR, COMPONENTS, FLAT_ERROR, JSON, OPENAI_ERROR, ROUTES, Route, Schema
from credits.amounts import credits
from credits.errors import InsufficientCredits, LedgerBusy

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
FLAT: Schema = {
    "type": "object",
    "description": "Every error under `/api/`. Programs read `code`; people read `message`.",
    "required": ["error", "code", "message", "requestId"],
    "properties": {
        "error": {"type": "string", "description": "The code in lower case, or `Validation failed`."},
        "code": {"type": "string", "description": "Stable and in capitals: see docs/api.md."},
        "message": {"type": "string"},
        "requestId": {"type": "string", "description": "As in `X-Request-Id`; quote it when you ask for help."},
        "details": {
            "type": "array",
            "description": "Only when fields or parameters are wrong: each of them.",
            "items": {
                "type": "object",
                "required": ["field", "message", "code"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}, "code": {"type": "string"}},
            },
        },
        "required": {"type": ["integer", "string"], "description": "With 402: the credits that the call needs."},
        "available": {"type": ["integer", "string"], "description": "With 402: the credits that can be spent."},
    },
    # What else a refusal tells, docs/api.md says beside its code.
    "additionalProperties": True,
}

REQUEST_ID = "8a6e0804-2bd0-4672-b79d-d97027f9071a"
FAILURES: dict[int, PrepaidError] = {
    401: Unauthenticated(),
    402: InsufficientCredits(required=credits(5), available=credits(2)),
    403: PermissionDenied(),
    404: NotFound(),
    408: RequestTimeout(),
    409: Conflict(),
    411: LengthRequired(),
    413: BodyTooLarge(),
    415: UnsupportedMedia(),
    422: IdempotencyKeyReused(),
    429: TooManyRequests(),
    501: SignUpNotConfigured(),
    502: ProviderError(),
    503: LedgerBusy(),
    504: ProviderTimeout(),
}

REQUEST_ID_PARAMETER: Schema = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "1 to 128 visible ASCII characters to find this request by; made up where it is anything else.",
    "schema": {"type": "string"},
}
CUSTOMER_PARAMETER: Schema = {
    "name": "X-Customer-Id",
    "in": "header",
    "description": "For which of your customers; your own where it is missing. `GET /api/customers` lists them.",
    "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"},
}
IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of the answer that you have: 304 without a body while it is the same.",
    "schema": {"type": "string"},
}
TAG_HEADER: Schema = {"ETag": {"description": "Changes with the body.", "schema": {"type": "string"}}}
REQUEST_ID_HEADER: Schema = {"X-Request-Id": {"description": "The request's id.", "schema": {"type": "string"}}}
CHARGE_HEADERS: Schema = {
    "X-Generation-Id": {"description": "The provider's id of the answer.", "schema": {"type": "string"}},
    "X-Credits-Held": {"description": "Credits set aside for this call.", "schema": {"type": "string"}},
    "X-Credits-Charged": {
        "description": "Credits charged; missing on a stream, which begins before it is known.",
        "schema": {"type": "string"},
    },
}


#: How the gateway's errors are written that are not flat.
RENDERED = {OPENAI_ERROR: errors.openai, ANTHROPIC_ERROR: Messages().error}


def add_gateway(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Add the routes that are served in front of Django, under all their paths."""
    result["components"].setdefault("schemas", {}).update(COMPONENTS)
    for route in ROUTES:
        for number, path in enumerate((route.path, *route.aliases)):
            operation = _operation(route) | ({"operationId": f"{route.id}Alias"} if number else {})
            result["paths"].setdefault(path, {})[route.method] = operation
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def add_failures(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Say of every operation under ``/api/`` that Django serves how it can fail, and that requests have ids."""
    result["components"].setdefault("schemas", {})[FLAT_ERROR] = FLAT
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/api/"):
                answers = operation["responses"]
                declared = [
                    int(status) for status in answers if int(status) >= 400 and "content" not in answers[status]
                ]
                statuses = [*_failures(operation, method), *declared]
                wrong = "body.name" if "requestBody" in operation else "query.limit"
                for status in statuses:
                    if "content" not in answers.get(str(status), {}):
                        answers[str(status)] = _failure(status, FLAT_ERROR, wrong)
            operation.setdefault("parameters", []).append(REQUEST_ID_PARAMETER)
            if path.startswith("/api/") and not _is_public(operation):
                operation["parameters"].append(CUSTOMER_PARAMETER)
            if "304" in operation["responses"]:
                operation["parameters"].append(IF_NONE_MATCH)
                operation["responses"]["200"]["headers"] = dict(TAG_HEADER)
            operation["responses"] = dict(sorted(operation["responses"].items()))
            for response in operation["responses"].values():
                response.setdefault("headers", {}).update(REQUEST_ID_HEADER)
    return result


def drop_read_only(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """What is sent and what is answered are described apart. ``readOnly`` only makes generators write types twice."""
    for component in result["components"]["schemas"].values():
        for described in component.get("properties", {}).values():
            described.pop("readOnly", None)
    return result


def _failures(operation: Schema, method: str) -> list[int]:
    """
    How a request can fail, as far as its method and what it takes say.

    404 is also the answer to ``X-Customer-Id``, and 409 that to a change that cannot be as things stand.
    """
    has_body = "requestBody" in operation
    statuses = [400] + ([403, 404] if has_body else []) if _is_public(operation) else [400, 401, 403, 404]
    if has_body or method == "post":
        statuses += [408, 411, 413, 415]
    if not _is_public(operation):
        statuses += [429] if method == "get" else [409, 429]
    if _is_idempotent(operation):
        statuses += [402, 422, 503] if has_body else [422]
    return statuses


def _operation(route: Route) -> Schema:
    wrong = "body.model" if route.body else f"query.{next((each['name'] for each in route.parameters), 'limit')}"
    content = {media: {"schema": schema} for media, schema in route.answers.items()}
    if route.answer_example is not None:
        content[JSON]["example"] = route.answer_example
    answer: Schema = {"description": "The answer.", "content": content} if content else {"description": "Nothing."}
    if route.charges:
        answer["headers"] = dict(CHARGE_HEADERS)
    operation: Schema = {
        "operationId": route.id,
        "summary": route.summary,
        "description": route.description,
        "tags": ["AI"],
        "security": SECURITY,
        "parameters": [*route.parameters, REQUEST_ID_PARAMETER, CUSTOMER_PARAMETER],
        "responses": {"200" if content else "204": answer}
        | {str(status): _failure(status, route.error, wrong) for status in route.failures},
    }
    for response in operation["responses"].values():
        response.setdefault("headers", {}).update(REQUEST_ID_HEADER)
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": route.body, "example": route.example}},
        }
    return operation


def _failure(status: int, shape: str, wrong: str) -> Schema:
    fault = {"field": wrong, "message": "This value is not accepted here.", "code": "INVALID"}
    error = ValidationFailed(details=[fault]) if status == HTTPStatus.BAD_REQUEST else FAILURES[status]
    render = RENDERED.get(shape, errors.flat)
    body = {"schema": {"$ref": f"#/components/schemas/{shape}"}, "example": orjson.loads(render(error, REQUEST_ID))}
    return {"description": HTTPStatus(status).phrase, "content": {JSON: body}}


def _is_idempotent(operation: Schema) -> bool:
    return any(parameter["name"] == idempotency.HEADER for parameter in operation.get("parameters", []))


def _is_public(operation: Schema) -> bool:
    security: list[Schema] = operation.get("security", [{}])
    return {} in security
