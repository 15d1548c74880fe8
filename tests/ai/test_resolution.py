"""What a dead process left is settled from the provider's own record, once, whoever comes to it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from ai import resolution, settlement
from ai.desk import desk
from ai.providers.base import Generation, Usage
from ai.settlement import report_of
from billing import batch
from billing.calls import Call, Ending, Report
from billing.models import UsageRecord
from billing.operations import Conclude
from credits.amounts import UNIT
from credits.models import Hold, LedgerEntry
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance, pending, until, usage


@pytest.fixture
def forgetful(monkeypatch, settings):
    """A server that never asks the provider itself and waits for nothing, as if it had died."""
    monkeypatch.setattr(settlement, "ASK_AFTER", ())
    settings.SHUTDOWN_DRAIN_SECONDS = 0


@pytest.fixture
def provider(simulator, settings):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "simulated"
    return simulator


def resolve_holds(**options):
    out = StringIO()
    call_command("resolve_holds", stdout=out, **{"older_than": 0, **options})
    return out.getvalue().splitlines()


@pytest.fixture
def left(forgetful, prepaid, provider):
    """A call that was answered without its usage and forgotten; its hold is pending."""

    def leave(model: str = MODEL, fault: str = "usage=none", **body):
        prepaid.chat(stream=True, model=f"{model}?chunks=4&{fault}", **body)
        return until(lambda: [hold for hold in pending() if hold.reference])[-1]

    return leave


@pytest.mark.parametrize(
    ("fault", "charged", "status"),
    [
        ("usage=none", 1, "COMPLETED"),
        ("truncate=2", 1, "COMPLETED"),
        ("reset=2&interval_ms=60", 1, "CANCELLED"),
        ("reset=0", 0, "FAILED"),
        ("error=2", 0, "FAILED"),
        ("usage=none&empty=1", 0, "FAILED"),
    ],
)
def test_hold_is_settled_as_the_provider_booked_it(left, provider, account, fault, charged, status):
    hold = left(fault=fault)

    *_, summary = resolve_holds()

    assert_charged_as_booked(provider)
    record = usage()
    assert (record.status, record.charged, record.generation_id) == (status, charged * UNIT, hold.reference)
    assert balance(account) == (100 - charged, 0)
    assert summary == "1 resolved, 0 booked as our loss, 0 still waiting for the provider."


def test_hold_that_is_young_is_its_process_own(left, account):
    left()

    lines = resolve_holds(older_than=60)
    lines += resolve_holds(older_than=None)

    assert lines == ["0 resolved, 0 booked as our loss, 0 still waiting for the provider."] * 2
    assert balance(account) == (100, 1)


def test_hold_past_its_time_is_resolved_without_being_told_to(left, account):
    left()
    Hold.objects.update(expires_at=timezone.now())

    resolve_holds(older_than=None)

    assert balance(account) == (99, 0)


def test_dry_run_resolves_nothing(left, account):
    hold = left()

    [line] = resolve_holds(dry_run=True)

    assert line.startswith(str(hold.pk))
    assert balance(account) == (100, 1)


def test_record_that_is_late_is_waited_for(left, provider, account):
    left(fault="usage=none&generation_ms=1500")

    first = resolve_holds()
    assert first[-1] == "0 resolved, 0 booked as our loss, 1 still waiting for the provider."
    assert balance(account) == (100, 1)

    second = resolve_holds(wait=5)
    assert second[-1] == "1 resolved, 0 booked as our loss, 0 still waiting for the provider."
    assert_charged_as_booked(provider)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"garbage": 1}])
def test_provider_that_cannot_be_asked_leaves_the_hold(left, provider, account, fault):
    left()
    provider.faults(path="generation", **fault)
    Hold.objects.update(expires_at=timezone.now() - timedelta(days=1))

    *_, summary = resolve_holds()

    assert summary == "0 resolved, 0 booked as our loss, 1 still waiting for the provider."
    assert balance(account) == (100, 1)


@pytest.mark.parametrize("seconds", [-5, 5])
def test_record_that_never_comes_is_our_loss_in_the_end(left, account, seconds):
    left(fault="usage=none&generation_ms=-1")
    Hold.objects.update(expires_at=timezone.now() - resolution.PATIENCE + timedelta(seconds=seconds))

    resolve_holds()

    if seconds > 0:
        assert balance(account) == (100, 1)
    else:
        assert (usage().status, usage().error_code, balance(account)) == ("UNKNOWN", "unresolved", (100, 0))


def test_hold_whose_generation_was_never_named_is_our_loss(left, account):
    left()
    Hold.objects.update(reference="")

    *_, summary = resolve_holds()

    assert summary == "0 resolved, 1 booked as our loss, 0 still waiting for the provider."
    assert (usage().status, usage().charged, balance(account)) == ("UNKNOWN", 0, (100, 0))


def test_call_that_may_still_run_by_another_clock_is_left_alone(left, account):
    left()
    Hold.objects.update(reference="", expires_at=timezone.now())

    *_, summary = resolve_holds(older_than=None)

    assert summary == "0 resolved, 0 booked as our loss, 1 still waiting for the provider."
    assert balance(account) == (100, 1)
    Hold.objects.update(expires_at=timezone.now() - resolution.PATIENCE)
    *_, summary = resolve_holds(older_than=None)
    assert summary == "0 resolved, 1 booked as our loss, 0 still waiting for the provider."


@pytest.mark.parametrize("jump", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_clock_that_jumps_during_a_call_changes_nothing_of_it(prepaid, provider, account, monkeypatch, jump):
    true_now = timezone.now
    with ThreadPoolExecutor(1) as caller:
        answered = caller.submit(prepaid.chat, stream=True, model=f"{MODEL}?chunks=10&interval_ms=60")
        until(pending)
        Hold.objects.update(expires_at=true_now() + timedelta(minutes=5))  # as long as it can have run
        monkeypatch.setattr(timezone, "now", lambda: true_now() + jump)
        *_, summary = resolve_holds(older_than=None)
        answer = answered.result()

    assert "0 booked as our loss" in summary
    assert b"data: [DONE]" in answer.content
    assert_charged_as_booked(provider)
    assert (UsageRecord.objects.count(), balance(account)) == (1, (99, 0))


def test_many_holds_are_resolved_page_by_page(left, provider, account, monkeypatch):
    monkeypatch.setattr(resolution, "PAGE", 2)
    for _ in range(5):
        left()

    *_, summary = resolve_holds()

    assert summary == "5 resolved, 0 booked as our loss, 0 still waiting for the provider."
    assert_charged_as_booked(provider)
    assert balance(account) == (95, 0)


def test_whole_answer_that_was_not_sent_is_not_paid_for():
    call = Call.from_context(
        {
            "hold_id": "0" * 32, "account_id": 1, "customer_id": 1, "key_id": 1, "actor": "key:1", "request_id": "r",
            "feature": "ai_text_chat", "quantity": 1, "terms": {"price_id": 1, "type": "FIXED", "amount": UNIT},
            "held": UNIT, "provider": "openrouter", "model": MODEL, "streamed": False,
            "admitted_at": "2026-01-01T00:00:00+00:00",
        }
    )  # fmt: skip
    record = Generation("gen-1", Usage(completion_tokens=5), cancelled=False, finish_reason="stop")

    assert report_of(call, record, was_relayed=True).ending is Ending.COMPLETED
    told = report_of(call, record, was_relayed=False)
    assert (told.ending, told.delivered, told.error_code) == (Ending.FAILED, 0, "not_delivered")


# Two come to the same hold


def conclusions(hold):
    """Two reports of the same call that do not agree."""
    call = Call.from_context(hold.context)
    return Conclude(call, Report(Ending.COMPLETED, delivered=1, generation_id=hold.reference)), Conclude(
        call, Report(Ending.UNKNOWN, generation_id=hold.reference, error_code="unresolved")
    )


def test_who_concludes_second_sees_the_first_result(left, account):
    first, second = conclusions(left())

    [paid] = batch.commit([first], again=False, now=timezone.now())
    [late] = batch.commit([second], again=False, now=timezone.now())

    assert (paid.charged, paid.first) == (UNIT, True)
    assert (late.charged, late.first) == (UNIT, False)
    assert (UsageRecord.objects.count(), balance(account)) == (1, (99, 0))


def test_both_in_one_batch_are_one_conclusion(left, account):
    both = conclusions(left())

    receipts = batch.commit(both, again=False, now=timezone.now())

    assert [receipt.first for receipt in receipts] == [True, False]
    assert (UsageRecord.objects.count(), balance(account)) == (1, (99, 0))


@pytest.mark.proof
def test_workers_that_race_conclude_once(left, account):
    holds = [left() for _ in range(4)]
    gate = threading.Barrier(8)
    receipts = []

    def conclude(number: int) -> None:
        try:
            for hold in holds:
                gate.wait()
                receipts.append(batch.commit([conclusions(hold)[number % 2]], again=False, now=timezone.now())[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=conclude, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(receipts) == 32
    assert sum(receipt.first for receipt in receipts) == 4
    assert UsageRecord.objects.count() == 4
    charged = UsageRecord.objects.filter(charged=UNIT).count()
    assert LedgerEntry.objects.filter(kind="USAGE").count() == charged
    assert balance(account) == (100 - charged, 0)


@pytest.mark.proof
def test_gateway_and_worker_that_race_conclude_once(prepaid, provider, account):
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                resolve_holds()
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for number in range(20):
            answer = prepaid.chat(stream=True, model=f"{MODEL}?chunks=3&usage={'none' if number % 2 else 'late'}")
            assert answer.status_code == 200
    finally:
        until(lambda: not pending())
        stop.set()
        worker.join()

    assert UsageRecord.objects.count() == Hold.objects.count() == 20
    assert_charged_as_booked_or_lost(provider, account)


def assert_charged_as_booked_or_lost(provider, account) -> None:
    """
    A worker that is let loose on running calls may find one before the provider has named it, and books it as lost.

    Nothing else may differ from the provider's books.
    """
    lost = UsageRecord.objects.filter(status="UNKNOWN", charged=0).count()
    charged = UsageRecord.objects.filter(charged=UNIT).count()
    assert charged + lost == len(provider.ended_books()) == 20
    assert balance(account) == (100 - charged, 0)
    assert desk().queue.depth == 0
