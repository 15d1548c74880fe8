"""Pages of usage."""

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
from billing.models import UsageRecord

#: How many calls a list counts and shows. Older ones: give `to`, or take the CSV.
MOST_COUNTED = 10_000


class UsagePagination(PageNumberPagination):
    """
    The first original's: ``?page=1&limit=50`` → ``{data, pagination: {…, hasNext, hasPrev}, success}``.

    The newest ``MOST_COUNTED`` calls are counted and can be leafed through, so that a page costs
    the same for a customer of a million calls. One walk along the index finds the total and the page.
    """

    items_name = "data"
    query_parameters = frozenset({"page", "limit"})

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.page = query_integer(request, "page", default=1, maximum=LAST_PAGE)
        self.size = query_integer(request, "limit", default=DEFAULT_SIZE, maximum=MAX_SIZE)
        found = list(queryset.values_list("pk", flat=True)[:MOST_COUNTED])
        self.total = len(found)
        wanted = found[(self.page - 1) * self.size :][: self.size]
        records = UsageRecord.objects.select_related("api_key").in_bulk(wanted)
        return [records[pk] for pk in wanted if pk in records]

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


class SummaryPagination(PageNumberPagination):
    items_name = "groups"
