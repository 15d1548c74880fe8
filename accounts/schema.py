"""How the OpenAPI document speaks of signing in, of strict bodies, and of what answers have."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance, get_lib_doc_excludes
from drf_spectacular.utils import OpenApiResponse

from accounts.strict import StrictSerializer

Mapping = dict[str, Any]

#: A way to fail that only some have. What its body is like, ``config.schema`` says of all.
FAILURE = OpenApiResponse()


def bases() -> list[type]:
    """Whose docstrings are about the code: what descends from them does not inherit these."""
    return [*get_lib_doc_excludes(), StrictSerializer]


class CredentialScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.CredentialAuthentication"
    name = ["bearer", "apiKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """One of them is enough, which OpenAPI says as a list."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Mapping]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key (`ppd_live_…`), or a session or service JWT.",
            },
            {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key."},
        ]


class Schema(AutoSchema):
    """
    Says of strict bodies that they are, and of a ``DELETE`` too what its body is (``deletion_serializer``).

    An answer has every field of its serializer, but for those that are declared with ``required=False``.
    """

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Mapping:
        schema: Mapping = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # the library's
        if direction == "request":
            is_strict = getattr(serializer, "refuses_unknown_fields", False)
            return schema | {"additionalProperties": False} if is_strict else schema
        fields = force_instance(serializer).fields
        # What a field was declared with: of one that is read only, ``required`` is false either way.
        sometimes = {name for name, field in fields.items() if field._kwargs.get("required") is False}
        always = sorted(schema.get("properties", {}).keys() - sometimes)
        rest = {name: value for name, value in schema.items() if name != "required"}
        return rest | ({"required": always} if always else {})

    def _get_request_body(self, direction: str = "request") -> Any:
        asked = getattr(self.view, "deletion_serializer", None)
        if self.method != "DELETE" or asked is None:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]  # the library's
        schema = self.resolve_serializer(asked(), "request").ref
        return {"content": {"application/json": {"schema": schema}}, "required": True}
