"""Whoever refuses, on whichever path: clients meet one of two shapes, and no third."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.factories import UNKNOWN_KEY
from tests.server import running_prepaid

CHAT: dict[str, Any] = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
UI_CHAT: dict[str, Any] = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
NO_KEY, WRONG_KEY, GOOD_KEY = "", "ppd_live_wrong", "the test's own"

# Method, path, key, body, status and code.
FLAT = [
    ("GET", "/api/credits/me", NO_KEY, None, 401, "unauthorized"),
    ("GET", "/api/credits/me", WRONG_KEY, None, 401, "invalid_api_key"),
    ("GET", "/api/credits/me", UNKNOWN_KEY, None, 401, "invalid_api_key"),
    ("GET", "/api/credits/me?surprise=1", GOOD_KEY, None, 400, "validation_error"),
    ("DELETE", "/api/credits/me", GOOD_KEY, None, 405, "method_not_allowed"),
    ("GET", "/api/nothing", GOOD_KEY, None, 404, "not_found"),
    ("GET", "/nothing", NO_KEY, None, 404, "not_found"),
    ("POST", "/api/keys", GOOD_KEY, {"surprise": 1}, 400, "validation_error"),
    ("POST", "/api/keys", GOOD_KEY, "{not json", 400, "malformed_json"),
    ("DELETE", "/api/keys/999999", GOOD_KEY, None, 404, "api_key_not_found"),
    ("POST", "/api/ai/chat", NO_KEY, UI_CHAT, 401, "unauthorized"),
    ("POST", "/api/ai/chat", UNKNOWN_KEY, UI_CHAT, 401, "invalid_api_key"),
    ("POST", "/api/ai/chat", GOOD_KEY, {"surprise": 1}, 400, "validation_error"),
    ("POST", "/api/ai/chat", GOOD_KEY, "{not json", 400, "malformed_json"),
    ("POST", "/api/ai/chat", GOOD_KEY, UI_CHAT, 402, "insufficient_credits"),
    ("PUT", "/api/ai/chat", GOOD_KEY, UI_CHAT, 405, "method_not_allowed"),
    ("POST", "/api/ai/image", GOOD_KEY, {"prompt": ""}, 400, "validation_error"),
    ("GET", "/api/ai/nothing", GOOD_KEY, None, 404, "not_found"),
]
OPENAI = [
    ("POST", "/v1/chat/completions", NO_KEY, CHAT, 401, "unauthorized"),
    ("POST", "/v1/chat/completions", WRONG_KEY, CHAT, 401, "invalid_api_key"),
    ("POST", "/v1/chat/completions", UNKNOWN_KEY, CHAT, 401, "invalid_api_key"),
    ("POST", "/v1/chat/completions", GOOD_KEY, {"model": 1}, 400, "validation_error"),
    ("POST", "/v1/chat/completions", GOOD_KEY, "{not json", 400, "malformed_json"),
    ("POST", "/v1/chat/completions", GOOD_KEY, CHAT, 402, "insufficient_credits"),
    ("POST", "/api/v1/chat/completions", GOOD_KEY, CHAT, 402, "insufficient_credits"),
    ("GET", "/v1/chat/completions", GOOD_KEY, None, 405, "method_not_allowed"),
    ("GET", "/v1/nothing", GOOD_KEY, None, 404, "not_found"),
    ("GET", "/api/v1/nothing", GOOD_KEY, None, 404, "not_found"),
]


@pytest.fixture
def prepaid(transactional_db: None) -> Iterator[str]:
    with running_prepaid() as url:
        yield url


def ask(url: str, method: str, key: str, body: Any) -> requests.Response:
    headers = {"X-Request-Id": "a-request-of-mine", "Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = body if isinstance(body, str | None) else json.dumps(body)
    return requests.request(method, url, headers=headers, data=data, timeout=10)


def test_rest_and_first_original_refuse_in_the_flat_shape(prepaid, api_key):
    for method, path, key, body, status, code in FLAT:
        response = ask(prepaid + path, method, api_key if key == GOOD_KEY else key, body)

        refusal = response.json()
        assert (response.status_code, refusal["code"]) == (status, code.upper()), (method, path)
        assert response.headers["Content-Type"] == "application/json", path
        assert response.headers["X-Request-Id"] == refusal["requestId"] == "a-request-of-mine", path
        assert refusal["error"] == ("Validation failed" if code == "validation_error" else code), path
        assert isinstance(refusal["message"], str), path
        for detail in refusal.get("details", []):
            assert set(detail) == {"field", "message", "code"}, path


def test_gateway_refuses_in_the_shape_of_openai(prepaid, api_key):
    for method, path, key, body, status, code in OPENAI:
        response = ask(prepaid + path, method, api_key if key == GOOD_KEY else key, body)

        refusal = response.json()
        assert set(refusal) == {"error"}, path
        assert (response.status_code, refusal["error"]["code"]) == (status, code), (method, path)
        assert response.headers["Content-Type"] == "application/json", path
        assert response.headers["X-Request-Id"] == "a-request-of-mine", path
        assert {"message", "type", "param"} < set(refusal["error"]), path


def test_a_provider_that_is_away_is_told_in_both_shapes_and_free(prepaid, api_key, account):
    flat = ask(f"{prepaid}/api/ai/chat", "POST", api_key, UI_CHAT)
    openai = ask(f"{prepaid}/v1/chat/completions", "POST", api_key, CHAT)

    assert (flat.status_code, flat.json()["code"]) == (502, "PROVIDER_UNREACHABLE")
    assert (openai.status_code, openai.json()["error"]["code"]) == (502, "provider_unreachable")
    balance = account.balance
    account.refresh_from_db()
    assert (account.balance, account.held) == (balance, 0)
