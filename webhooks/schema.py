"""How the OpenAPI document describes the endpoints of webhooks."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from webhooks.sources.base import Source

ERROR = {"$ref": "#/components/schemas/ApiError"}
RECEIVED = {
    "type": "object",
    "required": ["received"],
    "properties": {"received": {"const": True}},
    "example": {"received": True},
}
FAILURES = {
    400: "The signature is missing, malformed, forged or more than five minutes off; or the body is no event.",
    404: "No secret is configured, so there is no such endpoint.",
    413: "The body has more than 256 KiB.",
    415: "The body is not declared as `application/json` in UTF-8.",
    500: "The event is kept, but handling it failed. Send it again.",
}


class WebhookSchema(AutoSchema):
    """One operation, as the view's source signs it."""

    @property
    def source(self) -> Source:
        source: Source = self.view.source  # type: ignore[attr-defined]
        return source

    def get_operation_id(self) -> str:
        return f"receive{self.source.name.title()}Webhook"

    def get_summary(self) -> str:
        return f"Receive an event of {self.source.name.title()}"

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular's own has no arguments either
        return (
            "For the sender, with its signature over the raw body. 200 means that the event is kept, and handled "
            "or of a type that nothing is done about. The same event again has no second effect."
        )

    def get_tags(self) -> list[str]:
        return ["Webhooks"]

    def get_auth(self) -> list[dict[str, Any]]:
        return [{}]

    def get_override_parameters(self) -> list[Any]:
        headers = self.source.signature_headers
        return [OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True) for name in headers]

    def get_request_serializer(self) -> Any:
        return {"application/json": {"type": "object", "description": "The event, as its sender documents it."}}

    def get_response_serializers(self) -> Any:
        failures = {status: OpenApiResponse(ERROR, description) for status, description in FAILURES.items()}
        return {200: OpenApiResponse(RECEIVED, "The event is kept."), **failures}
