"""Test keys: simulated models, test credits, and nothing of it among what is live."""

import asyncio
from contextlib import aclosing

import orjson
import pytest

from accounts.models import ApiKey
from ai import providers
from ai.errors import ProviderBrokeOff, ProviderError, ProviderRefused, ProviderTimeout
from ai.gateway import PROTOCOLS
from ai.providers.simulated import Simulated
from ai.providers.simulator.catalogue import MODELS
from billing.listing import keep
from billing.models import UsageRecord
from credits.models import Account, Currency
from tests import factories
from tests.ai.prepaid import MODEL, QUESTION, balance, events_of, pending, text_of, until
from tests.walls.doors import ASKED

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tests_account(account):
    """The test credits of the customer that has 100 live ones."""
    return factories.account(account.customer, "50", currency=Currency.TEST)


@pytest.fixture
def testing(prepaid, account, tests_account):
    """The product, with a test key."""
    prepaid.headers = {"Authorization": f"Bearer {factories.api_key(account.customer, mode='test')}"}
    return prepaid


def test_a_test_key_calls_the_simulator_and_pays_with_test_credits(testing, simulator, account, tests_account):
    whole = testing.chat()
    streamed = testing.chat(stream=True)
    ui = testing.post(
        "/api/ai/chat", {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}
    )
    image = testing.post("/api/ai/image", {"prompt": "A ledger"})

    assert [answer.status_code for answer in (whole, streamed, ui, image)] == [200] * 4
    assert whole.json()["choices"][0]["message"]["content"] == text_of(streamed.content)
    assert len(image.json()["images"]) == 1
    until(lambda: not pending())
    assert (balance(account), balance(tests_account)) == ((100, 0), (50 - 1 - 1 - 1 - 5, 0))
    assert simulator.books() == []
    assert {(record.provider, record.api_key.mode) for record in UsageRecord.objects.all()} == {("simulator", "test")}


@pytest.mark.usefixtures("one_database")
def test_a_test_key_calls_the_simulator_in_every_format(testing, simulator, account, now):
    keep(MODELS, now=now)
    answers = {path: testing.post(f"/v1/{path}", body(None)).status_code for path, body in ASKED.items()}

    assert answers == dict.fromkeys(PROTOCOLS, 200)
    until(lambda: not pending())
    assert simulator.books() == []
    assert {record.provider for record in UsageRecord.objects.all()} == {"simulator"}


def test_a_live_key_does_not_call_the_simulator_inside(prepaid, simulator, account, tests_account):
    assert prepaid.chat().status_code == 200

    assert (len(simulator.books()), balance(tests_account)) == (1, (50, 0))


def test_test_credits_run_out_like_others(testing, account, tests_account):
    factories.usage(tests_account, "50", api_key=ApiKey.objects.get(mode="test"))

    refused = testing.chat()

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert balance(account) == (100, 0)


def test_a_test_key_that_is_new_has_an_empty_account_of_its_own(prepaid, account):
    prepaid.headers = {"Authorization": f"Bearer {factories.api_key(account.customer, mode='test')}"}

    assert prepaid.chat().status_code == 402
    assert Account.objects.get(currency="test").balance == 0


def test_faults_can_be_asked_for_and_are_free(testing, tests_account):
    refused = testing.chat(metadata={"simulate": "status=429&retry_after=2"})
    broken = testing.chat(metadata={"simulate": "reset=1"})
    too_much = testing.chat(metadata={"simulate": "chunks=1000000"})

    assert [answer.status_code for answer in (refused, broken, too_much)] == [503, 502, 400]
    until(lambda: not pending())
    assert balance(tests_account)[1] == 0


def test_who_hangs_up_on_the_simulator_pays_for_what_came(testing, tests_account):
    testing.chat(stream=True, hang_up_after=200, metadata={"simulate": "chunks=500&interval_ms=5"})

    until(lambda: not pending())
    record = UsageRecord.objects.get()
    assert (record.status, balance(tests_account)) == ("CANCELLED", (49, 0))
    assert record.completion_tokens < 500


def test_models_of_a_test_key_are_the_simulators(testing):
    listed = testing.get("/v1/models").json()["data"]

    assert MODEL in [model["id"] for model in listed]


def test_a_session_hold_of_a_test_key_is_of_test_credits(testing, account, tests_account):
    placed = testing.post("/api/credits/holds", {"amount": "2"}, Idempotency_Key="one").json()

    assert (balance(account), balance(tests_account)) == ((100, 0), (50, 2))
    assert testing.chat(stream=False).status_code == 200
    answer = testing.post("/v1/chat/completions", {"model": MODEL, "messages": QUESTION}, X_Hold_Id=placed["id"])
    assert answer.status_code == 200


def test_a_test_key_cannot_spend_a_live_session(prepaid, account, tests_account):
    placed = prepaid.post("/api/credits/holds", {"amount": "2"}, Idempotency_Key="one").json()
    prepaid.headers = {"Authorization": f"Bearer {factories.api_key(account.customer, mode='test')}"}

    answer = prepaid.post("/v1/chat/completions", {"model": MODEL, "messages": QUESTION}, X_Hold_Id=placed["id"])

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "hold_not_found")
    assert prepaid.post("/api/credits/holds", {"amount": "2"}, Idempotency_Key="one").status_code == 422
    assert prepaid.get("/api/credits/holds").json()["holds"] == []


def test_a_call_that_was_left_open_is_resolved_from_the_books_of_this_process():
    assert providers.PROVIDERS["simulator"]() is providers.of_call("simulator")


# The provider itself


def call(simulated, fault: str = "", *, hang_up: bool = False, **body) -> bytes:
    payload = {"model": MODEL, "messages": QUESTION, "metadata": {"simulate": fault}, **body}

    async def run() -> bytes:
        async with aclosing(await simulated.open("chat/completions", orjson.dumps(payload))) as answer:
            if hang_up:
                return await anext(answer.chunks())
            return b"".join([chunk async for chunk in answer.chunks()])

    return asyncio.run(run())


@pytest.fixture
def simulated():
    return Simulated(idle_timeout=0.3, total_timeout=5)


def test_it_answers_and_keeps_books(simulated):
    events = events_of(call(simulated, stream=True))

    assert events[-1] == "[DONE]"
    record = simulated.generation(events[0]["id"])
    assert (record.usage.cost > 0, record.cancelled, record.finish_reason) == (True, False, "stop")
    assert simulated.generation("gen-unknown") is None
    assert len(simulated._simulator.requests) == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset=headers", ProviderBrokeOff),
        ("reset=2", ProviderBrokeOff),
        ("reset_bytes=300", ProviderBrokeOff),
        ("stall=headers", ProviderTimeout),
        ("stall=2", ProviderTimeout),
        ("status=404", ProviderRefused),
        ("status=500", ProviderError),
        ("nonsense=1", ProviderRefused),
        ("chunks=10001", ProviderRefused),
        ("interval_ms=" + "9" * 400, ProviderBrokeOff),
    ],
)
def test_it_fails_on_demand_and_leaves_nothing_open(simulated, fault, error):
    with pytest.raises(error):
        call(simulated, fault, stream=True)

    assert simulated._open == set()


def test_hanging_up_ends_it(simulated):
    call(simulated, "chunks=1000&interval_ms=1", hang_up=True, stream=True)

    booking = next(iter(simulated._simulator.books.entries()))
    assert (booking["status"], simulated._open) == ("CANCELLED", set())


def test_an_unknown_path_is_refused(simulated):
    async def run() -> None:
        await simulated.open("rerank", b"{}")

    with pytest.raises(ProviderRefused):
        asyncio.run(run())
