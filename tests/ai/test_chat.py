"""Chat completions for clients of OpenAI and OpenRouter: what they get, what it costs, what the provider is told."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import orjson
import pytest
import requests

from accounts.models import ApiKey
from billing.models import Price, UsageRecord
from credits.amounts import UNIT
from credits.models import LedgerEntry
from tests import factories
from tests.ai.prepaid import (
    MODEL,
    QUESTION,
    Prepaid,
    assert_charged_as_booked,
    balance,
    events_of,
    pending,
    text_of,
    until,
    usage,
)

PATHS = ["/v1/chat/completions", "/api/v1/chat/completions"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_answer_is_the_providers_and_costs_one_credit(prepaid, simulator, account, path, stream):
    answer = prepaid.post(path, {"model": MODEL, "messages": QUESTION, "stream": stream})

    [booked] = simulator.ended_books()
    assert answer.status_code == 200
    assert answer.headers["X-Generation-Id"] == booked["id"]
    assert answer.headers["X-Credits-Held"] == "1"
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)
    [entry] = LedgerEntry.objects.filter(account=account, kind="USAGE")
    record = usage()
    assert (entry.amount, entry.actor, entry.hold_id) == (-UNIT, f"key:{ApiKey.objects.get().pk}", record.hold_id)


def test_whole_answer_says_what_was_charged(prepaid):
    answer = prepaid.chat()

    assert answer.headers["X-Credits-Charged"] == "1"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["choices"][0]["message"]["content"].startswith("You asked: “What is a ledger?”")


@pytest.mark.parametrize("fault", ["", "?split=1", "?crlf=1", "?drip_ms=0&chunks=3", "?chunks=300"])
def test_streamed_bytes_are_relayed_as_they_came(prepaid, simulator, fault):
    answer = prepaid.chat(stream=True, model=MODEL + fault)

    direct = requests.post(
        simulator.url + "/chat/completions",
        json={"model": MODEL + fault, "messages": QUESTION, "stream": True},
        headers={"Authorization": "Bearer anyone"},
        timeout=20,
    )
    relayed, there = simulator.ended_books()
    stream, comment = answer.content.rsplit(b": credits", 1)
    assert comment == b" charged=1 available=99 currency=credits\n\n"
    assert stream == direct.content.replace(there["id"].encode(), relayed["id"].encode()).replace(
        b'"created":%d' % there["created"], b'"created":%d' % relayed["created"]
    )
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize("path", PATHS)
def test_no_header_of_the_provider_reaches_the_client(prepaid, path):
    answer = prepaid.post(path, {"model": MODEL, "messages": QUESTION, "stream": True})

    assert {name.lower() for name in answer.headers} == {
        "server", "date", "transfer-encoding",
        "content-type", "cache-control", "x-accel-buffering", "x-request-id", "x-generation-id", "x-credits-held",
    }  # fmt: skip


@pytest.mark.parametrize("given", ["my-request-1", "x" * 128])
@pytest.mark.parametrize("stream", [False, True])
def test_request_id_of_the_client_is_kept(prepaid, given, stream):
    answer = prepaid.post(PATHS[0], {"model": MODEL, "messages": QUESTION, "stream": stream}, X_Request_Id=given)

    assert answer.headers["X-Request-Id"] == given
    assert usage().request_id == given


@pytest.mark.parametrize("given", ["x" * 129, "two words", "naïve"])
def test_request_id_that_cannot_be_logged_is_replaced(prepaid, given):
    answer = prepaid.post(PATHS[0], {"model": MODEL, "messages": QUESTION}, X_Request_Id=given.encode())

    assert answer.headers["X-Request-Id"] != given
    assert len(answer.headers["X-Request-Id"]) == 36
    assert usage().request_id == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("stream", [False, True])
def test_usage_record_says_everything_of_a_call(prepaid, simulator, customer, stream):
    prepaid.chat(stream=stream, model=f"{MODEL}?chunks=5&interval_ms=20")

    record = usage()
    [booked] = simulator.ended_books()
    assert (record.customer, record.api_key) == (customer, ApiKey.objects.get())
    assert (record.feature, record.quantity) == ("ai_text_chat", 1)
    assert record.price == Price.objects.filter(feature="ai_text_chat").latest("effective_at")
    assert (record.status, record.error_code) == ("COMPLETED", "")
    assert (record.held, record.charged, record.shortfall) == (UNIT, UNIT, 0)
    assert (record.provider, record.model, record.streamed) == ("openrouter", MODEL, stream)
    assert record.generation_id == booked["id"]
    assert (record.prompt_tokens, record.completion_tokens) == (booked["prompt_tokens"], 5)
    assert (record.cached_tokens, record.reasoning_tokens) == (0, 0)
    assert Decimal(record.provider_cost) == Decimal(booked["cost"])
    assert record.provider_cost_picos == Decimal(booked["cost"]) * 10**12
    assert 100 <= record.latency_ms < 5000
    assert record.first_token_ms < 100 if stream else record.first_token_ms >= 100


def test_cost_is_kept_to_the_last_digit(prepaid):
    prepaid.chat(model=f"{MODEL}?cost=0.00000012300")

    record = usage()
    assert record.provider_cost == "0.00000012300"
    assert record.provider_cost_picos == 123_000


@pytest.mark.parametrize("choices", [2, 128])
def test_each_choice_is_paid_for(prepaid, account, choices):
    factories.grant(account, "100")

    answer = prepaid.chat(n=choices)

    assert (answer.headers["X-Credits-Held"], answer.headers["X-Credits-Charged"]) == (str(choices), str(choices))
    assert balance(account) == (200 - choices, 0)


def test_answer_that_may_hold_images_is_billed_as_images(prepaid, account):
    prepaid.chat(model="openai/gpt-5-image-mini", modalities=["image", "text"])

    assert usage().feature == "ai_image_generation"
    assert balance(account) == (95, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_generation_is_known_before_a_byte_is_relayed(prepaid, simulator, stream):
    simulator.faults(drip_ms=2)
    body = {"model": f"{MODEL}?chunks=3", "messages": QUESTION, "stream": stream}

    with ThreadPoolExecutor(1) as caller:
        answered = caller.submit(prepaid.post, PATHS[0], body, stream=True)
        if stream:
            answered.result()
            [held] = pending()  # the headers have come, and no later than now is it kept
        else:
            [held] = until(lambda: [hold for hold in pending() if hold.reference])
        assert not answered.done() or stream

    assert held.reference == simulator.books()[0]["id"]


# What the provider is told


def test_provider_gets_our_headers_and_none_of_the_clients(prepaid, simulator):
    prepaid.post(
        PATHS[0],
        {"model": MODEL, "messages": QUESTION},
        Cookie="session=secret",
        X_Forwarded_For="203.0.113.7",
        X_Title="Client",
        HTTP_Referer="https://client.example",
        X_User_Id="somebody",
        User_Agent="client/1.0",
        Accept_Encoding="gzip",
        OpenAI_Organization="org",
    )

    [received] = simulator.requests()
    headers = {name.lower(): value for name, value in received["headers"]}
    assert headers.pop("content-length").isdecimal()
    assert headers.pop("host") in simulator.url
    assert headers == {
        "authorization": "Bearer simulated",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "Prepaid",
        "http-referer": "http://127.0.0.1:8000",
        "x-openrouter-title": "Prepaid",
    }


def test_provider_learns_an_opaque_user_that_stays_the_same(prepaid, simulator, customer):
    other = factories.account(balance="1").customer
    prepaid.chat(user="me@example.com")
    prepaid.chat(user=None)
    Prepaid(prepaid.url, factories.api_key(other)).chat()

    received = simulator.requests()
    for request in received:  # it is named once: who reads the first of two names would read the client's
        [length] = [int(value) for name, value in request["headers"] if name.lower() == "content-length"]
        assert length == len(orjson.dumps(request["body"]))
    first, second, others = [request["body"]["user"] for request in received]
    assert first == second != others
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")


def test_fields_that_we_do_not_read_pass_through(prepaid, simulator):
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "naïve “quotes” \u0000 \U0001f600", "name": "x"}],
        "temperature": 0.7,
        "seed": 9007199254740993,
        "provider": {"order": ["openai"], "max_price": {"prompt": 1}},
        "something_of_tomorrow": [None, True, {"deep": {"er": []}}],
    }

    prepaid.post(PATHS[0], body)

    [received] = simulator.requests()
    assert received["path"] == "/api/v1/chat/completions"
    assert {name: value for name, value in received["body"].items() if name != "user"} == body


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "x": 1}}, {"include_usage": True, "x": 1}),
    ],
)
def test_stream_always_reports_its_usage(prepaid, simulator, asked, told):
    answer = prepaid.chat(stream=True, **asked)

    assert simulator.requests()[0]["body"]["stream_options"] == told
    assert [event for event in events_of(answer.content) if event != "[DONE]" and "usage" in event]


def test_whole_answer_needs_no_stream_options(prepaid, simulator):
    prepaid.chat(stream=None)

    assert simulator.requests()[0]["body"].keys() == {"model", "messages", "stream", "user"}


# Many at once


def test_each_of_many_calls_is_paid_once(prepaid, simulator, account):
    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda number: prepaid.chat(stream=bool(number % 2)), range(60)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["X-Generation-Id"] for answer in answers}) == 60
    assert balance(account) == (40, 0)
    assert UsageRecord.objects.count() == 60
    assert_charged_as_booked(simulator)
    assert text_of(answers[1].content) == answers[0].json()["choices"][0]["message"]["content"]
