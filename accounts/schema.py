"""How the OpenAPI document speaks of signing in."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class CredentialScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.CredentialAuthentication"
    name = ["bearer", "apiKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """One of them is enough, which OpenAPI says as a list."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key (`ppd_live_…`), or a session or service JWT.",
            },
            {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key."},
        ]


class Schema(AutoSchema):
    """Says of strict bodies that they are, and of a ``DELETE`` too what its body is (``deletion_serializer``)."""

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # the library's
        is_strict = getattr(serializer, "refuses_unknown_fields", False)
        return schema | {"additionalProperties": False} if is_strict and direction == "request" else schema

    def _get_request_body(self, direction: str = "request") -> Any:
        asked = getattr(self.view, "deletion_serializer", None)
        if self.method != "DELETE" or asked is None:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]  # the library's
        schema = self.resolve_serializer(asked(), "request").ref
        return {"content": {"application/json": {"schema": schema}}, "required": True}
