"""``/api/keys``, by its own rules and by the input table that every endpoint obeys."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys
from accounts.models import ApiKey, Customer
from tests import factories

URL = "/api/keys"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

pytestmark = pytest.mark.django_db


@pytest.fixture
def stranger() -> ApiKey:
    """A key of somebody else."""
    factories.api_key()
    return ApiKey.objects.latest("pk")


def post(api: APIClient, body: bytes | str, content_type: str = "application/json", **headers: str) -> Any:
    return api.generic("POST", URL, body, content_type, headers=headers)


def details(response: Any) -> list[tuple[str, str]]:
    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
    return sorted((detail["field"], detail["code"]) for detail in response.json()["details"])


# Making


def test_a_new_key_is_shown_once_and_works(api: APIClient, anonymous: APIClient, customer: Customer) -> None:
    expires_at = (timezone.now() + timedelta(days=30)).replace(microsecond=0)

    response = api.post(
        URL, {"name": "Laptop", "mode": "test", "scopes": ["read", "ai"], "expiresAt": expires_at.isoformat()}
    )

    assert response.status_code == 201
    body = response.json()
    text = body.pop("key")
    made = ApiKey.objects.latest("pk")
    assert keys.is_well_formed(text)
    assert (made.customer, made.created_by) == (customer, customer.user)
    assert INSTANT.fullmatch(body.pop("createdAt"))
    assert body == {
        "id": made.pk,
        "name": "Laptop",
        "mode": "test",
        "masked": f"ppd_test_…{text[-4:]}",
        "lastFour": text[-4:],
        "status": "active",
        "scopes": ["ai", "read"],
        "models": [],
        "features": [],
        "addresses": [],
        "budget": None,
        "limits": {"requestsPerMinute": None, "tokensPerMinute": None, "concurrentCalls": None},
        "cacheSeconds": 0,
        "metadata": {},
        "createdBy": customer.user_id,
        "replacedBy": None,
        "usage": f"/api/keys/{made.pk}/usage",
        "leakedAt": None,
        "expiresAt": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revokedAt": None,
        "lastUsedAt": None,
    }
    assert anonymous.get(f"{URL}/{made.pk}", headers={"x-api-key": text}).json().keys() == {*body, "createdAt"}


def test_a_key_may_be_asked_for_by_its_name_alone(api: APIClient) -> None:
    body = api.post(URL, {"name": "Laptop"}).json()

    assert (body["mode"], body["scopes"], body["expiresAt"]) == ("live", ["ai", "read"], None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("body.name", "REQUIRED")]),
        ({"name": ""}, [("body.name", "BLANK")]),
        ({"name": "   "}, [("body.name", "BLANK")]),
        ({"name": "\u200b\u202e"}, [("body.name", "BLANK")]),
        ({"name": None}, [("body.name", "NULL")]),
        ({"name": 7}, [("body.name", "INVALID")]),
        ({"name": True}, [("body.name", "INVALID")]),
        ({"name": ["Laptop"]}, [("body.name", "INVALID")]),
        ({"name": "x" * 101}, [("body.name", "MAX_LENGTH")]),
        ({"name": "x", "mode": "prod"}, [("body.mode", "INVALID_CHOICE")]),
        ({"name": "x", "mode": None}, [("body.mode", "NULL")]),
        ({"name": "x", "scopes": []}, [("body.scopes", "MIN_LENGTH")]),
        ({"name": "x", "scopes": "ai"}, [("body.scopes", "NOT_A_LIST")]),
        ({"name": "x", "scopes": ["ai", "everything"]}, [("body.scopes[1]", "INVALID_CHOICE")]),
        ({"name": "x", "scopes": [["ai"]]}, [("body.scopes[0]", "INVALID_CHOICE")]),
        ({"name": "x", "scopes": ["ai"] * 4}, [("body.scopes", "MAX_LENGTH")]),
        ({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, [("body.expiresAt", "NOT_IN_FUTURE")]),
        ({"name": "x", "expiresAt": "tomorrow"}, [("body.expiresAt", "INVALID")]),
        ({"name": "x", "expiresAt": 4102444800}, [("body.expiresAt", "INVALID")]),
        ({"name": "x", "expiresAt": "9999-12-31T23:59:59-23:59"}, [("body.expiresAt", "OVERFLOW")]),
        ({"name": "x", "digest": "0" * 64}, [("body", "UNRECOGNIZED_KEYS")]),
        ({"name": "x", "id": 7, "customer": 7}, [("body", "UNRECOGNIZED_KEYS")] * 2),
        (
            {"nmae": "x", "mode": "prod"},
            [("body", "UNRECOGNIZED_KEYS"), ("body.mode", "INVALID_CHOICE"), ("body.name", "REQUIRED")],
        ),
        ([], [("body", "INVALID")]),
        ("name", [("body", "INVALID")]),
        (None, [("body", "NULL")]),
    ],
)
def test_what_is_wrong_with_a_body_is_named(api: APIClient, body: Any, expected: list[tuple[str, str]]) -> None:
    before = ApiKey.objects.count()

    assert details(post(api, json.dumps(body))) == expected
    assert ApiKey.objects.count() == before


def test_an_unknown_field_is_named_in_the_message(api: APIClient) -> None:
    response = api.post(URL, {"name": "Laptop", "isAdmin": True})

    assert response.json()["details"] == [
        {"field": "body", "message": 'Unrecognized key: "isAdmin"', "code": "UNRECOGNIZED_KEYS"}
    ]


def test_a_name_is_kept_composed_and_without_invisible_characters(api: APIClient) -> None:
    body = api.post(URL, {"name": "  Ame\u0301lie\u202e\u200b\x07\u2069 "}).json()

    assert body["name"] == "Am\u00e9lie"


def test_a_key_cannot_make_one_that_may_do_more(anonymous: APIClient, customer: Customer) -> None:
    headers = {"x-api-key": factories.api_key(customer, scopes="manage read")}

    response = anonymous.post(URL, {"name": "More", "scopes": ["ai", "read"]}, headers=headers)

    assert (response.status_code, response.json()["message"]) == (
        403,
        "This credential cannot give away scopes that it lacks: ai.",
    )
    assert anonymous.post(URL, {"name": "Less", "scopes": ["read"]}, headers=headers).status_code == 201


def test_a_test_key_makes_test_keys_only(anonymous: APIClient, customer: Customer) -> None:
    headers = {"x-api-key": factories.api_key(customer, mode="test")}

    assert anonymous.post(URL, {"name": "Live"}, headers=headers).status_code == 403
    assert anonymous.post(URL, {"name": "Test", "mode": "test"}, headers=headers).status_code == 201


# The input table


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a", "name": "b"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "a", "\\u0000": 1}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\udc00\\ud800"}',
        b'{"name": "a", "x": NaN}',
        b'{"name": "a", "x": Infinity}',
        b'{"name": "a", "x": -Infinity}',
        b'{"name": "a", "x": 1e400}',
        b'{"name": "a", "x": ' + b"9" * 5_000 + b"}",
        b'{"name": "a", "x": 0.' + b"9" * 5_000 + b"}",
        b'{"name": "a", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"name": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        b'\xef\xbb\xbf{"name": "a"}',
        '{"name": "a"}'.encode("utf-16"),
        b'{"name": "\xff"}',
        b'{"name": "a"} {}',
        b'{"name": "a",}',
        b"{'name': 'a'}",
        b'{"name": "a"',
        b" ",
        b"nonsense",
    ],
)
def test_json_that_can_be_read_in_two_ways_is_malformed(api: APIClient, body: bytes) -> None:
    response = post(api, body)

    assert (response.status_code, response.json()["code"]) == (400, "MALFORMED_JSON")


def test_sixty_four_levels_are_read_and_one_more_is_not(api: APIClient) -> None:
    def nested(levels: int) -> str:
        return '{"name": "a", "x": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"

    assert details(post(api, nested(64))) == [("body", "UNRECOGNIZED_KEYS")]
    assert post(api, nested(65)).json()["message"] == "The body has more than 64 levels."


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-7",
        "application/json; charset=unicode_escape",
        "application/json; charset=idna",
        "application/json; charset=bogus",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "nonsense",
    ],
)
def test_a_body_that_is_not_json_in_utf_8_is_unsupported(api: APIClient, content_type: str) -> None:
    response = post(api, b'{"name": "a"}', content_type)

    assert (response.status_code, response.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", '"utf-8"'])
def test_utf_8_may_be_said(api: APIClient, charset: str) -> None:
    assert post(api, b'{"name": "a"}', f"application/json; charset={charset}").status_code == 201


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity"])
def test_a_compressed_body_is_unsupported(api: APIClient, encoding: str) -> None:
    response = post(api, b'{"name": "a"}', **{"content-encoding": encoding})

    assert (response.status_code, response.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_of_more_than_a_megabyte_is_too_large(api: APIClient) -> None:
    response = post(api, b'{"name": "' + b"a" * 1024 * 1024 + b'"}')

    assert (response.status_code, response.json()["code"]) == (413, "REQUEST_BODY_TOO_LARGE")


# Reading


def test_keys_are_listed_newest_first(api: APIClient, customer: Customer, stranger: ApiKey) -> None:
    factories.api_key(customer, name="Second")

    body = api.get(URL).json()

    assert [key["name"] for key in body["keys"]] == ["Second", "Key of a test"]
    assert body["pagination"] == {"page": 1, "pageSize": 50, "total": 2, "pages": 1}


def test_no_key_shows_what_it_is_stored_as(api: APIClient, api_key: str) -> None:
    stored = ApiKey.objects.get()

    text = api.get(URL).content.decode() + api.get(f"{URL}/{stored.pk}").content.decode()

    assert (stored.digest in text, api_key in text) == (False, False)


@pytest.mark.parametrize(
    ("query", "names", "pagination"),
    [
        ("pageSize=2", ["4", "3"], {"page": 1, "pageSize": 2, "total": 5, "pages": 3}),
        ("pageSize=2&page=3", ["Key of a test"], {"page": 3, "pageSize": 2, "total": 5, "pages": 3}),
        ("pageSize=2&page=4", [], {"page": 4, "pageSize": 2, "total": 5, "pages": 3}),
        ("page=1000000&pageSize=100", [], {"page": 1000000, "pageSize": 100, "total": 5, "pages": 1}),
    ],
)
def test_keys_come_in_pages(
    api: APIClient, customer: Customer, query: str, names: list[str], pagination: dict[str, int]
) -> None:
    for number in range(1, 5):
        factories.api_key(customer, name=str(number))

    body = api.get(f"{URL}?{query}").json()

    assert ([key["name"] for key in body["keys"]], body["pagination"]) == (names, pagination)


@pytest.mark.parametrize("name", ["page", "pageSize"])
@pytest.mark.parametrize(
    "value",
    ["0", "-1", "1.0", "1e1", "", " 1", "+1", "\u0661", "\uff11", "abc", "9" * 30, "9" * 5_000, "NaN", "1000001"],
)
def test_a_page_that_is_no_small_number_is_out_of_range(api: APIClient, name: str, value: str) -> None:
    response = api.get(URL, {name: value})

    assert details(response) == [(f"query.{name}", "OUT_OF_RANGE")]


@pytest.mark.parametrize("path", [URL, f"{URL}/1"])
def test_an_unknown_query_parameter_is_named_as_the_second_original_does(api: APIClient, path: str) -> None:
    body = api.get(f"{path}?unexpected=1", headers={"x-request-id": "r1"}).json()

    assert body == {
        "error": "Validation failed",
        "code": "VALIDATION_ERROR",
        "message": "Request validation failed",
        "requestId": "r1",
        "details": [{"field": "query", "message": 'Unrecognized key: "unexpected"', "code": "UNRECOGNIZED_KEYS"}],
    }


@pytest.mark.parametrize("method", ["post", "delete"])
def test_an_unknown_query_parameter_is_refused_where_things_change(
    api: APIClient, method: str, stranger: ApiKey
) -> None:
    path = URL if method == "post" else f"{URL}/{ApiKey.objects.earliest('pk').pk}"

    assert details(getattr(api, method)(f"{path}?page=1", {"name": "a"})) == [("query", "UNRECOGNIZED_KEYS")]
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()


def test_a_nul_in_the_query_is_refused(api: APIClient) -> None:
    assert details(api.get(f"{URL}?page=%00")) == [("query.page", "NULL_CHARACTERS_NOT_ALLOWED")]


def test_a_stranger_learns_nothing_of_a_parameter(anonymous: APIClient) -> None:
    assert anonymous.get(f"{URL}?unexpected=1").status_code == 401


# One key


def test_one_key_is_shown(api: APIClient) -> None:
    key = ApiKey.objects.get()

    body = api.get(f"{URL}/{key.pk}").json()

    assert (body["id"], body["name"], "key" in body) == (key.pk, "Key of a test", False)


def test_a_revoked_key_is_gone_for_good(api: APIClient, anonymous: APIClient, customer: Customer) -> None:
    text = factories.api_key(customer)
    path = f"{URL}/{ApiKey.objects.latest('pk').pk}"

    responses = [api.delete(path) for _ in range(2)]

    assert [(response.status_code, response.content) for response in responses] == [(204, b"")] * 2
    assert anonymous.get(URL, headers={"x-api-key": text}).status_code == 401
    assert api.get(path).json()["revokedAt"] is not None


@pytest.mark.parametrize("method", ["get", "delete"])
def test_a_key_of_somebody_else_is_not_found(api: APIClient, stranger: ApiKey, method: str) -> None:
    response = getattr(api, method)(f"{URL}/{stranger.pk}")

    assert (response.status_code, response.json()["code"]) == (404, "API_KEY_NOT_FOUND")
    stranger.refresh_from_db()
    assert stranger.revoked_at is None


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("1" * 18, "API_KEY_NOT_FOUND"),
        ("0", "NOT_FOUND"),
        (str(2**63), "NOT_FOUND"),
        ("9" * 100, "NOT_FOUND"),
        ("-1", "NOT_FOUND"),
        ("\u0661", "NOT_FOUND"),
        ("1%00", "NOT_FOUND"),
        ("abc", "NOT_FOUND"),
    ],
)
@pytest.mark.parametrize("method", ["get", "delete"])
def test_an_id_that_nothing_has_is_not_found(api: APIClient, method: str, identifier: str, code: str) -> None:
    response = getattr(api, method)(f"{URL}/{identifier}")

    assert (response.status_code, response.json()["code"]) == (404, code)


def test_paths_have_no_slash_at_their_end_and_do_not_redirect(api: APIClient) -> None:
    response = api.post(f"{URL}/", {"name": "a"})

    assert (response.status_code, response.json()["message"]) == (
        404,
        "There is nothing here. Paths have no slash at their end.",
    )
