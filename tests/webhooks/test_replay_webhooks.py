from datetime import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Customer
from tests.webhooks.conformance import TYPE, Effect
from webhooks.errors import WebhookNotHandled
from webhooks.models import InboundEvent
from webhooks.services import handle
from webhooks.sources import SOURCES

Status = InboundEvent.Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def effect(monkeypatch: pytest.MonkeyPatch) -> Effect:
    effect = Effect()
    monkeypatch.setitem(SOURCES["stripe"].handlers, TYPE, effect)
    return effect


def event(event_id: str, status: str, type: str = TYPE) -> InboundEvent:
    return InboundEvent.objects.create(source="stripe", event_id=event_id, type=type, status=status, payload="{}")


def replay(*arguments: str) -> str:
    out = StringIO()
    call_command("replay_webhooks", *arguments, stdout=out)
    return out.getvalue()


def statuses() -> list[str]:
    return list(InboundEvent.objects.order_by("pk").values_list("status", flat=True))


def test_without_a_name_what_failed_or_was_cut_short_is_handled(effect: Effect):
    event("evt_failed", Status.FAILED)
    event("evt_received", Status.RECEIVED)
    event("evt_handled", Status.HANDLED)

    said = replay()

    assert said.splitlines() == [
        f"stripe evt_failed {TYPE}: left a mark",
        f"stripe evt_received {TYPE}: left a mark",
    ]
    assert (statuses(), effect.count) == ([Status.HANDLED] * 3, 2)


def test_named_event_is_handled_again_whatever_became_of_it(effect: Effect):
    event("evt_ignored", Status.IGNORED)
    event("evt_failed", Status.FAILED)

    replay("evt_ignored")

    assert (statuses(), effect.count) == ([Status.HANDLED, Status.FAILED], 1)


def test_dry_run_says_what_would_be_done_and_does_nothing(effect: Effect):
    before = event("evt_failed", Status.FAILED)

    said = replay("--dry-run")

    after = InboundEvent.objects.get()
    assert said == f"stripe evt_failed {TYPE}: left a mark\n"
    assert (after.status, after.attempts, effect.count) == (Status.FAILED, before.attempts, 0)


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_one_that_fails_again_does_not_stop_the_others(effect: Effect, arguments: list[str]):
    effect.broken = True
    failed = event("evt_failed", Status.FAILED)
    event("evt_other", Status.RECEIVED, type="conformance.unknown")
    out = StringIO()

    with pytest.raises(CommandError, match="1 could not be handled"):
        call_command("replay_webhooks", *arguments, stdout=out)

    assert out.getvalue().splitlines()[0] == f"stripe evt_failed {TYPE}: failed: ValueError"
    assert statuses() == [Status.FAILED, Status.RECEIVED if arguments else Status.IGNORED]
    failed.refresh_from_db()
    assert failed.attempts == (0 if arguments else 1)
    assert Customer.objects.count() == 0


def test_handled_event_stays_handled_when_its_replay_fails(effect: Effect):
    effect.broken = True
    event("evt_handled", Status.HANDLED)

    with pytest.raises(CommandError):
        replay("evt_handled")

    assert statuses() == [Status.HANDLED]


def test_only_the_chosen_sender_is_replayed(effect: Effect):
    event("evt_failed", Status.FAILED)

    assert replay("--source", "clerk") == ""
    assert statuses() == [Status.FAILED]


def test_unknown_id_is_named(effect: Effect):
    with pytest.raises(CommandError, match="Not kept: evt_nowhere"):
        replay("evt_nowhere")


def test_event_of_a_source_that_is_no_more_fails(now: datetime):
    gone = InboundEvent.objects.create(source="gone", event_id="evt_1", type=TYPE, payload="{}")

    with pytest.raises(WebhookNotHandled):
        handle(gone, now=now)

    assert statuses() == [Status.FAILED]
