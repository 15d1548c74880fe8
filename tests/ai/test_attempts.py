"""Calls that are tried again, under one hold: only where the attempt before is known to have cost nothing."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.test import override_settings

from billing.models import UsageRecord
from credits.models import Hold
from tests.ai.prepaid import MODEL, QUESTION, Prepaid, assert_charged_as_booked, balance, pending, until, usage
from tests.server import running_prepaid

KEYS = [("main", "sk-or-v1-of-the-main-key", 1), ("spare", "sk-or-v1-of-the-spare-key", 0)]

both_ways = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def two_keys(transactional_db, simulator, account, api_key):
    """A server with a key and a spare one."""
    with override_settings(OPENROUTER_API_KEYS=KEYS), running_prepaid(provider_url=simulator.url) as url:
        yield Prepaid(url, api_key)


def keys_used(simulator) -> list[str]:
    used = [dict(request["headers"])["authorization"].removeprefix("Bearer ") for request in simulator.requests()]
    labels = {key: label for label, key, _ in KEYS}
    return [labels.get(key, key) for key in used]


def outcomes(record: UsageRecord) -> list[tuple[str, str]]:
    return [(attempt["key"], attempt["outcome"]) for attempt in record.attempts or []]


@both_ways
@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "provider_busy"), (500, "provider_error"), (502, "provider_error"), (529, "provider_busy")],
)
def test_call_that_the_provider_refuses_is_tried_again_and_paid_once(prepaid, simulator, account, stream, status, code):
    simulator.faults(times=1, status=status)

    answer = prepaid.chat(stream=stream)

    assert answer.status_code == 200
    assert len(simulator.requests()) == 2
    assert_charged_as_booked(simulator)
    assert outcomes(usage()) == [("", code), ("", "answered")]
    assert usage().attempts[1]["generation"] == usage().generation_id
    assert (Hold.objects.count(), balance(account)) == (1, (99, 0))


def test_call_that_needs_no_second_attempt_remembers_none(prepaid, simulator):
    prepaid.chat()

    assert usage().attempts is None
    assert len(simulator.requests()) == 1


def test_what_the_provider_asks_to_wait_is_waited(prepaid, simulator, account):
    simulator.faults(times=1, status=429, retry_after=1)

    with ThreadPoolExecutor(1) as caller:
        began = time.monotonic()
        answered = caller.submit(prepaid.chat)
        until(lambda: len(simulator.requests()) == 1)
        assert balance(account) == (100, 1), "it is held all the while"
        assert answered.result().status_code == 200
    assert time.monotonic() - began >= 1
    assert (Hold.objects.count(), balance(account)) == (1, (99, 0))


@both_ways
def test_what_the_provider_asks_to_wait_too_long_is_the_callers_to_wait(prepaid, simulator, account, stream):
    simulator.faults(status=429, retry_after=30)

    answer = prepaid.chat(stream=stream)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert len(simulator.requests()) == 1
    assert balance(account) == (100, 0)


def test_attempts_are_few_and_end_in_time(prepaid, simulator, account, settings):
    simulator.faults(status=500)
    began = time.monotonic()

    answer = prepaid.chat()

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert 2 <= len(simulator.requests()) <= 4
    assert time.monotonic() - began < settings.PROVIDER_RETRY_SECONDS + 5
    assert outcomes(usage()) == [("", "provider_error")] * len(simulator.requests())
    assert balance(account) == (100, 0)


def test_nothing_is_tried_again_where_that_is_switched_off(prepaid, simulator, settings):
    settings.PROVIDER_RETRY_SECONDS = 0
    simulator.faults(status=500)

    assert prepaid.chat().status_code == 502
    assert len(simulator.requests()) == 1


@both_ways
@pytest.mark.parametrize(
    "fault",
    ["stall=headers", "reset=headers", "status=400", "status=402", "status=504", "garbage=1", "error=0"],
)
def test_what_may_have_been_billed_or_will_not_change_is_not_tried_again(prepaid, simulator, settings, stream, fault):
    settings.PROVIDER_IDLE_TIMEOUT = 0.3
    simulator.faults(**dict([fault.split("=")]))

    with running_prepaid(provider_url=simulator.url) as url:
        Prepaid(url, prepaid.headers["Authorization"].removeprefix("Bearer ")).chat(stream=stream)

    assert [request["path"] for request in simulator.requests() if "chat" in request["path"]] == [
        "/api/v1/chat/completions"
    ]


@pytest.mark.parametrize("fault", ["reset=2", "truncate=2"])
def test_stream_that_has_begun_is_not_begun_again(prepaid, simulator, fault):
    prepaid.chat(stream=True, model=f"{MODEL}?chunks=5&interval_ms=40&{fault}")

    assert len(simulator.books()) == 1
    assert_charged_as_booked(simulator)


def test_client_that_hangs_up_between_attempts_asks_for_no_further(prepaid, simulator, account):
    simulator.faults(status=429, retry_after=2)
    body = {"model": MODEL, "messages": QUESTION, "stream": True}

    with pytest.raises(requests.ReadTimeout):
        requests.post(prepaid.url + "/v1/chat/completions", json=body, headers=prepaid.headers, timeout=0.5)

    until(lambda: Hold.objects.exists() and not pending(), seconds=1.5)
    time.sleep(2)
    assert len(simulator.requests()) == 1
    assert balance(account) == (100, 0)


def test_image_is_tried_again(prepaid, simulator, account):
    simulator.faults(times=1, status=503)

    answer = prepaid.post("/api/ai/image", {"prompt": "A green square", "count": 2})

    assert len(answer.json()["images"]) == 2
    assert len(simulator.requests()) == 3
    assert balance(account) == (90, 0)


# Several keys


@both_ways
@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "provider_misconfigured"), (402, "provider_unfunded"), (429, "provider_busy")],
)
def test_another_key_answers_at_once_and_the_first_rests(two_keys, simulator, account, stream, status, code):
    simulator.faults(times=1, status=status, **({"retry_after": 30} if status == 429 else {}))
    began = time.monotonic()

    first = two_keys.chat(stream=stream)
    second = two_keys.chat(stream=stream)

    until(lambda: UsageRecord.objects.count() == 2)
    assert time.monotonic() - began < 10
    assert (first.status_code, second.status_code) == (200, 200)
    assert keys_used(simulator) == ["main", "spare", "spare"]
    records = UsageRecord.objects.order_by("pk")
    assert [outcomes(record) for record in records] == [
        [("main", code), ("spare", "answered")],
        [("spare", "answered")],
    ]
    assert "sk-or" not in str(records.values_list("attempts", flat=True))
    assert_charged_as_booked(simulator)
    assert balance(account) == (98, 0)


def test_budget_in_flight_is_waited_for_and_an_empty_account_is_not(prepaid, simulator, account):
    simulator.faults(times=1, status=402, retry_after=1)

    assert prepaid.chat().status_code == 200
    assert outcomes(usage()) == [("", "provider_busy"), ("", "answered")]


def test_accounts_that_are_all_empty_are_not_the_callers_fault(two_keys, simulator, account):
    simulator.faults(status=402)

    answer = two_keys.chat()

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_unfunded")
    assert keys_used(simulator) == ["main", "spare"]
    assert balance(account) == (100, 0)


def test_end_of_a_call_is_asked_for_with_every_key(two_keys, simulator, account):
    two_keys.chat(stream=True, model=f"{MODEL}?chunks=4&usage=none")

    assert_charged_as_booked(simulator)
    assert balance(account) == (99, 0)
