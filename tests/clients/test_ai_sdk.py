"""Vercel's AI SDK with OpenRouter's provider for it and with that for any such server, told a base URL and a key."""

import json
from decimal import Decimal

import pytest

from tests import factories
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance, usage

pytestmark = pytest.mark.clients

ANSWER = "You asked: “What is a ledger?” This is the simulated model"


@pytest.fixture(params=["openrouter", "openai-compatible"])
def provider(request):
    return request.param


@pytest.fixture
def ai_sdk(clients, provider, prepaid_url, api_key):
    """Runs a program of ``ai-sdk.mjs``."""

    def run(program, *, model=MODEL, key=api_key):
        told = {"BASE_URL": f"{prepaid_url}/api/v1", "API_KEY": key, "MODEL": model, "PROVIDER": provider}
        return clients.run("ai-sdk.mjs", program, **told)

    return run


@pytest.mark.parametrize("program", ["generate", "stream"])
def test_answer_is_paid_for(ai_sdk, provider, simulator, account, program):
    answer = ai_sdk(program)

    [booked] = simulator.ended_books()
    assert answer["text"].startswith(ANSWER)
    assert answer["usage"]["outputTokens"] == booked["completion_tokens"]
    if provider == "openrouter":
        assert Decimal(str(answer["cost"])) == Decimal(booked["cost"])
    assert answer["requests"] == 1
    assert (usage().streamed, usage().status) == (program == "stream", "COMPLETED")
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_stream_left_early_is_settled_by_what_the_provider_booked(ai_sdk, simulator, account):
    answer = ai_sdk("leaveEarly", model=f"{MODEL}?chunks=500&interval_ms=20")

    assert answer["first"] == "You "
    assert usage().status == "CANCELLED"
    assert simulator.ended_books()[0]["completion_tokens"] < 500
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("fault", ["error=3", "reset=3"])
def test_stream_that_breaks_throws(ai_sdk, simulator, fault):
    answer = ai_sdk("stream", model=f"{MODEL}?{fault}")

    assert answer["error"]
    assert answer["requests"] == 1
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("program", ["generate", "stream"])
def test_empty_account_is_told_once_what_is_missing(ai_sdk, simulator, program):
    poor = factories.account()

    answer = ai_sdk(program, key=factories.api_key(poor.customer))

    assert (answer["error"]["statusCode"], answer["error"]["isRetryable"]) == (402, False)
    refusal = json.loads(answer["error"]["responseBody"])["error"]
    assert answer["error"]["message"] == refusal["message"]
    assert (refusal["code"], refusal["required"], refusal["available"]) == ("insufficient_credits", 1, 0)
    assert answer["requests"] == 1
    assert simulator.requests() == []


def test_unknown_key_is_refused(ai_sdk, simulator):
    answer = ai_sdk("generate", key=factories.UNKNOWN_KEY)

    assert (answer["error"]["statusCode"], answer["error"]["isRetryable"]) == (401, False)
    assert simulator.requests() == []


def test_busy_provider_is_asked_again_and_paid_once(ai_sdk, simulator, account):
    simulator.faults(times=1, status=429)

    answer = ai_sdk("generate")

    assert answer["text"].startswith(ANSWER)
    assert answer["requests"] == len(simulator.requests()) == 2
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)
