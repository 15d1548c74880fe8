"""What every route under ``/api/admin/`` is asked in the tests."""

import uuid
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests.accounts.people import person, signed_in

Asked = tuple[str, str, Any]


def ask(client: APIClient, method: str, url: str, body: Any = None, *, key: str = "") -> Any:
    """Ask once, under an idempotency key."""
    headers = {"idempotency-key": key or uuid.uuid4().hex}
    return getattr(client, method.lower())(url, body, headers=headers)


def refusals(asked: Asked, *, api: APIClient) -> list[int]:
    """The statuses that a stranger, a plain user, and a plain user's key are answered with."""
    return [ask(client, *asked).status_code for client in (APIClient(), signed_in(person()), api)]


def fields_of(response: Any) -> list[str]:
    """Which fields a refusal names."""
    assert response.status_code == 400, response.content
    return [detail["field"] for detail in response.json()["details"]]


def queries(read: Callable[[], Any]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert read().status_code == 200
    return len(asked)
