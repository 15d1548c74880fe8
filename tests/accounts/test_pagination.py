"""Pages by cursor: nothing twice, nothing left out, no COUNT."""

from typing import Any

import pytest
from django.http import HttpRequest, QueryDict
from pytest_django import DjangoAssertNumQueries
from rest_framework.request import Request

from accounts.errors import ValidationFailed
from accounts.models import ApiKey
from accounts.pagination import CursorPagination
from tests import factories

pytestmark = pytest.mark.django_db


class Pages(CursorPagination):
    items_name = "keys"


def page(query: str) -> dict[str, Any]:
    request = HttpRequest()
    request.GET = QueryDict(query)
    pages = Pages()
    rows = pages.paginate_queryset(ApiKey.objects.order_by("name"), Request(request))
    body: dict[str, Any] = pages.get_paginated_response([row.pk for row in rows]).data
    return body


@pytest.fixture
def ids() -> list[int]:
    customer = factories.UserFactory.create().personal_customer
    for number in range(5):
        factories.api_key(customer, name=str(number))
    return list(ApiKey.objects.order_by("-pk").values_list("pk", flat=True))


def test_the_newest_come_first_and_the_last_page_has_no_next(ids: list[int]) -> None:
    first = page("limit=2")
    second = page(f"limit=2&cursor={first['nextCursor']}")
    third = page(f"limit=2&cursor={second['nextCursor']}")

    assert [first["keys"], second["keys"], third["keys"]] == [ids[:2], ids[2:4], ids[4:]]
    assert (first["nextCursor"], third["nextCursor"]) == (str(ids[1]), None)


def test_a_full_last_page_has_no_next(ids: list[int]) -> None:
    assert page("limit=5") == {"keys": ids, "nextCursor": None}


def test_what_appears_meanwhile_moves_nothing(ids: list[int]) -> None:
    first = page("limit=2")
    factories.api_key(name="new")

    assert page(f"limit=2&cursor={first['nextCursor']}")["keys"] == ids[2:4]


def test_a_page_costs_one_query(ids: list[int], django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        page("")


@pytest.mark.parametrize(
    "query",
    ["cursor=0", "cursor=-1", "cursor=abc", "cursor=", f"cursor={2**63}", "cursor=%D9%A1", "limit=0", "limit=101"],
)
def test_a_cursor_or_limit_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        page(query)

    name = query.partition("=")[0]
    assert [(detail["field"], detail["code"]) for detail in caught.value.details] == [(f"query.{name}", "OUT_OF_RANGE")]
