"""Limits as callers see them: headers on every answer, refusals in the shape that they read."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import ApiKey, Customer
from ai.providers.simulator.catalogue import MODELS
from billing.listing import keep
from billing.models import Price
from credits.amounts import UNIT, credits, parse
from tests.ai.prepaid import MODEL, QUESTION, pending, until

UI = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
PACE = [f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")]


def pace(answer):
    return [answer.headers.get(name) for name in PACE]


def test_answer_to_whoever_has_no_limits_says_nothing_of_them(prepaid):
    assert pace(prepaid.chat()) == [None] * 6


def test_every_kind_of_answer_says_what_is_left(prepaid):
    ApiKey.objects.update(requests_per_minute=1000)

    answers = [
        prepaid.chat(),
        prepaid.chat(stream=True),
        prepaid.post("/api/ai/chat", UI),
        prepaid.post("/api/ai/image", {"prompt": "A green square"}),
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"1000"}
    left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers]
    assert 996 <= left[3] <= left[0] <= 999
    assert all(answer.headers["x-ratelimit-reset-requests"].endswith("ms") for answer in answers)


def test_refusal_is_in_the_shape_of_its_path_and_tells_when_to_come_again(prepaid, simulator):
    ApiKey.objects.update(requests_per_minute=1)
    before = timezone.now()
    prepaid.chat()

    openai, flat = prepaid.chat(), prepaid.post("/api/ai/chat", UI)

    error = openai.json()["error"]
    assert (openai.status_code, error["type"], error["code"]) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert (error["unit"], error["limitOf"], error["limit"], error["used"]) == ("requests", "key", 1, 1)
    resets_at = datetime.fromisoformat(error["resetsAt"]).astimezone(UTC)
    assert before + timedelta(seconds=59) < resets_at < timezone.now() + timedelta(seconds=61)
    assert 50 <= int(openai.headers["Retry-After"]) <= 60
    assert openai.headers["x-ratelimit-remaining-requests"] == "0"
    assert (flat.status_code, flat.json()["code"], flat.json()["limit"]) == (429, "RATE_LIMIT_EXCEEDED", 1)
    assert len(simulator.requests()) == 1


def test_tokens_of_an_answer_count_as_the_provider_told_them(prepaid):
    ApiKey.objects.update(tokens_per_minute=100_000)

    first = prepaid.chat(max_tokens=10_000)
    until(lambda: not pending())
    second = prepaid.chat(max_tokens=10)

    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 90_000
    assert int(second.headers["x-ratelimit-remaining-tokens"]) > 98_000


def test_call_whose_client_hung_up_frees_its_place(prepaid):
    ApiKey.objects.update(concurrent_calls=1)

    prepaid.chat(hang_up_after=1, stream=True, model=f"{MODEL}?chunks=50&delay=0.05")

    until(lambda: prepaid.chat().status_code == 200)


def test_budget_clamps_an_answer_and_refuses_when_nothing_fits(prepaid, transactional_db, now):
    keep(MODELS, now=now)
    Price.objects.create(
        feature="ai_text_chat", effective_at=now - timedelta(seconds=1), type="METERED", amount=1, rate=100 * UNIT,
        markup=10**6,
    )  # fmt: skip
    dear = prepaid.chat(max_tokens=4000)
    held = parse(dear.headers["X-Credits-Held"])
    until(lambda: not pending())
    spent = credits(100) - balance_of(prepaid)
    Customer.objects.update(budget=spent + held // 2, budget_period="DAY")

    clamped = prepaid.chat(max_tokens=4000)
    until(lambda: not pending())
    Customer.objects.update(budget=spent + 1)
    refused = prepaid.chat(max_tokens=4000)

    assert "X-Max-Tokens-Clamped" not in dear.headers
    assert 64 <= int(clamped.headers["X-Max-Tokens-Clamped"]) < 4000
    assert parse(clamped.headers["X-Credits-Held"]) <= held // 2
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["limitOf"]) == (403, "budget_exceeded", "customer")
    assert refused.headers["x-should-retry"] == "false"


def balance_of(prepaid):
    return parse(str(prepaid.get("/api/credits/me").json()["balance"]))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/chat/completions"])
def test_budget_counts_under_every_address(prepaid, path):
    ApiKey.objects.update(budget=credits(1), budget_period="MONTH")
    body = {"model": MODEL, "messages": QUESTION}

    first, second = prepaid.post(path, body), prepaid.post(path, body)

    assert (first.status_code, second.status_code) == (200, 403)
