"""Answers that are kept for a key: the same again, from nobody but us, at a share of the price."""

import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.utils import timezone

from accounts.models import ApiKey
from ai.providers.simulator.catalogue import MODELS
from billing.listing import keep
from billing.models import Price, UsageRecord
from credits.amounts import UNIT
from tests import factories
from tests.ai.prepaid import MODEL, Prepaid, assert_charged_as_booked, balance, pending, until
from tests.ai.test_metered import METERED
from tests.server import running_prepaid

UI = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}


class Broken(BaseCache):
    """A cache that is away."""

    def __init__(self, location, params):
        super().__init__(params)

    def get(self, *args, **kwargs):
        raise ConnectionError

    set = get


@pytest.fixture(autouse=True)
def nothing_kept():
    caches["answers"].clear()


@pytest.fixture
def keeping(prepaid: Prepaid) -> Prepaid:
    """A caller whose key has answers kept for a minute."""
    ApiKey.objects.update(cache_seconds=60)
    return prepaid


def kept() -> bool:
    return until(lambda: len(caches["answers"]._cache) > 0)  # type: ignore[attr-defined]


def records() -> list[UsageRecord]:
    until(lambda: not pending())
    return list(UsageRecord.objects.order_by("pk"))


def body_of(answer) -> bytes:
    """Without the comment that says what this time was charged."""
    return answer.content.split(b": credits ")[0]


def test_nothing_is_kept_of_a_key_that_does_not_ask_for_it(prepaid, simulator):
    answers = [prepaid.chat(), prepaid.chat()]

    assert ["X-Cache" in answer.headers for answer in answers] == [False, False]
    assert len(simulator.ended_books()) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_same_request_gets_the_same_answer_for_nothing(keeping, simulator, account, stream):
    first = keeping.chat(stream=stream)
    kept()
    second = keeping.chat(stream=stream)

    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert 0 <= int(second.headers["Age"]) <= 20
    assert body_of(second) == body_of(first)
    assert len(simulator.ended_books()) == 1
    assert balance(account) == (99, 0)
    _, record = records()
    assert (record.status, record.charged, record.held) == ("COMPLETED", 0, UNIT)
    assert (record.cost_report, record.provider_cost, record.provider_cost_picos) == ("KEPT", "0", 0)
    assert (record.generation_id, bool(record.completion_tokens)) == ("", True)
    assert_charged_as_booked(simulator)


def test_front_ends_get_it_in_their_own_format(keeping, simulator):
    keeping.post("/api/ai/chat", UI)
    kept()
    answer = keeping.post("/api/ai/chat", UI)

    assert answer.headers["X-Cache"] == "HIT"
    assert b'"type":"text-delta"' in answer.content
    assert len(simulator.ended_books()) == 1


def test_it_costs_the_share_that_the_operator_has_set(keeping, account, settings):
    settings.CACHED_ANSWER_PERCENT = 25
    keeping.chat()
    kept()

    answer = keeping.chat()

    assert answer.headers["X-Credits-Charged"] == "0.25"
    account.refresh_from_db()
    assert account.balance == 98 * UNIT + UNIT * 3 // 4


def test_share_of_a_metered_price_is_of_what_it_cost_the_first_time(keeping, settings, now):
    settings.CACHED_ANSWER_PERCENT = 50
    keep(MODELS, now=now)
    Price.objects.create(feature="ai_text_chat", effective_at=now - timedelta(seconds=1), **METERED)
    keeping.chat()
    kept()
    keeping.chat()

    first, second = records()
    assert Decimal(first.provider_cost) > 0
    assert second.charged == -(-first.charged // 2)


@pytest.mark.parametrize("change", [{"temperature": 1}, {"stream": True}, {"max_tokens": 50}])
def test_another_request_gets_another_answer(keeping, change):
    keeping.chat()
    kept()

    assert keeping.chat(**change).headers["X-Cache"] == "MISS"


def test_nobody_else_gets_it(keeping, customer):
    keeping.chat()
    kept()
    other = Prepaid(keeping.url, factories.api_key(customer))
    ApiKey.objects.update(cache_seconds=60)

    assert other.chat().headers["X-Cache"] == "MISS"


def test_client_may_ask_for_a_new_one_or_keep_none(keeping, simulator):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    keeping.post("/v1/chat/completions", body, Cache_Control="no-store")
    first = keeping.post("/v1/chat/completions", body)
    kept()
    renewed = keeping.post("/v1/chat/completions", body, Cache_Control="no-cache")
    until(lambda: keeping.post("/v1/chat/completions", body).json()["id"] == renewed.json()["id"])

    assert (first.headers["X-Cache"], renewed.headers["X-Cache"]) == ("MISS", "MISS")
    assert first.json()["id"] != renewed.json()["id"]
    assert len(simulator.ended_books()) == 3


@pytest.mark.parametrize("fault", [{"status": 400}, {"error": 1}, {"truncate": 1}, {"usage": "none"}, {"chunks": 3000}])
def test_only_whole_answers_that_are_known_and_not_too_long_are_kept(keeping, simulator, fault):
    simulator.faults(times=1, **fault)

    keeping.chat(stream=True)
    until(lambda: not pending())

    assert keeping.chat(stream=True).headers["X-Cache"] == "MISS"


def test_it_is_forgotten_in_time(keeping, simulator):
    ApiKey.objects.update(cache_seconds=1)
    keeping.chat()
    kept()
    time.sleep(1.1)

    assert keeping.chat().headers["X-Cache"] == "MISS"


def test_revoked_key_gets_nothing(keeping):
    keeping.chat()
    kept()
    ApiKey.objects.update(revoked_at=timezone.now())

    assert keeping.chat().status_code == 401


def test_without_a_cache_there_are_new_answers(settings, transactional_db, simulator, account, api_key):
    ApiKey.objects.update(cache_seconds=60)
    settings.CACHES = {**settings.CACHES, "answers": {"BACKEND": "tests.ai.test_kept.Broken"}}
    with running_prepaid(provider_url=simulator.url) as url:
        answers = [Prepaid(url, api_key).chat() for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(simulator.ended_books()) == 2
