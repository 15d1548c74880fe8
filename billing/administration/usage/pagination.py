"""Pages of all customers' usage."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.pagination import LAST_PAGE, MAX_SIZE, PageNumberPagination, integer_parameter, query_integer
from billing.models import UsageRecord
from billing.usage.pagination import MOST_COUNTED

USUAL_SIZE = 25


class AllUsagePagination(PageNumberPagination):
    """
    The first original's: ``?page=1&pageSize=25`` → ``{data, total, page, pageSize}``.

    The newest ``MOST_COUNTED`` calls are counted and can be leafed through, whatever the size of the table.
    """

    items_name = "data"

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.page = query_integer(request, "page", default=1, maximum=LAST_PAGE)
        self.size = query_integer(request, "pageSize", default=USUAL_SIZE, maximum=MAX_SIZE)
        found = list(queryset.values_list("pk", flat=True)[:MOST_COUNTED])
        self.total = len(found)
        wanted = found[(self.page - 1) * self.size :][: self.size]
        records = UsageRecord.objects.select_related("api_key", "customer__user", "hold").in_bulk(wanted)
        return [records[pk] for pk in wanted if pk in records]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "total": self.total, "page": self.page, "pageSize": self.size})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        shown = {"total": 1, "page": 1, "pageSize": USUAL_SIZE}
        numbers = {name: {"type": "integer", "minimum": 0, "example": value} for name, value in shown.items()}
        return {"type": "object", "required": ["data", *shown], "properties": {"data": schema, **numbers}}

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            integer_parameter("page", default=1, maximum=LAST_PAGE),
            integer_parameter("pageSize", default=USUAL_SIZE, maximum=MAX_SIZE),
        ]
