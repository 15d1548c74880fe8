"""Whoever refuses, the client reads one body."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.config.urls import SECRET

pytestmark = pytest.mark.urls("tests.config.urls")

ID = "r-1"


@pytest.fixture
def caller() -> Client:
    """A client that gets a 500 as a client does, instead of the exception."""
    return Client(raise_request_exception=False, headers={"x-request-id": ID})


def body(error: str, message: str, **extra: Any) -> dict[str, Any]:
    return {"error": error, "code": error.upper(), "message": message, "requestId": ID, **extra}


NOTHING = body("not_found", "There is nothing here.")
FORBIDDEN = body("forbidden", "This credential may not do that.")
UNAUTHORIZED = body("unauthorized", "Unauthorized")
TOO_LARGE = body("request_body_too_large", "Request body too large")
CANNOT = body("bad_request", "The request cannot be served.")
BUG = body("internal_server_error", "Internal server error")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="prepaid"'}


def invalid(*details: tuple[str, str, str]) -> dict[str, Any]:
    named = [dict(zip(("field", "message", "code"), detail, strict=True)) for detail in details]
    expected = body("validation_error", "Request validation failed", details=named)
    return expected | {"error": "Validation failed"}


@pytest.mark.parametrize(
    ("kind", "status", "expected", "headers"),
    [
        (
            "prepaid",
            402,
            body("out_of_luck", "Try again with more luck.", required=5, available=2),
            {"Retry-After": "7"},
        ),
        ("validation", 400, invalid(("body.a", "Wrong.", "WRONG")), {}),
        ("django-validation", 400, invalid(("query.name", "Too short.", "INVALID")), {}),
        ("not-found", 404, NOTHING, {}),
        ("http404", 404, NOTHING, {}),
        ("permission", 403, FORBIDDEN, {}),
        ("django-permission", 403, FORBIDDEN, {}),
        ("not-authenticated", 401, UNAUTHORIZED, CHALLENGE),
        ("authentication-failed", 401, UNAUTHORIZED, CHALLENGE),
        (
            "throttled",
            429,
            body("too_many_requests", "Request was throttled. Expected available in 3 seconds."),
            {"Retry-After": "3"},
        ),
        (
            "throttled-a-moment",
            429,
            body("too_many_requests", "Request was throttled. Expected available in 0 seconds."),
            {"Retry-After": "1"},
        ),
        ("too-big", 413, TOO_LARGE, {}),
        ("suspicious", 400, CANNOT, {}),
        ("bug", 500, BUG, {}),
    ],
)
def test_an_error_in_a_view_is_told_in_the_envelope(
    caller: Client, kind: str, status: int, expected: dict[str, Any], headers: dict[str, str]
) -> None:
    response = caller.get(f"/api/fail/{kind}")

    assert (response.status_code, response.json()) == (status, expected)
    assert response["X-Request-Id"] == ID
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    assert {name: response[name] for name in headers} == headers
    assert SECRET not in response.content.decode() + str(response.headers)


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("http404", 404, NOTHING),
        ("django-permission", 403, FORBIDDEN),
        ("too-big", 413, TOO_LARGE),
        ("suspicious", 400, CANNOT),
        ("bug", 500, BUG),
    ],
)
def test_an_error_before_any_view_is_told_in_the_envelope(
    caller: Client, kind: str, status: int, expected: dict[str, Any]
) -> None:
    response = caller.get(f"/api/before/{kind}")

    assert (response.status_code, response.json()) == (status, expected)
    assert (response["X-Request-Id"], response["Cache-Control"]) == (ID, "no-store")


@pytest.mark.parametrize(
    ("kind", "status"), [("http404", 404), ("django-permission", 403), ("suspicious", 400), ("bug", 500)]
)
def test_people_in_the_admin_read_a_page(caller: Client, kind: str, status: int) -> None:
    response = caller.get(f"/admin/before/{kind}")

    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    assert SECRET not in response.content.decode()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", "/api/tree", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/tree", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/nowhere", 404, "NOT_FOUND"),
        ("GET", "/nowhere", 404, "NOT_FOUND"),
    ],
)
def test_a_route_that_is_not_there_is_told_in_the_envelope(
    caller: Client, method: str, path: str, status: int, code: str
) -> None:
    response = caller.generic(method, path)

    assert (response.status_code, response.json()["code"], response.json()["requestId"]) == (status, code, ID)


def test_a_host_that_is_not_ours_is_told_in_the_envelope(caller: Client) -> None:
    response = caller.get("/api/tree", headers={"host": "evil.test"})

    assert (response.status_code, response.json()) == (400, CANNOT)


def test_what_the_client_does_not_accept_is_told_in_the_envelope(caller: Client) -> None:
    response = caller.get("/api/fail/prepaid", headers={"accept": "application/xml"})

    assert (response.status_code, response.json()["code"]) == (406, "NOT_ACCEPTABLE")


def test_the_format_is_no_parameter(caller: Client) -> None:
    response = caller.get("/api/fail/prepaid?format=xml")

    assert response.json() == invalid(("query", 'Unrecognized key: "format"', "UNRECOGNIZED_KEYS"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [("body.branch", "REQUIRED")]),
        ({"branch": 7}, [("body.branch", "INVALID")]),
        ({"branch": {"leaves": {}}}, [("body.branch.leaves", "NOT_A_LIST")]),
        ({"branch": {"leaves": [{"size": 1}, {"size": 10}]}}, [("body.branch.leaves[1].size", "MAX_VALUE")]),
        ({"branch": {"leaves": [{"size": 1}, 7]}}, [("body.branch.leaves[1]", "INVALID")]),
        ({"branch": {"leaves": [{"size": 1, "x": 1}]}}, [("body.branch.leaves[0]", "UNRECOGNIZED_KEYS")]),
        ({"branch": {"leaves": [], "x": 1, "y": 2}}, [("body.branch", "UNRECOGNIZED_KEYS")] * 2),
        ({"branch": {"leaves": []}, "x": 1}, [("body", "UNRECOGNIZED_KEYS")]),
        ({"branch": {"leaves": [], "by_name": {"oak": {"size": 10}}}}, [("body.branch.by_name.oak.size", "MAX_VALUE")]),
        (
            {"branch": {"leaves": [], "numbers": [1, "x", 2, None]}},
            [("body.branch.numbers[1]", "INVALID"), ("body.branch.numbers[3]", "NULL")],
        ),
    ],
)
def test_a_fault_is_named_by_its_path(caller: Client, given: Any, expected: list[tuple[str, str]]) -> None:
    response = caller.post("/api/tree", json.dumps(given), "application/json")

    assert response.status_code == 400
    assert sorted((detail["field"], detail["code"]) for detail in response.json()["details"]) == sorted(expected)


def test_a_known_body_is_read(caller: Client) -> None:
    given = {"branch": {"leaves": [{"size": 1}], "by_name": {"oak": {"size": 2}}}}

    assert caller.post("/api/tree", json.dumps(given), "application/json").status_code == 200
