"""Rules that every route of the REST API keeps, also those that are still to be written."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.test import APIClient

from accounts.strict import StrictView

#: Whoever reads them needs no credential, and nothing of a customer is in them.
PUBLIC = {"/api/credits/settings", "/api/public/plans"}
#: A signature over the body is the credential, as of webhooks.
SIGNED = {"/api/keys/leaked"}
ABOUT_THE_API = (SpectacularAPIView, SpectacularSwaggerView)


def routes(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def views() -> list[tuple[str, Any]]:
    """Return every REST view with its route; webhooks are plain views with a signature instead of a credential."""
    found = [(route, getattr(view, "cls", None)) for route, view in routes(get_resolver().url_patterns)]
    return [
        (route, cls) for route, cls in found if route.startswith("/api/") and not route.startswith("/api/webhooks/")
    ]


def test_every_view_refuses_what_it_does_not_know() -> None:
    lax = [route for route, cls in views() if not (cls and issubclass(cls, (StrictView, *ABOUT_THE_API)))]

    assert lax == []


def test_every_view_asks_for_a_scope_unless_it_is_public() -> None:
    views_of_customers = [(route, cls) for route, cls in views() if not issubclass(cls, ABOUT_THE_API)]
    opened = {
        route for route, cls in views_of_customers if not cls.permission_classes or AllowAny in cls.permission_classes
    }

    assert opened == PUBLIC | SIGNED
    assert [route for route, cls in views_of_customers if IsAuthenticated in cls.permission_classes] == []


@pytest.mark.django_db
def test_no_route_of_a_customer_answers_a_stranger(client: Client) -> None:
    closed = [route for route, cls in views() if route not in PUBLIC | SIGNED and not issubclass(cls, ABOUT_THE_API)]
    assert "/api/keys" in closed

    answers = {route: client.get(re.sub(r"<\w+:\w+>", "1", route)).status_code for route in closed}

    assert set(answers.values()) == {401}, answers


@pytest.mark.django_db
def test_a_number_that_no_row_can_have_is_no_path(administrator: APIClient) -> None:
    numbered = [re.sub(r"<id:\w+>", "9" * 40, route) for route, _ in views() if "<id:" in route]

    assert [route for route, _ in views() if "<int:" in route] == []
    assert {administrator.get(path).status_code for path in numbered} == {404}


def test_no_api_path_ends_in_a_slash() -> None:
    assert [route for route, _ in views() if route.endswith("/")] == []


def test_the_root_leads_to_the_documentation(client: Client) -> None:
    response = client.get("/")

    assert (response.status_code, response["Location"]) == (302, "/api/docs")
    assert client.get("/api/docs").status_code == 200


@pytest.mark.django_db
def test_a_bad_credential_does_not_hide_the_documentation(client: Client) -> None:
    response = client.get("/api/schema", headers={"authorization": "Bearer ppd_live_wrong"})

    assert response.status_code == 200
