"""
Strict input for the REST API: what is not understood exactly is refused, with its name.

Every view is a ``StrictView`` and every serializer that reads a body a ``StrictSerializer``
(tests prove both); the parser of their bodies is ``accounts.parsers.JSONParser``.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from accounts.errors import LengthRequired, MethodNotAllowed, ValidationFailed
from accounts.parsers import is_storable
from accounts.texts import plain


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses keys it does not know, and names them together with every other fault."""

    refuses_unknown_fields: ClassVar[bool] = True

    def to_internal_value(self, data: Any) -> Any:
        known = {name for name, field in self.fields.items() if not field.read_only}
        unknown = [name for name in data if name not in known] if isinstance(data, Mapping) else []
        faults: dict[str, Any] = {}
        value = None
        try:
            value = super().to_internal_value(data)
        except ValidationError as error:
            faults = dict(error.detail) if isinstance(error.detail, dict) else {}
            if not faults:
                raise
        if unknown:
            here = api_settings.NON_FIELD_ERRORS_KEY
            strangers = [serializers.ErrorDetail(unrecognized(name), "unrecognized_keys") for name in unknown]
            faults[here] = [*faults.get(here, []), *strangers]
        if faults:
            raise ValidationError(faults)
        return value


class PlainTextField(serializers.CharField):
    """
    Text that people read: a JSON string, kept as ``accounts.texts.plain`` writes it, without blanks around it.
    """

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            data = plain(data)
        return super().run_validation(data)


class TrueOrFalseField(serializers.BooleanField):
    """``true`` or ``false`` of JSON. Words and numbers mean something else to everyone."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictView(APIView):
    """
    A view that refuses query parameters it does not know, and whose answers are not kept by caches.

    Known are those of its pagination and its filters, and those that it lists in ``query_parameters``.
    """

    query_parameters: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequired  # The framework would take such a body for an empty one.
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            raise MethodNotAllowed
        given = request.query_params
        known = self.known_query_parameters() if given else frozenset()
        if unknown := [name for name in given if name not in known]:
            raise ValidationFailed(
                details=[
                    {"field": "query", "message": unrecognized(name), "code": "UNRECOGNIZED_KEYS"} for name in unknown
                ]
            )
        for name, values in given.lists():
            if not all(is_storable(text) for text in values):
                raise refused_query(name, "Null characters are not allowed.", "NULL_CHARACTERS_NOT_ALLOWED")

    def known_query_parameters(self) -> frozenset[str]:
        if self.request.method not in {"GET", "HEAD"}:
            return self.query_parameters
        paginator = getattr(self, "paginator", None)
        filterset = getattr(self, "filterset_class", None)
        return self.query_parameters.union(
            getattr(paginator, "query_parameters", ()), filterset.base_filters if filterset else ()
        )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def unrecognized(name: Any) -> str:
    """Return the message that names an unknown key, worded as the second original words it."""
    return f'Unrecognized key: "{name}"'


def refused_query(name: str, message: str, code: str) -> ValidationFailed:
    """Return the error that says what is wrong with the query parameter ``name``."""
    return ValidationFailed(details=[{"field": f"query.{name}", "message": message, "code": code}])
