"""Every way that a call can end, against the simulated provider's books: what it booked is what was charged for."""

import time
from decimal import Decimal

import pytest
import requests

from ai import leftovers
from billing.models import UsageRecord
from credits.models import Hold
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
from tests.server import NOWHERE, running_prepaid

BILLED_WHOLE = "google/gemini-2.5-flash"
CHUNKS = 6


def told(fault: str, model: str = MODEL) -> str:
    """The model's name with a fault behind it; its answer has a few chunks, so that tests are quick."""
    return f"{model}?chunks={CHUNKS}&{fault}"


def error_at_the_end_of(answer: requests.Response) -> dict[str, object]:
    """The error that a stream ends with, before ``[DONE]``."""
    *_, last, done = events_of(answer.content)
    assert done == "[DONE]"
    return last["error"]


@pytest.fixture
def impatient(settings):
    settings.PROVIDER_IDLE_TIMEOUT = 0.3


@pytest.fixture
def hasty(settings):
    """A server that waits for nothing when it stops."""
    settings.SHUTDOWN_DRAIN_SECONDS = 0


both_ways = pytest.mark.parametrize("stream", [False, True])


# Before the answer


@both_ways
@pytest.mark.parametrize(
    ("upstream", "status", "code"),
    [
        (400, 400, "provider_refused"),
        (401, 503, "provider_misconfigured"),
        (402, 503, "provider_unfunded"),
        (404, 404, "provider_refused"),
        (429, 503, "provider_busy"),  # what it asks to wait for is longer than a call is tried again
        (500, 502, "provider_error"),
        (502, 502, "provider_error"),
        (503, 503, "provider_busy"),
        (307, 502, "provider_error"),
    ],
)
def test_call_that_the_provider_refuses_is_free(prepaid, simulator, account, stream, upstream, status, code):
    wait = "" if upstream == 402 else "&retry_after=7"  # with it, 402 is a budget that is free again soon
    answer = prepaid.chat(stream=stream, model=told(f"status={upstream}{wait}"))

    record = usage()
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("7" if code == "provider_busy" else None)
    assert (record.status, record.error_code, record.charged) == ("FAILED", code, 0)
    assert balance(account) == (100, 0)
    assert simulator.books() == []


@both_ways
def test_answer_that_is_none_is_free(prepaid, account, stream):
    answer = prepaid.chat(stream=stream, model=told("garbage=1"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_garbled")
    assert (usage().status, balance(account)) == ("FAILED", (100, 0))


@pytest.mark.usefixtures("impatient")
@both_ways
def test_provider_that_does_not_answer_in_time_is_free(prepaid, account, stream):
    answer = prepaid.chat(stream=stream, model=told("stall=headers"))

    record = usage()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "provider_timeout")
    assert (record.status, record.error_code, record.charged) == ("FAILED", "provider_timeout", 0)
    assert balance(account) == (100, 0)


@both_ways
def test_provider_that_resets_before_it_answers_is_free(prepaid, account, stream):
    answer = prepaid.chat(stream=stream, model=told("reset=headers"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_broke_off")
    assert (usage().status, balance(account)) == ("FAILED", (100, 0))


@both_ways
def test_provider_that_cannot_be_reached_is_free(transactional_db, account, api_key, stream):
    with running_prepaid(provider_url=NOWHERE) as url:
        answer = Prepaid(url, api_key).chat(stream=stream)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_unreachable")
    assert (usage().error_code, balance(account)) == ("provider_unreachable", (100, 0))


# Inside a streamed answer


@pytest.mark.parametrize("position", [0, 1, 4])
@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_stream_that_breaks_off_costs_what_was_booked(prepaid, simulator, account, fault, position):
    # A reset also takes what has arrived and is not read yet, so there is time to read.
    answer = prepaid.chat(stream=True, model=told(f"{fault}={position}&interval_ms=60"))

    assert answer.status_code == 200
    assert len(text_of(answer.content).split()) == position
    assert error_at_the_end_of(answer)["code"] == "provider_broke_off"
    assert_charged_as_booked(simulator)
    assert balance(account) == (100 - bool(position), 0)
    assert usage().error_code == "provider_broke_off"


@pytest.mark.parametrize("size", [0, 1, 60, 300])
def test_stream_that_breaks_off_at_any_byte_costs_what_was_booked(prepaid, simulator, size):
    answer = prepaid.chat(stream=True, model=told(f"reset_bytes={size}"))

    relayed, _, error = answer.content.rpartition(b'data: {"error"')
    assert b"provider_broke_off" in error
    if relayed.strip():
        assert_charged_as_booked(simulator)
    else:  # a reset can overtake the bytes before it: what nobody was sent is free
        until(lambda: not pending())
        assert usage().charged == 0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("position", [0, 3])
def test_stream_that_goes_silent_costs_what_was_booked(prepaid, simulator, account, position):
    answer = prepaid.chat(stream=True, model=told(f"stall={position}"))

    error = error_at_the_end_of(answer)
    assert error["code"] == "provider_timeout"
    assert "not charged" not in error["message"]
    assert_charged_as_booked(simulator)
    assert balance(account) == (100 - bool(position), 0)
    assert usage().error_code == "provider_timeout"


@pytest.mark.parametrize("position", [0, 3])
@pytest.mark.parametrize("code", ["502", "server_error"])
@pytest.mark.parametrize("identity", ["", "&no_id=1"])
def test_stream_that_ends_with_an_error_costs_what_was_booked(prepaid, simulator, account, position, code, identity):
    answer = prepaid.chat(stream=True, model=told(f"error={position}&error_code={code}{identity}"))

    *_, last = events_of(answer.content)
    assert last["error"]["code"] == (502 if code == "502" else code)
    assert [entry["cost"] for entry in simulator.ended_books()] == ["0"]
    record = usage()
    assert (record.charged, record.error_code, balance(account)) == (0, "provider_error", (100, 0))


def test_error_that_the_provider_bills_is_paid_for_as_far_as_it_came(prepaid, simulator, account):
    prepaid.chat(stream=True, model=told("error=3&bill=sent"))

    [booked] = simulator.ended_books()
    assert (booked["completion_tokens"], booked["finish_reason"]) == (3, "error")
    assert_charged_as_booked(simulator)
    assert (usage().error_code, balance(account)) == ("provider_error", (99, 0))


def test_stream_that_ends_for_an_error_that_is_not_told_is_free(prepaid, simulator, account):
    answer = prepaid.chat(stream=True, model=told("error=3&error_code=none"))

    assert b"provider_broke_off" not in answer.content
    assert [entry["cost"] for entry in simulator.ended_books()] == ["0"]
    assert (usage().charged, usage().error_code, balance(account)) == (0, "provider_error", (100, 0))


@pytest.mark.parametrize(
    ("code", "told_instead"),
    [("401", "provider_misconfigured"), ("402", "provider_unfunded"), ("403", "provider_misconfigured")],
)
@pytest.mark.parametrize("identity", ["", "&no_id=1"])
def test_error_of_our_own_account_is_not_shown_to_the_caller(prepaid, account, code, told_instead, identity):
    message = "Insufficient credits. Add more using https://openrouter.ai/credits"
    metadata = {"simulate": f"chunks={CHUNKS}&error=2&error_code={code}&message={message}{identity}"}
    answer = prepaid.chat(stream=True, metadata=metadata)

    assert error_at_the_end_of(answer)["code"] == told_instead
    assert b"openrouter" not in answer.content
    assert b"nsufficient" not in answer.content
    assert (usage().charged, usage().error_code, balance(account)) == (0, told_instead, (100, 0))


# Inside a whole answer


@pytest.mark.parametrize(
    ("code", "status", "told_code"),
    [
        ("502", 502, "provider_error"),
        ("server_error", 502, "provider_error"),
        ("none", 502, "provider_error"),
        ("402", 503, "provider_unfunded"),
        ("429", 503, "provider_busy"),
        ("400", 400, "provider_refused"),
    ],
)
def test_error_inside_a_whole_answer_is_free(prepaid, simulator, account, code, status, told_code):
    answer = prepaid.chat(model=told(f"error=0&error_code={code}"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, told_code)
    assert (usage().status, balance(account)) == ("FAILED", (100, 0))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("stall=0", 504, "provider_timeout"),
        ("stall=1", 504, "provider_timeout"),
        ("reset=0", 502, "provider_broke_off"),
        ("reset=1", 502, "provider_broke_off"),
        ("truncate=0", 502, "provider_garbled"),
        ("truncate=1", 502, "provider_garbled"),
    ],
)
def test_whole_answer_that_never_came_is_free_whatever_it_cost_us(prepaid, simulator, account, fault, status, code):
    answer = prepaid.chat(model=told(fault))

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    record = usage()
    [booked] = simulator.ended_books()
    assert (record.status, record.charged, balance(account)) == ("FAILED", 0, (100, 0))
    assert (record.generation_id, record.error_code) == (booked["id"], code)
    assert Decimal(record.provider_cost) == Decimal(booked["cost"]) > 0


# What it says it used


@both_ways
@pytest.mark.parametrize("fault", ["usage=none", "usage=repeated", "usage=late", "drip_ms=0", "split=1", "crlf=1"])
def test_usage_that_comes_in_an_odd_way_costs_what_was_booked(prepaid, simulator, account, stream, fault):
    answer = prepaid.chat(stream=stream, model=told(fault))

    assert answer.status_code == 200
    assert_charged_as_booked(simulator)
    assert usage().completion_tokens == CHUNKS
    assert (usage().status, balance(account)) == ("COMPLETED", (99, 0))


@both_ways
@pytest.mark.parametrize(
    ("cost", "kept"),
    [
        ("absent", ""),
        ("null", ""),
        ("0", "0"),
        ("-1", ""),
        ("NaN", ""),
        ("Infinity", ""),
        ('"0.1"', ""),
        ("true", ""),
        ("1e308", ""),
        ("1e999999999", ""),
        ("1e-999999", ""),
        ("0e-999999", ""),
        ("1e-9", "0.000000001"),
        ("10000", "10000"),
        ("10000.01", ""),
    ],
)
def test_cost_that_cannot_be_is_not_kept_and_the_answer_is_paid_for(prepaid, account, stream, cost, kept):
    answer = prepaid.chat(stream=stream, model=MODEL, metadata={"simulate": f"chunks={CHUNKS}&cost={cost}"})

    assert answer.status_code == 200
    assert (usage().provider_cost, balance(account)) == (kept, (99, 0))


def test_usage_that_cannot_be_read_is_asked_for(prepaid, simulator, account):
    prepaid.chat(stream=True, metadata={"simulate": f"chunks={CHUNKS}&cost={'9' * 5000}"})

    assert_charged_as_booked(simulator)
    assert balance(account) == (99, 0)


@both_ways
@pytest.mark.parametrize("model", [MODEL, "deepseek/deepseek-chat-v3.1:free"])
def test_empty_answer_is_free(prepaid, simulator, account, stream, model):
    answer = prepaid.chat(stream=stream, model=f"{model}?empty=1")

    assert answer.status_code == 200
    assert stream or answer.headers["X-Credits-Charged"] == "0"
    assert (usage().status, usage().error_code, balance(account)) == ("FAILED", "empty_answer", (100, 0))


@both_ways
def test_answer_of_a_model_that_costs_us_nothing_is_paid_for(prepaid, account, stream):
    prepaid.chat(stream=stream, model="deepseek/deepseek-chat-v3.1:free")

    assert (Decimal(usage().provider_cost), balance(account)) == (0, (99, 0))


@both_ways
@pytest.mark.parametrize("fault", ["no_id=1", "no_id=1&usage=none"])
def test_answer_without_a_generation_id_is_paid_for(prepaid, account, stream, fault):
    answer = prepaid.chat(stream=stream, model=told(fault))

    assert "X-Generation-Id" not in answer.headers
    assert (usage().status, usage().generation_id, balance(account)) == ("COMPLETED", "", (99, 0))


@pytest.mark.parametrize("fault", ["no_id=1&truncate=3", "no_id=1&reset=3"])
def test_stream_that_nobody_can_tell_the_end_of_is_our_loss(prepaid, account, fault):
    prepaid.chat(stream=True, model=told(fault))

    assert (usage().status, usage().charged, balance(account)) == ("UNKNOWN", 0, (100, 0))


# The client hangs up


@pytest.mark.parametrize("fault", ["interval_ms=100", "stall=3"])
def test_client_that_hangs_up_stops_the_provider_and_pays_what_was_booked(prepaid, simulator, account, fault):
    started = time.monotonic()
    prepaid.chat(stream=True, model=told(fault), hang_up_after=700)

    [booked] = simulator.ended_books()
    assert time.monotonic() - started < 3
    assert booked["status"] == "CANCELLED"
    assert booked["completion_tokens"] < CHUNKS
    assert_charged_as_booked(simulator)
    assert (usage().status, balance(account)) == ("CANCELLED", (99, 0))


def test_answer_that_is_billed_whole_is_read_to_its_end_though_the_client_hung_up(prepaid, simulator, account):
    prepaid.chat(stream=True, model=told("interval_ms=100", BILLED_WHOLE), hang_up_after=700)

    [booked] = simulator.ended_books()
    assert (booked["status"], booked["completion_tokens"]) == ("FINISHED", CHUNKS)
    assert_charged_as_booked(simulator)
    assert (usage().status, balance(account)) == ("CANCELLED", (99, 0))
    assert not [request for request in simulator.requests() if "generation" in request["path"]], "its usage came along"


@pytest.mark.parametrize(("most", "longest"), [(0, 60), (200, 0.2)])
def test_answer_that_is_billed_whole_is_read_by_few_and_not_for_ever(
    prepaid, simulator, account, monkeypatch, most, longest
):
    monkeypatch.setattr(leftovers, "MOST_AT_ONCE", most)
    monkeypatch.setattr(leftovers, "LONGEST", longest)
    prepaid.chat(stream=True, model=told("stall=3", BILLED_WHOLE), hang_up_after=700)

    [booked] = simulator.ended_books()
    assert (booked["status"], booked["completion_tokens"]) == ("CANCELLED", CHUNKS)
    assert_charged_as_booked(simulator)
    assert (usage().status, balance(account)) == ("CANCELLED", (99, 0))


def test_client_that_hangs_up_before_the_first_word_pays_nothing(prepaid, simulator, account):
    prepaid.chat(stream=True, model=told("stall=0"), hang_up_after=1)

    assert_charged_as_booked(simulator)
    assert simulator.books()[0]["status"] == "CANCELLED"
    assert (usage().charged, balance(account)) == (0, (100, 0))


def test_client_that_hangs_up_before_the_headers_is_settled(prepaid, simulator, account):
    simulator.faults(stall="headers", times=1)
    body = {"model": told(""), "messages": QUESTION, "stream": True}
    with pytest.raises(requests.ReadTimeout):
        requests.post(prepaid.url + "/v1/chat/completions", json=body, headers=prepaid.headers, timeout=0.3)

    until(lambda: simulator.books() and simulator.books()[0]["status"] == "CANCELLED", seconds=3)
    assert (usage().charged, balance(account)) == (0, (100, 0))


def test_client_that_is_gone_pays_for_a_whole_answer_all_the_same(prepaid, simulator, account):
    body = {"model": told("interval_ms=100"), "messages": QUESTION}
    with pytest.raises(requests.ReadTimeout):
        requests.post(prepaid.url + "/v1/chat/completions", json=body, headers=prepaid.headers, timeout=0.2)

    assert_charged_as_booked(simulator)
    assert (usage().status, balance(account)) == ("COMPLETED", (99, 0))


def test_client_that_closes_at_the_end_of_the_answer_pays_what_was_booked(prepaid, simulator, account):
    answer = prepaid.chat(stream=True, model=told("usage=late"), hang_up_after=1600)

    assert answer.status_code == 200
    assert_charged_as_booked(simulator)
    assert balance(account) == (99, 0)


# The provider tells later


def test_provider_is_asked_again_until_it_tells(prepaid, simulator, account):
    prepaid.chat(stream=True, model=told("usage=none&generation_ms=400"))

    assert balance(account) == (100, 1)
    assert_charged_as_booked(simulator)
    assert balance(account) == (99, 0)
    asked = [request for request in simulator.requests() if request["path"].startswith("/api/v1/generation")]
    assert len(asked) == 2


@pytest.mark.usefixtures("hasty")
def test_what_the_provider_does_not_tell_stays_held_under_its_name(prepaid, simulator, account):
    prepaid.chat(stream=True, model=told("usage=none&generation_ms=-1"))

    until(lambda: len(simulator.requests()) >= 3)
    [held] = Hold.objects.all()
    assert (held.status, held.reference) == ("PENDING", simulator.books()[0]["id"])
    assert balance(account) == (100, 1)
    assert not UsageRecord.objects.exists()
