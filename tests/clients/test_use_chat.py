"""A page with ``useChat`` of Vercel's AI SDK in a browser, at another origin than the product."""

import json

import pytest

from tests import factories
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance, usage
from tests.clients.browser import Site, chat_page
from tests.server import prepaid_process

pytestmark = pytest.mark.clients

QUESTION = "What is a ledger?"
ANSWER = (
    "You asked: “What is a ledger?” "
    "This is the simulated model: it thinks of nothing, but it streams, counts and charges like a real one."
)
PIXEL = {"name": "pixel.png", "mimeType": "image/png", "buffer": b"\x89PNG"}


@pytest.fixture
def site(clients):
    return Site(clients.bundle("use-chat.jsx"))


@pytest.fixture
def open_page(site, database_url, simulator, account, api_key):
    """Opens the page of a customer with 100 credits, unless another key is given."""
    allowed = {"CORS_ALLOWED_ORIGINS": site.origin}
    with prepaid_process(database_url=database_url, provider_url=simulator.url, **allowed) as url:
        yield lambda *, key=api_key, model=MODEL: chat_page(site, api=f"{url}/api/ai/chat", key=key, model=model)


def test_answer_streams_in_and_says_what_it_cost(open_page, simulator, account):
    with open_page(model=f"{MODEL}?chunks=40&interval_ms=25") as page:
        page.ask(QUESTION)
        page.wait_for_words(3)
        status, (_, begun) = page.status, page.messages
        page.wait_for(status="ready")
        messages, (_, metadata), error = page.messages, page.metadata, page.error

    assert status == "streaming"
    assert messages[0] == QUESTION
    assert messages[1].startswith(begun)
    assert len(begun) < len(messages[1])
    assert error is None
    [booked] = simulator.ended_books()
    record = usage()
    assert metadata == {
        "requestId": record.request_id,
        "model": MODEL,
        "usage": {"promptTokens": booked["prompt_tokens"], "completionTokens": 40},
        "creditsCharged": 1,
        "creditsRemaining": 99,
    }
    assert (record.status, balance(account)) == ("COMPLETED", (99, 0))
    assert_charged_as_booked(simulator)


def test_conversation_goes_on(open_page, simulator, account):
    with open_page() as page:
        page.ask(QUESTION)
        page.wait_for(status="ready", answers=1)
        page.ask("And a hold?", files=[PIXEL])
        page.wait_for(status="ready", answers=2)
        messages, metadata = page.messages, page.metadata

    assert messages[:3] == [QUESTION, ANSWER, "And a hold?"]
    assert messages[3].startswith("You asked: “And a hold?”")
    assert [told and told["creditsRemaining"] for told in metadata] == [None, 99, None, 98]
    assert simulator.requests()[-1]["body"]["messages"] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                {"type": "text", "text": "And a hold?"},
            ],
        },
    ]
    assert balance(account) == (98, 0)
    assert_charged_as_booked(simulator)


def test_stopped_answer_is_settled_by_what_the_provider_booked(open_page, simulator, account):
    with open_page(model=f"{MODEL}?chunks=500&interval_ms=20") as page:
        page.ask(QUESTION)
        page.wait_for_words(5)
        page.press("Stop")
        page.wait_for(status="ready")
        [booked] = simulator.ended_books()
        error = page.error

    assert error is None
    assert (booked["status"], booked["completion_tokens"] < 500) == ("CANCELLED", True)
    assert usage().status == "CANCELLED"
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_answer_is_regenerated_in_its_place(open_page, simulator, account):
    with open_page() as page:
        page.ask(QUESTION)
        page.wait_for(status="ready", answers=1)
        page.press("Redo")
        page.wait_for(status="ready", answers=1)
        messages, (_, metadata), error = page.messages, page.metadata, page.error

    first, second = page.posted
    assert (first["trigger"], second["trigger"]) == ("submit-message", "regenerate-message")
    assert second["messageId"]
    assert messages == [QUESTION, ANSWER]
    assert (metadata["creditsRemaining"], error) == (98, None)
    asked, again = (request["body"]["messages"] for request in simulator.requests())
    assert asked == again == [{"role": "user", "content": QUESTION}]
    assert balance(account) == (98, 0)
    assert_charged_as_booked(simulator)


def test_empty_account_is_told_what_is_missing(open_page, simulator):
    poor = factories.account()
    with open_page(key=factories.api_key(poor.customer)) as page:
        page.ask(QUESTION)
        page.wait_for(status="error")
        refusal = json.loads(page.error)

    assert (refusal["error"], refusal["required"], refusal["available"]) == ("insufficient_credits", 1, 0)
    assert len(page.posted) == 1
    assert simulator.requests() == []
    assert balance(poor) == (0, 0)


def test_unknown_key_is_told_so(open_page, simulator):
    with open_page(key=factories.UNKNOWN_KEY) as page:
        page.ask(QUESTION)
        page.wait_for(status="error")
        refusal = json.loads(page.error)

    assert refusal["error"] == "invalid_api_key"
    assert simulator.requests() == []


@pytest.mark.parametrize("fault", ["error", "reset"])
def test_broken_stream_shows_an_error_and_can_be_tried_again(open_page, simulator, account, fault):
    simulator.faults(times=1, **{fault: 3})
    with open_page() as page:
        page.ask(QUESTION)
        page.wait_for(status="error")
        error, (_, begun) = page.error, page.messages
        page.press("Regenerate")
        page.wait_for(status="ready", answers=1)
        messages, cured = page.messages, page.error

    assert error == "The model provider broke off its answer. Try again."
    assert ANSWER.startswith(begun)
    assert (messages, cured) == ([QUESTION, ANSWER], None)
    assert_charged_as_booked(simulator)


def test_origin_that_is_not_allowed_reaches_nobody(site, database_url, simulator, account, api_key):
    allowed = {"CORS_ALLOWED_ORIGINS": "https://other.example"}
    with (
        prepaid_process(database_url=database_url, provider_url=simulator.url, **allowed) as url,
        chat_page(site, api=f"{url}/api/ai/chat", key=api_key, model=MODEL) as page,
    ):
        page.ask(QUESTION)
        page.wait_for(status="error")
        error = page.error

    assert error == "Failed to fetch"
    assert simulator.requests() == []
    assert balance(account) == (100, 0)
