"""The server is killed at each commit of a call's path: nothing is lost, and nothing is charged twice."""

from decimal import Decimal
from io import StringIO

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from billing.models import UsageRecord
from tests.ai.prepaid import Prepaid, balance, pending
from tests.ai.processes import ServerProcess

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="the same code; once is enough for its seconds"),
]

BEFORE_HOLD, AFTER_HOLD = "before the hold", "after the hold"
BEFORE_SETTLEMENT, AFTER_SETTLEMENT = "before the settlement", "after the settlement"


@pytest.fixture
def provider(simulator, settings):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "simulated"
    return simulator


def resolve_holds() -> str:
    out = StringIO()
    call_command("resolve_holds", stdout=out, older_than=0, wait=10)
    return out.getvalue().splitlines()[-1]


def die(where: str, database_url: str, provider, api_key: str, *, stream: bool) -> None:
    """Ask for one answer of a server that dies there; the caller finds the connection broken."""
    with ServerProcess(database_url, provider.url, application="tests.ai.dying:application", DIE=where) as process:
        with pytest.raises(requests.RequestException):
            Prepaid(process.url, api_key).chat(stream=stream)
        process.wait()
    connection.close()


def told_of_calls() -> list[tuple[str, Decimal, int]]:
    """Of each call: how it ended, what it cost us, and how many credits it cost the customer."""
    records = UsageRecord.objects.values_list("status", "provider_cost", "charged")
    return [(status, Decimal(cost or 0), charged // 10**7) for status, cost, charged in records]


def test_killed_before_the_hold_nothing_has_happened(database_url, provider, account, api_key):
    die(BEFORE_HOLD, database_url, provider, api_key, stream=True)

    assert (provider.requests(), balance(account), told_of_calls()) == ([], (100, 0), [])
    with ServerProcess(database_url, provider.url) as process:
        assert Prepaid(process.url, api_key).chat().status_code == 200
    connection.close()
    assert balance(account) == (99, 0)


def test_killed_between_the_hold_and_the_provider_nothing_is_charged(database_url, provider, account, api_key):
    die(AFTER_HOLD, database_url, provider, api_key, stream=True)
    assert (provider.requests(), balance(account), len(pending())) == ([], (100, 1), 1)

    assert resolve_holds() == "0 resolved, 1 booked as our loss, 0 still waiting for the provider."

    assert told_of_calls() == [("UNKNOWN", 0, 0)]
    assert (balance(account), pending()) == ((100, 0), [])
    assert resolve_holds() == "0 resolved, 0 booked as our loss, 0 still waiting for the provider."


def test_killed_between_the_answer_and_the_settlement_it_is_settled_once(database_url, provider, account, api_key):
    die(BEFORE_SETTLEMENT, database_url, provider, api_key, stream=True)
    [booked] = provider.ended_books()
    assert (balance(account), [hold.reference for hold in pending()]) == ((100, 1), [booked["id"]])

    assert resolve_holds() == "1 resolved, 0 booked as our loss, 0 still waiting for the provider."

    assert told_of_calls() == [("COMPLETED", Decimal(booked["cost"]), 1)]
    assert (balance(account), pending()) == ((99, 0), [])
    assert resolve_holds() == "0 resolved, 0 booked as our loss, 0 still waiting for the provider."
    assert balance(account) == (99, 0)


def test_killed_before_an_answer_is_sent_whole_it_is_free(database_url, provider, account, api_key):
    die(BEFORE_SETTLEMENT, database_url, provider, api_key, stream=False)
    [booked] = provider.ended_books()
    assert (balance(account), len(pending())) == ((100, 1), 1)

    resolve_holds()

    # Its id may have queued beside its end, and died with it: then nobody knows the cost, which is ours either way.
    [told] = told_of_calls()
    assert told in [("FAILED", Decimal(booked["cost"]), 0), ("UNKNOWN", 0, 0)]
    assert (balance(account), pending()) == ((100, 0), [])
    assert resolve_holds() == "0 resolved, 0 booked as our loss, 0 still waiting for the provider."


def test_killed_between_the_settlement_and_the_end_of_the_answer_it_stays_settled(
    database_url, provider, account, api_key
):
    die(AFTER_SETTLEMENT, database_url, provider, api_key, stream=True)
    [booked] = provider.ended_books()
    settled = [("COMPLETED", Decimal(booked["cost"]), 1)]
    assert (told_of_calls(), balance(account), pending()) == (settled, (99, 0), [])

    assert resolve_holds() == "0 resolved, 0 booked as our loss, 0 still waiting for the provider."

    assert (told_of_calls(), balance(account)) == (settled, (99, 0))
