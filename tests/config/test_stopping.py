"""A server that is told to stop turns away nobody before load balancers can have noticed."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.db import connection

from tests.ai.conftest import simulator, simulator_process
from tests.ai.prepaid import MODEL, Prepaid, assert_charged_as_booked, balance, until
from tests.ai.processes import ServerProcess

__all__ = ["simulator", "simulator_process"]

NOTICE_SECONDS = 1


@pytest.mark.usefixtures("one_database")
def test_readiness_turns_before_anybody_is_refused(database_url, simulator, account, api_key):
    with (
        ServerProcess(
            database_url, simulator.url, drain_seconds=10, SHUTDOWN_NOTICE_SECONDS=str(NOTICE_SECONDS)
        ) as server,
        ThreadPoolExecutor(1) as caller,
    ):
        prepaid = Prepaid(server.url, api_key)
        assert requests.get(f"{server.url}/readyz", timeout=5).status_code == 200
        answered = caller.submit(prepaid.chat, stream=True, model=f"{MODEL}?chunks=40&interval_ms=50")
        until(simulator.books)
        server.terminate()
        told = time.monotonic()
        until(lambda: requests.get(f"{server.url}/readyz", timeout=5).status_code == 503, seconds=NOTICE_SECONDS)
        refusal = requests.get(f"{server.url}/readyz", timeout=5).json()

        assert (refusal["error"], refusal["message"]) == ("not_ready", "This process is about to stop.")
        assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
        assert prepaid.chat().status_code == 200, "who is sent here all the same is served"
        server.wait()
        assert time.monotonic() - told > NOTICE_SECONDS
        assert b"data: [DONE]" in answered.result().content
    connection.close()
    assert_charged_as_booked(simulator)
    assert balance(account) == (98, 0)


@pytest.mark.usefixtures("one_database")
def test_server_that_is_told_twice_stops_at_once(database_url, simulator):
    with ServerProcess(database_url, simulator.url, drain_seconds=1, SHUTDOWN_NOTICE_SECONDS="30") as server:
        server.terminate()
        until(lambda: requests.get(f"{server.url}/readyz", timeout=5).status_code == 503)
        server.terminate()
        started = time.monotonic()
        server.wait()

    assert time.monotonic() - started < 10
