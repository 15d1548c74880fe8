"""The daily roll-up is written with each call's record, on the day where its customer is."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from django.db.models import F

from accounts.keys import digest
from accounts.models import ApiKey, Customer
from billing import audit, batch, days
from billing.calls import Call, Ending, Report
from billing.catalogue import Feature
from billing.models import UsageDay, UsageRecord
from billing.operations import Admit, Conclude
from credits import rows
from credits.amounts import credits
from credits.models import Account, Hold
from credits.services import new_hold_id
from tests import factories
from tests.racing import at_once, raised

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SUMS = [name for name, _ in days.SUMS]


@pytest.fixture
def key(account: Account, settings: Any) -> str:
    """The digest of a key of ``account``'s customer."""
    return digest(factories.api_key(account.customer), pepper=settings.API_KEY_PEPPER)


def admit(key: str, *, now: datetime = NOON, **asked: Any) -> Admit:
    return Admit(
        **{
            "hold_id": new_hold_id(),
            "key_digest": key,
            "external_id": "",
            "impersonated": False,
            "request_id": "",
            "feature": Feature.AI_TEXT_CHAT,
            "quantity": 1,
            "provider": "openrouter",
            "model": "openai/gpt-4o-mini",
            "streamed": False,
            "lifetime": timedelta(minutes=20),
            **asked,
        }
    )


def called(key: str, *reports: Report, now: datetime = NOON, **asked: Any) -> list[Call]:
    """Admit a call for each of ``reports`` in one batch, and conclude them in the next."""
    calls = batch.commit([admit(key, **asked) for _ in reports], again=False, now=now)
    conclusions = [Conclude(call, report) for call, report in zip(calls, reports, strict=True)]
    batch.commit(conclusions, again=False, now=now + timedelta(seconds=2))
    return calls


def sums(day: UsageDay) -> dict[str, int]:
    return {name: getattr(day, name) for name in SUMS}


ANSWER = Report(
    Ending.COMPLETED,
    delivered=1,
    cost="0.00012",
    prompt_tokens=12,
    completion_tokens=34,
    cached_tokens=5,
    reasoning_tokens=6,
)
FAILURE = Report(Ending.FAILED, error_code="provider_error")


def test_calls_of_a_batch_are_added_up_in_one_row(key: str, account: Account):
    called(key, ANSWER, ANSWER, FAILURE, Report(Ending.CANCELLED, delivered=1, prompt_tokens=1))

    day = UsageDay.objects.get()
    assert (day.customer, day.day, day.feature, day.model) == (
        account.customer, date(2026, 11, 20), "ai_text_chat", "openai/gpt-4o-mini",
    )  # fmt: skip
    assert day.key_id == ApiKey.objects.get().pk
    assert sums(day) == {
        "calls": 4,
        "failed_calls": 1,
        "erased_calls": 0,
        "charged": credits(3),
        "provider_cost_picos": 240_000_000,
        "prompt_tokens": 25,
        "completion_tokens": 68,
        "cached_tokens": 10,
        "reasoning_tokens": 12,
    }


def test_later_calls_are_added_to_the_row_that_is_there(key: str):
    called(key, ANSWER)
    called(key, ANSWER, FAILURE, now=NOON + timedelta(hours=1))

    assert [(day.calls, day.failed_calls, day.charged) for day in UsageDay.objects.all()] == [(3, 1, credits(2))]


def test_what_differs_in_model_feature_key_or_day_is_kept_apart(key: str, account: Account):
    called(key, ANSWER)
    called(key, Report(Ending.COMPLETED, delivered=1, model="openai/gpt-4o-mini-2024"))
    called(key, ANSWER, feature=Feature.AI_IMAGE_GENERATION)
    called(key, ANSWER, now=NOON + timedelta(days=1))
    person = account.customer.user
    person.external_id = "user_1"
    person.save()
    called("", ANSWER, external_id="user_1")

    assert UsageDay.objects.count() == 5
    assert UsageDay.objects.filter(key_id=0).count() == 1
    assert [*audit.findings_of_days()] == []


def test_call_that_is_concluded_twice_counts_once(key: str):
    [call] = called(key, ANSWER)
    batch.commit([Conclude(call, FAILURE)], again=True, now=NOON)

    assert UsageDay.objects.values_list("calls", "failed_calls").get() == (1, 0)


def test_record_and_day_are_written_together_or_not_at_all(key: str, monkeypatch: pytest.MonkeyPatch):
    [call] = batch.commit([admit(key)], again=False, now=NOON)
    nobody = rows.upsert(days.TABLE, days.KEY, days.SUMS, [{name: None for name, _ in days.KEY + days.SUMS}])
    monkeypatch.setattr(days, "add", lambda records: nobody)

    with pytest.raises(IntegrityError):
        batch.commit([Conclude(call, ANSWER)], again=False, now=NOON)

    assert (UsageRecord.objects.count(), UsageDay.objects.count()) == (0, 0)
    assert Hold.objects.get().status == Hold.Status.PENDING


# Days


@pytest.mark.parametrize(
    ("time_zone", "instant", "day"),
    [
        ("UTC", "2026-11-20T23:59:59.999999+00:00", date(2026, 11, 20)),
        ("Europe/Berlin", "2026-11-20T22:59:59+00:00", date(2026, 11, 20)),
        ("Europe/Berlin", "2026-11-20T23:00:00+00:00", date(2026, 11, 21)),
        # 23 hours: clocks go from 2 to 3.
        ("Europe/Berlin", "2026-03-28T22:59:59+00:00", date(2026, 3, 28)),
        ("Europe/Berlin", "2026-03-28T23:00:00+00:00", date(2026, 3, 29)),
        ("Europe/Berlin", "2026-03-29T21:59:59+00:00", date(2026, 3, 29)),
        ("Europe/Berlin", "2026-03-29T22:00:00+00:00", date(2026, 3, 30)),
        # 25 hours: clocks go from 3 to 2.
        ("Europe/Berlin", "2026-10-24T22:00:00+00:00", date(2026, 10, 25)),
        ("Europe/Berlin", "2026-10-25T22:59:59+00:00", date(2026, 10, 25)),
        ("Europe/Berlin", "2026-10-25T23:00:00+00:00", date(2026, 10, 26)),
        # Half an hour of summer time, and both ends of the world.
        ("Australia/Lord_Howe", "2026-04-04T13:29:59+00:00", date(2026, 4, 5)),
        ("Pacific/Kiritimati", "2026-11-20T10:00:00+00:00", date(2026, 11, 21)),
        ("Pacific/Niue", "2026-11-20T10:59:59+00:00", date(2026, 11, 19)),
    ],
)
def test_call_counts_on_the_day_where_its_customer_is(
    key: str, customer: Customer, time_zone: str, instant: str, day: date
):
    Customer.objects.filter(pk=customer.pk).update(time_zone=time_zone)

    called(key, ANSWER, now=datetime.fromisoformat(instant))

    assert (UsageDay.objects.get().day, UsageRecord.objects.get().day) == (day, day)


def test_call_counts_on_the_day_on_which_it_began(key: str):
    [call] = batch.commit([admit(key)], again=False, now=NOON)
    batch.commit([Conclude(call, ANSWER)], again=False, now=NOON + timedelta(hours=12))

    assert UsageDay.objects.get().day == date(2026, 11, 20)


def test_call_keeps_its_day_though_its_customer_moves(key: str, customer: Customer):
    late = datetime(2026, 11, 20, 23, tzinfo=UTC)
    [call] = batch.commit([admit(key)], again=False, now=late)
    Customer.objects.filter(pk=customer.pk).update(time_zone="Asia/Tokyo")
    batch.commit([Conclude(call, ANSWER)], again=False, now=late)
    called(key, ANSWER, now=late)

    assert sorted(UsageDay.objects.values_list("day", "calls")) == [(date(2026, 11, 20), 1), (date(2026, 11, 21), 1)]


def test_call_that_another_process_concludes_counts_on_the_same_day(key: str, customer: Customer):
    Customer.objects.filter(pk=customer.pk).update(time_zone="Asia/Tokyo")
    [call] = batch.commit([admit(key)], again=False, now=NOON + timedelta(hours=4))

    kept = Call.from_context(Hold.objects.get().context)

    assert (kept.day, call.day) == (date(2026, 11, 21), date(2026, 11, 21))


def test_call_that_was_admitted_before_there_were_days_counts_in_utc(key: str):
    batch.commit([admit(key)], again=False, now=NOON)
    context = Hold.objects.get().context
    del context["time_zone"]

    batch.commit([Conclude(Call.from_context(context), ANSWER)], again=False, now=NOON)

    assert UsageDay.objects.get().day == date(2026, 11, 20)


def test_time_zone_that_this_machine_does_not_know_stops_nobody(key: str, customer: Customer):
    Customer.objects.filter(pk=customer.pk).update(time_zone="Europe/Atlantis")

    called(key, ANSWER)

    assert UsageDay.objects.get().day == date(2026, 11, 20)


# Many at once


@pytest.mark.django_db(transaction=True)
def test_days_lose_nothing_when_many_write_them_at_once(settings: Any):
    accounts = [factories.account(balance="1000") for _ in range(3)]
    keys = [digest(factories.api_key(account.customer), pepper=settings.API_KEY_PEPPER) for account in accounts]

    def work(order: list[str]) -> None:
        for _ in range(5):
            calls = batch.commit([admit(key) for key in order], again=False, now=NOON)
            batch.commit([Conclude(call, ANSWER) for call in calls], again=False, now=NOON)

    outcomes = at_once(*[lambda order=order: work(order) for order in (keys, keys[::-1], keys, keys[::-1])])

    assert raised(outcomes) == []
    assert sorted(UsageDay.objects.values_list("calls", "charged")) == [(20, credits(20))] * 3


# The proof

BENT = {
    "charged": {"charged": F("charged") + 1},
    "calls": {"calls": F("calls") + 1},
    "failed calls": {"failed_calls": F("failed_calls") + 1},
    "prompt tokens": {"prompt_tokens": 0},
    "completion tokens": {"completion_tokens": 0},
    "cached tokens": {"cached_tokens": 0},
    "reasoning tokens": {"reasoning_tokens": 0},
    "provider cost picos": {"provider_cost_picos": 0},
}


@pytest.mark.books_are_cooked
@pytest.mark.parametrize("what", BENT)
def test_sum_that_was_changed_is_found_and_named(key: str, account: Account, what: str):
    called(key, ANSWER, ANSWER)
    assert [*audit.findings_of_days()] == []

    UsageDay.objects.update(**BENT[what])

    [finding] = audit.findings_of_days()
    key_id = ApiKey.objects.get().pk
    assert finding.rule == what
    assert finding.subject == (
        f"usage of customer {account.customer_id} on 2026-11-20 in credits "
        f"(ai_text_chat, openai/gpt-4o-mini, key {key_id})"
    )


@pytest.mark.books_are_cooked
@pytest.mark.parametrize("lost", [UsageDay, UsageRecord])
def test_day_or_record_that_is_missing_is_found(key: str, lost: Any):
    called(key, ANSWER)
    lost.objects.all()._raw_delete("default")

    found = {finding.rule: (finding.kept, finding.proved) for finding in audit.findings_of_days()}

    counted = ("0", "the sum of its records, 1,") if lost is UsageDay else ("1", "the sum of its records, 0,")
    assert found["calls"] == counted
    assert found["charged"] == tuple(text.replace("1", "10000000") for text in counted)


@pytest.mark.books_are_cooked
def test_check_ledger_fails_if_a_day_is_wrong(key: str, capsys: pytest.CaptureFixture[str]):
    called(key, ANSWER)
    UsageDay.objects.update(charged=0)

    with pytest.raises(Exception, match="1 differences"):
        call_command("check_ledger")

    assert "charged is 0, but the sum of its records, 10000000, is proved" in capsys.readouterr().err
