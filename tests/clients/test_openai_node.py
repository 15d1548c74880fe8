"""OpenAI's own client for Node.js, told no more than a base URL and a key."""

import pytest

from tests import factories
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance, usage

pytestmark = pytest.mark.clients

ANSWER = "You asked: “What is a ledger?” This is the simulated model"


@pytest.fixture
def openai(clients, prepaid_url, api_key):
    """Runs a program of ``openai.mjs``."""

    def run(program, *, model=MODEL, base_path="/v1", key=api_key):
        return clients.run("openai.mjs", program, BASE_URL=prepaid_url + base_path, API_KEY=key, MODEL=model)

    return run


@pytest.mark.parametrize("base_path", ["/v1", "/api/v1"])
def test_answer_is_paid_for(openai, simulator, account, base_path):
    answer = openai("chat", base_path=base_path)

    [booked] = simulator.ended_books()
    assert answer["text"].startswith(ANSWER)
    assert (answer["id"], answer["charged"], answer["requests"]) == (booked["id"], "1", 1)
    assert answer["usage"]["completion_tokens"] == booked["completion_tokens"]
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("program", ["stream", "streamHelper"])
def test_streamed_answer_is_paid_for(openai, simulator, account, program):
    answer = openai(program)

    [booked] = simulator.ended_books()
    assert answer["text"].startswith(ANSWER)
    assert answer.get("deltas", answer["text"]) == answer["text"]
    assert answer["usage"]["completion_tokens"] == booked["completion_tokens"]
    assert (usage().streamed, usage().status) == (True, "COMPLETED")
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_stream_left_early_is_settled_by_what_the_provider_booked(openai, simulator, account):
    answer = openai("leaveEarly", model=f"{MODEL}?chunks=500&interval_ms=20")

    assert answer["first"] == "You "
    assert usage().status == "CANCELLED"
    assert simulator.ended_books()[0]["completion_tokens"] < 500
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("fault", ["error=3", "reset=3"])
@pytest.mark.parametrize("program", ["stream", "streamHelper"])
def test_stream_that_breaks_throws(openai, simulator, program, fault):
    answer = openai(program, model=f"{MODEL}?{fault}")

    assert answer["error"]["name"] == "APIError"
    assert answer["requests"] == 1
    assert_charged_as_booked(simulator)


def test_empty_account_is_told_once_what_is_missing(openai, simulator, account):
    answer = openai("tooMuch")

    error = answer["error"]
    assert (error["status"], error["code"], error["type"]) == (402, "insufficient_credits", "insufficient_quota")
    assert (error["body"]["required"], error["body"]["available"]) == (101, 100)
    assert answer["requests"] == 1
    assert simulator.requests() == []
    assert balance(account) == (100, 0)


def test_unknown_key_is_no_authentication(openai, simulator):
    answer = openai("chat", key=factories.UNKNOWN_KEY)

    assert (answer["error"]["name"], answer["error"]["code"]) == ("AuthenticationError", "invalid_api_key")
    assert answer["requests"] == 1
    assert simulator.requests() == []


def test_key_without_the_scope_is_denied(openai, simulator, customer):
    answer = openai("chat", key=factories.api_key(customer, scopes=["read"]))

    assert (answer["error"]["name"], answer["error"]["code"]) == ("PermissionDeniedError", "forbidden")
    assert simulator.requests() == []


def test_busy_provider_is_asked_again_and_paid_once(openai, simulator, account):
    simulator.faults(times=1, status=429)

    answer = openai("chat")

    assert answer["text"].startswith(ANSWER)
    assert answer["requests"] == len(simulator.requests()) == 2
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_operators_empty_account_is_not_asked_again(openai, simulator, account):
    simulator.faults(status=402)

    answer = openai("chat")

    assert (answer["error"]["status"], answer["error"]["code"]) == (503, "provider_unfunded")
    assert answer["requests"] == len(simulator.requests()) == 1
    assert balance(account) == (100, 0)


def test_models_are_listed(openai):
    assert MODEL in openai("models")["ids"]
