"""
Pages of a list.

By number where people leaf through a table; by cursor where the list grows at its head
and may be long, because that costs no COUNT and skips and repeats nothing.
"""

import re
from typing import Any, ClassVar

from django.core.paginator import Paginator
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.strict import refused_query

DEFAULT_SIZE = 50
MAX_SIZE = 100
LAST_PAGE = 1_000_000
LAST_ID = 2**63 - 1
#: As many digits as ids in paths have.
CURSOR = "[1-9][0-9]{0,17}"


def query_integer(request: Request, name: str, *, default: int, maximum: int) -> int:
    """
    Return the query parameter ``name`` as a number from 1 to ``maximum``.

    :raises ValidationFailed: if it is anything else
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 1 <= int(text) <= maximum:
        raise refused_query(name, f"A whole number from 1 to {maximum} is required.", "OUT_OF_RANGE")
    return int(text)


class PageNumberPagination(BasePagination):
    """
    ``?page=1&pageSize=50`` → ``{<items_name>: […], "pagination": {page, pageSize, total, pages}}``.

    A page behind the last is empty. Subclass it to name the items.
    """

    items_name: ClassVar[str] = "items"
    query_parameters: ClassVar[frozenset[str]] = frozenset({"page", "pageSize"})

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.page = query_integer(request, "page", default=1, maximum=LAST_PAGE)
        self.size = query_integer(request, "pageSize", default=DEFAULT_SIZE, maximum=MAX_SIZE)
        self.total = Paginator(queryset, self.size).count
        start = (self.page - 1) * self.size
        return list(queryset[start : start + self.size]) if start < self.total else []

    def get_paginated_response(self, data: Any) -> Response:
        return Response({self.items_name: data, "pagination": self.numbers()})

    def numbers(self) -> dict[str, int]:
        """Which page this is, and of how many."""
        return {"page": self.page, "pageSize": self.size, "total": self.total, "pages": -(-self.total // self.size)}

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        shown = {"page": 1, "pageSize": DEFAULT_SIZE, "total": 1, "pages": 1}
        numbers = {name: {"type": "integer", "minimum": 0, "example": value} for name, value in shown.items()}
        pagination = {"type": "object", "required": list(numbers), "properties": numbers}
        return {
            "type": "object",
            "required": [self.items_name, "pagination"],
            "properties": {self.items_name: schema, "pagination": pagination},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            integer_parameter("page", default=1, maximum=LAST_PAGE),
            integer_parameter("pageSize", default=DEFAULT_SIZE, maximum=MAX_SIZE),
        ]


def cursor_of(request: Request) -> int | None:
    """
    Return the query parameter ``cursor``, if there is one.

    :raises ValidationFailed: if it is nothing that ``nextCursor`` has ever been
    """
    text = request.query_params.get("cursor")
    if text is None:
        return None
    if re.fullmatch(CURSOR, text) is None:
        raise refused_query("cursor", "Write the nextCursor of the page before, as it came.", "OUT_OF_RANGE")
    return int(text)


class CursorPagination(BasePagination):
    """
    ``?limit=50&cursor=…`` → ``{<items_name>: […], "nextCursor": "…" or null}``, newest first.

    The list is ordered by descending id, whatever order the queryset had. Subclass it to
    name the items.
    """

    items_name: ClassVar[str] = "items"
    query_parameters: ClassVar[frozenset[str]] = frozenset({"limit", "cursor"})

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        limit = query_integer(request, "limit", default=DEFAULT_SIZE, maximum=MAX_SIZE)
        before = cursor_of(request)
        if before is not None:
            queryset = queryset.filter(pk__lt=before)
        rows = list(queryset.order_by("-pk")[: limit + 1])
        self.next_cursor = str(rows[limit - 1].pk) if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({self.items_name: data, "nextCursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": [self.items_name, "nextCursor"],
            "properties": {self.items_name: schema, "nextCursor": {"type": ["string", "null"], "example": "41"}},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        cursor = {"name": "cursor", "in": "query", "schema": {"type": "string", "pattern": f"^{CURSOR}$"}}
        return [
            integer_parameter("limit", default=DEFAULT_SIZE, maximum=MAX_SIZE),
            cursor | {"description": "The `nextCursor` of the page before."},
        ]


def integer_parameter(name: str, *, default: int, maximum: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return {"name": name, "in": "query", "schema": schema}
