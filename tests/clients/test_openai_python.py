"""OpenAI's own client for Python, told no more than a base URL and a key."""

import openai
import pytest

from billing.models import UsageRecord
from tests import factories
from tests.ai.prepaid import MODEL, QUESTION, assert_charged_as_booked, balance, usage

PATHS = ["/v1", "/api/v1"]
IMAGE_MODEL = "google/gemini-2.5-flash-image-preview"


@pytest.fixture
def client(prepaid_url, api_key):
    with openai.OpenAI(base_url=f"{prepaid_url}/v1", api_key=api_key) as client:
        yield client


def attempts(error):
    """How often the client has asked before it gave up."""
    return int(error.value.request.headers["x-stainless-retry-count"]) + 1


@pytest.mark.parametrize("path", PATHS)
def test_answer_is_paid_for(prepaid_url, api_key, simulator, account, path):
    with openai.OpenAI(base_url=prepaid_url + path, api_key=api_key) as client:
        answer = client.chat.completions.create(model=MODEL, messages=QUESTION)

    [booked] = simulator.ended_books()
    assert answer.choices[0].message.content.startswith("You asked: “What is a ledger?”")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.id == booked["id"]
    assert answer.usage.completion_tokens == booked["completion_tokens"]
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_headers_say_what_a_call_cost(client):
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION)

    assert (answer.headers["x-credits-held"], answer.headers["x-credits-charged"]) == ("1", "1")
    assert answer.headers["x-generation-id"] == answer.parse().id
    assert answer.request_id == usage().request_id


@pytest.mark.parametrize("path", PATHS)
def test_streamed_answer_is_paid_for(prepaid_url, api_key, simulator, account, path):
    with openai.OpenAI(base_url=prepaid_url + path, api_key=api_key) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True))

    [booked] = simulator.ended_books()
    *spoken, last = chunks
    text = "".join(chunk.choices[0].delta.content for chunk in spoken)
    assert text.startswith("You asked: “What is a ledger?”")
    assert len(spoken) == booked["completion_tokens"] + 1
    assert last.usage.completion_tokens == booked["completion_tokens"]
    assert (usage().streamed, usage().status) == (True, "COMPLETED")
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_stream_helper_puts_the_answer_together(client, simulator, account):
    with client.chat.completions.stream(model=MODEL, messages=QUESTION) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()

    assert kinds == {"chunk", "content.delta", "content.done"}
    assert completion.choices[0].message.content.startswith("You asked: “What is a ledger?”")
    assert completion.usage.completion_tokens == simulator.ended_books()[0]["completion_tokens"]
    assert usage().status == "COMPLETED"
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_stream_left_early_is_settled_by_what_the_provider_booked(client, simulator, account):
    with client.chat.completions.create(
        model=f"{MODEL}?chunks=500&interval_ms=20", messages=QUESTION, stream=True
    ) as s:
        next(s)

    assert usage().status == "CANCELLED"
    assert simulator.ended_books()[0]["completion_tokens"] < 500
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("reason", ["error", "reset"])
def test_stream_that_breaks_raises(client, simulator, reason):
    simulator.faults(**{reason: 3})
    stream = client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)

    with pytest.raises(openai.APIError):
        list(stream)

    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("stream", [False, True])
def test_empty_account_is_told_once_what_is_missing(client, simulator, account, stream):
    factories.grant(account, "2")

    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(model=MODEL, messages=QUESTION, n=103, stream=stream)

    assert (error.value.status_code, error.value.code, error.value.type) == (
        402,
        "insufficient_credits",
        "insufficient_quota",
    )
    assert (error.value.body["required"], error.value.body["available"]) == (103, 102)
    assert error.value.response.headers["x-should-retry"] == "false"
    assert attempts(error) == 1
    assert simulator.requests() == []
    assert UsageRecord.objects.count() == 0
    assert balance(account) == (102, 0)


def test_unknown_key_is_no_authentication(prepaid_url, simulator):
    with (
        openai.OpenAI(base_url=f"{prepaid_url}/v1", api_key=factories.UNKNOWN_KEY) as client,
        pytest.raises(openai.AuthenticationError) as error,
    ):
        client.chat.completions.create(model=MODEL, messages=QUESTION)

    assert error.value.code == "invalid_api_key"
    assert simulator.requests() == []


def test_key_without_the_scope_is_denied(prepaid_url, simulator, customer):
    key = factories.api_key(customer, scopes=["read"])
    with (
        openai.OpenAI(base_url=f"{prepaid_url}/v1", api_key=key) as client,
        pytest.raises(openai.PermissionDeniedError) as error,
    ):
        client.chat.completions.create(model=MODEL, messages=QUESTION)

    assert error.value.code == "forbidden"
    assert simulator.requests() == []


def test_wrong_request_names_its_parameter(client, simulator):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=MODEL, messages=[])

    assert (error.value.code, error.value.param) == ("validation_error", "messages")
    assert simulator.requests() == []


def test_path_that_is_not_there_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.files.list()

    assert error.value.code == "not_found"


def test_busy_provider_is_asked_again_and_paid_once(client, simulator, account):
    simulator.faults(times=1, status=429)

    answer = client.chat.completions.create(model=MODEL, messages=QUESTION)

    assert answer.choices[0].finish_reason == "stop"
    assert len(simulator.requests()) == 2
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_operators_empty_account_is_not_asked_again(client, simulator, account):
    simulator.faults(status=402)

    with pytest.raises(openai.InternalServerError) as error:
        client.chat.completions.create(model=MODEL, messages=QUESTION)

    assert error.value.code == "provider_unfunded"
    assert attempts(error) == 1
    assert len(simulator.requests()) == 1
    assert balance(account) == (100, 0)


def test_image_is_paid_for(client, simulator, account):
    answer = client.images.generate(model=IMAGE_MODEL, prompt="A lighthouse at dusk", n=2)

    assert all(image.b64_json for image in answer.data)
    assert len(answer.data) == 2
    assert balance(account) == (90, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("stream", [False, True])
def test_response_is_paid_for(client, simulator, account, stream):
    if stream:
        *_, last = client.responses.create(model=MODEL, input="What is a ledger?", stream=True)
        answer = last.response
    else:
        answer = client.responses.create(model=MODEL, input="What is a ledger?")

    [booked] = simulator.ended_books()
    assert answer.output_text.startswith("You asked: “What is a ledger?”")
    assert answer.usage.output_tokens == booked["completion_tokens"]
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_models_are_listed(client):
    models = {model.id: model for model in client.models.list()}

    assert (models[MODEL].object, models[MODEL].owned_by) == ("model", "openai")
