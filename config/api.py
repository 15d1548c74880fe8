"""
The one error body of the REST API, whoever refuses: our own code, DRF, or Django before any view.

Gateway paths have their own edge (``ai``); both render ``accounts.errors.PrepaidError``.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.settings import api_settings

from accounts.errors import (
    BodyTooLarge,
    InternalServerError,
    NotFound,
    PermissionDenied,
    PrepaidError,
    Unauthenticated,
    ValidationFailed,
)

CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.NOT_ACCEPTABLE: "not_acceptable",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
}


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Render what a view has raised. None, for what is not an answer: a bug must become a 500 and be logged."""
    request = context["request"]
    error = translated(exception, "query" if request.method in {"GET", "HEAD"} else "body")
    if error is None:
        return None
    return Response(error.flat(request_id_of(request)), status=error.status, headers=error.headers)


def translated(exception: Exception, root: str) -> PrepaidError | None:
    """Return ``exception`` in our own terms. ``root`` names what was validated: ``query`` or ``body``."""
    match exception:
        case PrepaidError():
            return exception
        case exceptions.ValidationError():
            return ValidationFailed(details=list(faults(exception.detail, root)))
        case DjangoValidationError():
            return ValidationFailed(details=list(faults(serializers.as_serializer_error(exception), root)))
        case Http404() | exceptions.NotFound():
            return NotFound()
        case DjangoPermissionDenied() | exceptions.PermissionDenied():
            return PermissionDenied()
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Unauthenticated()
        case RequestDataTooBig():
            return BodyTooLarge()
        case SuspiciousOperation():
            return PrepaidError()
        case exceptions.APIException():
            return of_framework(exception)
    return None


def of_framework(exception: exceptions.APIException) -> PrepaidError:
    error = PrepaidError(str(exception.detail))
    error.status = exception.status_code
    error.code = CODES.get(HTTPStatus(exception.status_code), PrepaidError.code)
    wait = getattr(exception, "wait", None)
    if wait is not None:
        error.headers["Retry-After"] = str(max(1, int(wait)))
    return error


def faults(detail: Any, path: str) -> Iterator[dict[str, str]]:
    """Yield ``{field, message, code}`` for every fault in DRF's nested ``detail``, as ``body.a.b[0]``."""
    if isinstance(detail, dict):
        for name, below in detail.items():
            here = path if name == api_settings.NON_FIELD_ERRORS_KEY else below_path(path, name)
            yield from faults(below, here)
    elif isinstance(detail, list):
        for position, below in enumerate(detail):
            nested = isinstance(below, dict | list)
            yield from faults(below, f"{path}[{position}]" if nested else path)
    else:
        yield {"field": path, "message": str(detail), "code": str(getattr(detail, "code", "invalid")).upper()}


def below_path(path: str, name: str | int) -> str:
    return f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}"


def request_id_of(request: Any) -> str:
    return getattr(request, "request_id", "unknown")


# What Django answers when no view does. Under /admin/ people read it, elsewhere programs.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    error = translated(exception, "body") or PrepaidError()
    return rendered(request, error) or defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return rendered(request, PermissionDenied()) or defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    error = NotFound("There is nothing here. Paths have no slash at their end." if request.path.endswith("/") else None)
    return rendered(request, error) or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    return rendered(request, InternalServerError()) or defaults.server_error(request)


def rendered(request: HttpRequest, error: PrepaidError) -> JsonResponse | None:
    """Return ``error`` as JSON; None under /admin/."""
    if request.path.startswith("/admin/"):
        return None
    headers = {"Cache-Control": "no-store", **error.headers}
    return JsonResponse(error.flat(request_id_of(request)), status=error.status, headers=headers)
