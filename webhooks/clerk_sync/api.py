"""Clerk's Backend API: pages of its lists."""

import json
import time
from collections.abc import Callable
from typing import Any

import requests
from django.conf import settings

from accounts.keyset import is_private_channel
from webhooks.errors import ClerkNotConfigured, ClerkUnreachable
from webhooks.sources.base import Payload

#: Since which plans are at ``/billing/plans``.
API_VERSION = "2025-11-10"
TIMEOUT_SECONDS = (5, 30)
MAX_BYTES = 32 * 1024 * 1024
TRIES = 4
LONGEST_WAIT = 30
USUAL_WAIT = 2
TOO_MANY = 429

Wait = Callable[[int], None]


def is_configured() -> bool:
    return bool(settings.CLERK_SECRET_KEY)


def read_page(
    path: str, *, offset: int, limit: int, wait: Wait | None = None, order_by: str = "+created_at"
) -> list[Payload]:
    """
    Return ``limit`` objects of the list at ``path`` from ``offset`` on, oldest first: fewer only at its end.

    An empty ``order_by`` is for lists that have one order of their own.

    :raises ClerkNotConfigured: without a key to ask with, or where strangers could read along
    :raises ClerkUnreachable: if Clerk does not answer as it should, after some tries if ``wait`` says how to wait
    """
    order = {"order_by": order_by} if order_by else {}
    answer = _get(path, {"limit": limit, "offset": offset, **order}, wait)
    items = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ClerkUnreachable("Clerk's answer is no list.")
    return items


def count_users(wait: Wait | None = None) -> int | None:
    """Return how many users Clerk has, if it says so."""
    answer = _get("/users/count", {}, wait)
    total = answer.get("total_count") if isinstance(answer, dict) else None
    return total if isinstance(total, int) else None


def _get(path: str, parameters: dict[str, Any], wait: Wait | None) -> Any:
    if not is_configured() or not is_private_channel(settings.CLERK_API_URL):
        raise ClerkNotConfigured
    for number in range(1, TRIES + 1):
        try:
            return _ask(settings.CLERK_API_URL.rstrip("/") + path, parameters)
        except _Later as later:
            if wait is None or number == TRIES:
                raise ClerkUnreachable(str(later)) from later
            wait(min(later.seconds, LONGEST_WAIT))
    raise AssertionError("the last try returns or raises")


class _Later(Exception):
    """Clerk may answer after ``seconds``."""

    def __init__(self, message: str, seconds: int = USUAL_WAIT) -> None:
        self.seconds = seconds
        super().__init__(message)


def _ask(url: str, parameters: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {settings.CLERK_SECRET_KEY}", "Clerk-API-Version": API_VERSION}
    deadline = time.monotonic() + sum(TIMEOUT_SECONDS)
    try:
        with requests.get(
            url, params=parameters, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as response:
            _refuse(response)
            body = b""
            for part in response.iter_content(64 * 1024):
                body += part
                if len(body) > MAX_BYTES or time.monotonic() > deadline:
                    raise ClerkUnreachable("Clerk's answer is too long, or comes too slowly.")
    except requests.RequestException as error:
        raise _Later(f"Clerk cannot be reached: {type(error).__name__}.") from error
    try:
        # Not as strict as for bodies from strangers: one odd text among a user's metadata must not stop all others.
        return json.loads(body)
    except ValueError as error:
        raise ClerkUnreachable("Clerk's answer is not JSON.") from error


def _refuse(response: requests.Response) -> None:
    """Only the status is told: a body may hold addresses."""
    status = response.status_code
    if status == requests.codes.ok:
        return
    if status == TOO_MANY or status >= requests.codes.server_error:
        told = response.headers.get("Retry-After", "")
        seconds = int(told) if told.isascii() and told.isdecimal() else USUAL_WAIT
        raise _Later(f"Clerk answered {status}.", seconds)
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        raise ClerkUnreachable("Clerk does not accept CLERK_SECRET_KEY.")
    raise ClerkUnreachable(f"Clerk answered {status}.")
