"""Pages of usage and of statements."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.pagination import (
    DEFAULT_SIZE,
    LAST_PAGE,
    MAX_SIZE,
    PageNumberPagination,
    integer_parameter,
    query_integer,
)


class UsagePagination(PageNumberPagination):
    """The first original's: ``?page=1&limit=50`` → ``{data, pagination: {…, hasNext, hasPrev}, success}``."""

    items_name = "data"
    query_parameters = frozenset({"page", "limit"})

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.page = query_integer(request, "page", default=1, maximum=LAST_PAGE)
        self.size = query_integer(request, "limit", default=DEFAULT_SIZE, maximum=MAX_SIZE)
        self.total = queryset.count()
        start = (self.page - 1) * self.size
        return list(queryset[start : start + self.size]) if start < self.total else []

    def get_paginated_response(self, data: Any) -> Response:
        pages = -(-self.total // self.size)
        pagination = {
            "page": self.page,
            "limit": self.size,
            "total": self.total,
            "totalPages": pages,
            "hasNext": self.page < pages,
            "hasPrev": self.page > 1,
        }
        return Response({"data": data, "pagination": pagination, "success": True})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        shown = {"page": 1, "limit": DEFAULT_SIZE, "total": 1, "totalPages": 1}
        numbers = {name: {"type": "integer", "minimum": 0, "example": value} for name, value in shown.items()}
        flags = {name: {"type": "boolean", "example": False} for name in ("hasNext", "hasPrev")}
        properties = {**numbers, **flags}
        pagination = {"type": "object", "required": list(properties), "properties": properties}
        return {
            "type": "object",
            "required": ["data", "pagination", "success"],
            "properties": {"data": schema, "pagination": pagination, "success": {"type": "boolean", "example": True}},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            integer_parameter("page", default=1, maximum=LAST_PAGE),
            integer_parameter("limit", default=DEFAULT_SIZE, maximum=MAX_SIZE),
        ]
