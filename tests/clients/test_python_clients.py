"""Clients in Python that people use, unchanged, told no more than a base URL and a key."""

import pytest

from tests import factories
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance, usage
from tests.clients.python_clients import run

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

ANSWER = "You asked: “What is a ledger?” This is the simulated model"
#: Each client with what its base URL ends in, and its programs that ask whole and as a stream.
CLIENTS = {
    "anthropic": ("", "create", "stream"),
    "langchain": ("/v1", "invoke", "stream"),
    "litellm": ("/v1", "create", "stream"),
    "llm": ("/v1", "create", "stream"),
    "openrouter": ("/api/v1", "create", "stream"),
}


@pytest.fixture
def client(prepaid_url, api_key, tmp_path):
    """Runs a program of a client."""

    def call(name, program, *, key=api_key):
        base_url = prepaid_url + CLIENTS[name][0]
        return run(name, program, BASE_URL=base_url, API_KEY=key, MODEL=MODEL, LLM_USER_PATH=str(tmp_path))

    return call


@pytest.mark.parametrize("name", CLIENTS)
def test_answer_is_paid_for(client, simulator, account, name):
    answer = client(name, CLIENTS[name][1])

    [booked] = simulator.ended_books()
    assert answer["text"].startswith(ANSWER)
    assert answer["tokens"] == booked["completion_tokens"]
    assert (usage().streamed, usage().status) == (False, "COMPLETED")
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("name", CLIENTS)
def test_streamed_answer_is_paid_for(client, simulator, account, name):
    answer = client(name, CLIENTS[name][2])

    [booked] = simulator.ended_books()
    assert answer["text"].startswith(ANSWER)
    assert answer["tokens"] == booked["completion_tokens"]
    assert (usage().streamed, usage().status) == (True, "COMPLETED")
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("name", CLIENTS)
def test_empty_account_is_refused_with_its_status(client, simulator, name):
    poor = factories.account()

    answer = client(name, CLIENTS[name][1], key=factories.api_key(poor.customer))

    assert answer["error"]["status"] == 402
    assert simulator.requests() == []


@pytest.mark.parametrize("name", ["anthropic", "langchain"])
def test_tools_reach_the_provider(client, simulator, account, name):
    client(name, "tools")

    assert [len(request["body"]["tools"]) for request in simulator.requests()] == [1] * len(simulator.requests())
    assert_charged_as_booked(simulator)


def test_models_are_listed(client):
    answer = client("openrouter", "models")

    assert MODEL in answer.get("models", answer)
