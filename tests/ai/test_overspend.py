"""64 callers, two server processes, 200 credits: 200 answers, and not one more or less."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import connection

from billing.models import UsageRecord
from tests import factories
from tests.ai.prepaid import MODEL, QUESTION, balance, pending, thorough, until
from tests.ai.processes import ServerProcess

CALLERS = 64
CREDITS = 200

pytestmark = pytest.mark.proof


def spend(database_url, simulator, api_key, *, application: str = "config.asgi:application") -> Counter[int]:
    """Let every caller ask, more often in all than the credits allow; return how often each status was answered."""
    each = thorough(4, 60)
    gate = threading.Barrier(CALLERS)
    headers = {"Authorization": f"Bearer {api_key}"}

    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                ServerProcess(database_url, simulator.url, application=application, LOG_LEVEL="CRITICAL")
            )
            for _ in range(2)
        ]

        def call(number: int) -> list[int]:
            url = f"{servers[number % 2].url}/v1/chat/completions"
            body = {"model": f"{MODEL}?chunks=2", "messages": QUESTION, "stream": bool(number % 3)}
            with requests.Session() as session:
                gate.wait()
                return [ask(session, url, json=body, headers=headers) for _ in range(each)]

        with ThreadPoolExecutor(CALLERS) as callers:
            statuses = Counter(status for answered in callers.map(call, range(CALLERS)) for status in answered)
        if application.startswith("config"):
            until(lambda: not pending())
    connection.close()
    assert statuses.total() == CALLERS * each > CREDITS
    return statuses


def ask(session: requests.Session, url: str, **request: Any) -> int:
    """The status of an answer; 0 if the connection broke."""
    try:
        return session.post(url, timeout=60, **request).status_code
    except requests.RequestException:
        return 0


@pytest.fixture
def account(customer):
    return factories.account(customer, str(CREDITS))


def assert_spent_exactly(statuses, simulator, account):
    assert statuses == {200: CREDITS, 402: statuses.total() - CREDITS}
    assert balance(account) == (0, 0)
    assert len(simulator.ended_books()) == CREDITS
    assert UsageRecord.objects.filter(charged__gt=0).count() == CREDITS
    call_command("check_ledger", verbosity=0)


def test_nobody_spends_more_than_there_is_and_nobody_less(database_url, simulator, account, api_key):
    statuses = spend(database_url, simulator, api_key)

    assert_spent_exactly(statuses, simulator, account)


@pytest.mark.books_are_cooked
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's transactions lock all that there is")
def test_without_the_lock_the_same_is_found_out(database_url, simulator, account, api_key):
    statuses = spend(database_url, simulator, api_key, application="tests.ai.unlocked:application")

    with pytest.raises((AssertionError, CommandError)):
        assert_spent_exactly(statuses, simulator, account)
