"""The OpenAPI document is valid, and nothing that can be called is missing from it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from ai import gateway
from ai.schema import COMPONENTS

#: Pages about the interface.
NOT_DOCUMENTED = re.compile(r"/api/(schema|docs|redoc)(/|$)")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def nested(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every name with what it stands for, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested(inner)


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def gateway_routes() -> list[Route]:
    return [route for route in gateway.starlette.routes if isinstance(route, Route)]


def test_document_is_valid_openapi_31(schema: dict[str, Any]):
    assert schema["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(schema).validate()


def test_document_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]):
    SchemaGenerator().get_schema(request=None, public=True)

    assert capsys.readouterr().err == ""


def test_every_route_under_api_is_documented(schema: dict[str, Any]):
    served = {path for path in routes(get_resolver().url_patterns) if path.startswith("/api/")}

    assert {path for path in served if not NOT_DOCUMENTED.match(path)} - schema["paths"].keys() == set()


def test_exactly_the_gateways_routes_are_documented(schema: dict[str, Any]):
    documented = {path for path in schema["paths"] if path.startswith(gateway.PREFIXES)}

    assert documented == {route.path for route in gateway_routes()}


def test_gateways_methods_are_documented(schema: dict[str, Any]):
    served = {route.path: (route.methods or set()) - {"HEAD"} for route in gateway_routes()}

    assert {path: {method.upper() for method in schema["paths"][path]} for path in served} == served


def test_every_reference_leads_somewhere(schema: dict[str, Any]):
    named = {f"#/components/schemas/{name}" for name in schema["components"]["schemas"]}

    assert {value for key, value in nested(schema["paths"]) if key == "$ref"} - named == set()
    assert {value for key, value in nested(schema["components"]) if key == "$ref"} - named == set()


def test_gateway_takes_no_name_from_another_component():
    with patched_settings({"POSTPROCESSING_HOOKS": []}):
        document = SchemaGenerator().get_schema(request=None, public=True)

    assert document["components"]["schemas"].keys() & COMPONENTS.keys() == set()


def test_nothing_is_said_to_be_read_only_where_answers_are_described_apart(schema: dict[str, Any]):
    assert [key for key, _ in nested(schema["components"]["schemas"]) if key == "readOnly"] == []


def test_descriptions_are_not_about_the_code(schema: dict[str, Any]):
    told = "\n".join(value for key, value in nested(schema) if key == "description" and isinstance(value, str))

    assert re.findall(r"[Ss]eriali[sz]er|[Pp]ython|[Cc]ontext|get_fields", told) == []


def test_what_is_not_always_answered_is_not_promised(schema: dict[str, Any]):
    components = schema["components"]["schemas"]
    optional = {
        name: sorted(components[name]["properties"].keys() - set(components[name]["required"]))
        for name in ("Invited", "Limits", "ListedUser", "ListedAccount", "Synced")
    }

    assert optional == {
        "Invited": ["clerkUserId", "invitation", "mailed", "userId"],
        "Limits": [],
        "ListedUser": ["_count"],
        "ListedAccount": ["_count"],
        "Synced": ["debug"],
    }


def test_everything_under_api_and_v1_has_a_request_id(schema: dict[str, Any]):
    without = [
        (method, path)
        for method, path, operation in operations(schema)
        if "X-Request-Id" not in {parameter["name"] for parameter in operation["parameters"]}
        or any("X-Request-Id" not in response["headers"] for response in operation["responses"].values())
    ]

    assert without == []


def test_operations_have_names_of_their_own_that_generators_can_use(schema: dict[str, Any]):
    names = [operation["operationId"] for _, _, operation in operations(schema)]

    assert [name for name in names if not re.fullmatch(r"[a-z][A-Za-z]+", name)] == []
    assert len(set(names)) == len(names)


def test_operations_say_what_they_are_for_and_how_they_fail(schema: dict[str, Any]):
    silent = [
        (method, path)
        for method, path, operation in operations(schema)
        if path.startswith(("/api/", "/v1/"))
        and not (operation.get("summary") and operation.get("tags") and "400" in operation["responses"] | {"400": 0})
    ]

    assert silent == []


def test_failures_have_the_shape_of_their_path(schema: dict[str, Any]):
    shapes = {
        (root_of(path), response["content"]["application/json"]["schema"]["$ref"])
        for _, path, operation in operations(schema)
        for status, response in operation["responses"].items()
        if int(status) >= 400
    }

    assert shapes == {
        ("/v1/", "#/components/schemas/OpenAIError"),
        ("messages", "#/components/schemas/AnthropicError"),
        ("/api/", "#/components/schemas/ApiError"),
    }


def root_of(path: str) -> str:
    if path.endswith("/v1/messages"):
        return "messages"
    return "/v1/" if path.startswith(gateway.ROOTS) else "/api/"


def test_operations_that_need_a_credential_say_401(schema: dict[str, Any]):
    forgetful = [
        (method, path)
        for method, path, operation in operations(schema)
        if {} not in operation.get("security", [{}]) and "401" not in operation["responses"]
    ]

    assert forgetful == []


def test_one_credential_is_enough_everywhere(schema: dict[str, Any]):
    demands = {tuple(demand) for _, _, operation in operations(schema) for demand in operation.get("security", [])}

    assert demands - {()} == {("bearer",), ("apiKey",)}
