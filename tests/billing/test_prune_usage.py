"""Details of old calls are erased; the ledger and the sums stay, and are proved as before."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from accounts.profiles import forget_user
from billing import audit, retention
from billing.models import UsageDay, UsageRecord
from billing.retention import erase_details
from credits.models import Account, Draw, Hold, LedgerEntry
from tests import factories
from tests.racing import at_once, raised

SUMMARY = "/api/credits/usage/summary"


@pytest.fixture
def old(now: datetime) -> datetime:
    return now - timedelta(days=100)


def prune(*options: str, **more: Any) -> None:
    call_command("prune_usage", "--older-than", "90", *options, **more)


def sums() -> list[tuple[Any, ...]]:
    return sorted(
        UsageDay.objects.values_list(
            "customer", "day", "feature", "model", "key_id", "calls", "failed_calls", "charged", "provider_cost_picos",
            "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
        )
    )  # fmt: skip


def ledger() -> list[list[Any]]:
    kept: list[Any] = [Account, LedgerEntry, Draw]
    return [list(model.objects.order_by("pk").values()) for model in kept] + [
        list(Hold.objects.order_by("pk").values_list("id", "account", "amount", "settled", "status", "resolved_at"))
    ]


def test_records_of_old_calls_go_and_younger_ones_stay(account: Account, now: datetime, old: datetime):
    factories.usage(account, created_at=old)
    kept = factories.usage(account, created_at=now - timedelta(days=89))

    prune()

    assert list(UsageRecord.objects.all()) == [kept]


def test_ledger_and_sums_stay(account: Account, old: datetime):
    for tokens in (1, 2, 3):
        factories.usage(account, created_at=old, prompt_tokens=tokens, provider_cost_picos=5)
    before, booked = sums(), ledger()

    prune()

    assert (sums(), ledger()) == (before, booked)
    assert UsageDay.objects.get().erased_calls == 3


def test_hold_keeps_nothing_of_its_call(account: Account, old: datetime):
    factories.usage(account, created_at=old)
    Hold.objects.update(reference="gen-1", context={"request_id": "r-1", "terms": {}})

    prune()

    assert Hold.objects.values_list("reference", "context").get() == ("", {})


def test_summary_and_statement_are_as_before(api: Any, account: Account, now: datetime, old: datetime):
    factories.usage(account, "3", created_at=old, model="b")
    period = {"from": str(old.date()), "to": str(now.date()), "groupBy": "model"}
    before = api.get(SUMMARY, period).json()

    prune()

    assert api.get(SUMMARY, period).json() == before
    paid = api.get("/api/credits/transactions").json()["transactions"][0]
    assert (paid["amount"], paid["usageId"], paid["model"]) == ("-3", None, None)


def test_dry_run_counts_and_changes_nothing(account: Account, old: datetime, capsys: pytest.CaptureFixture[str]):
    factories.usage(account, created_at=old)

    prune("--dry-run")

    assert capsys.readouterr().out.startswith("1 records of before ")
    assert UsageRecord.objects.count() == 1
    assert UsageDay.objects.get().erased_calls == 0


def test_records_are_erased_in_bounded_batches(account: Account, old: datetime, monkeypatch: pytest.MonkeyPatch):
    made = [factories.usage(account, created_at=old + timedelta(minutes=(number + 1) // 2)) for number in range(5)]
    sizes = []

    def counted(**terms: Any) -> retention.Erased:
        erased = erase_details(**terms)
        sizes.append(erased.count)
        return erased

    monkeypatch.setattr("billing.management.commands.prune_usage.erase_details", counted)
    prune("--batch", "2")

    assert (sizes, UsageRecord.objects.count()) == ([2, 2, 1, 0], 0)
    assert UsageDay.objects.get().erased_calls == len(made)


def test_second_run_finds_nothing(account: Account, old: datetime, capsys: pytest.CaptureFixture[str]):
    factories.usage(account, created_at=old)
    prune()
    capsys.readouterr()

    prune()

    assert capsys.readouterr().out.startswith("0 records of before ")
    assert UsageDay.objects.get().erased_calls == 1


def test_batch_that_is_killed_has_erased_nothing(account: Account, old: datetime, monkeypatch: pytest.MonkeyPatch):
    factories.usage(account, created_at=old)
    Hold.objects.update(reference="gen-1")

    def die(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(UsageRecord.objects.all().__class__, "delete", die)
    with pytest.raises(KeyboardInterrupt):
        prune()

    assert UsageRecord.objects.count() == 1
    assert UsageDay.objects.get().erased_calls == 0
    assert Hold.objects.get().reference == "gen-1"


@pytest.mark.django_db(transaction=True)
def test_runs_beside_each_other_erase_each_record_once(now: datetime, old: datetime):
    account = factories.account(balance="100")
    for number in range(40):
        factories.usage(account, "0.1", created_at=old + timedelta(minutes=number))
    run = partial(prune, "--batch", "3", verbosity=0)

    outcomes = at_once(run, run, run)

    assert raised(outcomes) == []
    assert UsageRecord.objects.count() == 0
    assert UsageDay.objects.get().erased_calls == 40


@pytest.mark.books_are_cooked
def test_record_that_vanishes_otherwise_is_found(account: Account, old: datetime):
    factories.usage(account, created_at=old)
    factories.usage(account, created_at=old)
    erase_details(before=old + timedelta(days=1), limit=1)
    assert [*audit.findings_of_days()] == []

    UsageRecord.objects.all()._raw_delete("default")

    [finding] = audit.findings_of_days()
    assert (finding.rule, finding.kept, finding.proved) == ("calls", "2", "the sum of its records, 1,")


@pytest.mark.books_are_cooked
def test_record_that_is_more_than_its_day_is_found_though_others_were_erased(account: Account, old: datetime):
    factories.usage(account, created_at=old)
    kept = factories.usage(account, "2", created_at=old + timedelta(seconds=1))
    erase_details(before=old + timedelta(days=1), limit=1)
    assert kept == UsageRecord.objects.get()

    UsageRecord.objects.update(prompt_tokens=1)

    assert [finding.rule for finding in audit.findings_of_days()] == ["prompt tokens"]


@pytest.mark.parametrize(
    "options",
    [
        ["--older-than", "0"],
        ["--older-than", "-1"],
        ["--older-than", "x"],
        ["--older-than", "99999999999"],
        ["--older-than", "90", "--batch", "0"],
        ["--older-than", "90", "--batch", "10001"],
        [],
    ],
)
@pytest.mark.django_db
def test_command_that_makes_no_sense_is_refused(options: list[str]):
    with pytest.raises(CommandError):
        call_command("prune_usage", *options)


# People


@pytest.mark.django_db
def test_erasing_a_person_keeps_the_sums(now: datetime):
    person: User = factories.UserFactory.create(external_id="user_1")
    account = factories.account(person.personal_customer, "10")
    factories.usage(account, "3", prompt_tokens=5)
    before, booked = sums(), ledger()

    forget_user("user_1", now=now)

    assert (sums(), ledger()) == (before, booked)
    assert UsageRecord.objects.get().charged == 30_000_000


@pytest.mark.django_db
def test_calls_of_a_person_who_left_are_erased_in_batches_and_nobody_elses(now: datetime):
    person: User = factories.UserFactory.create(external_id="user_1")
    left = factories.account(person.personal_customer, "10")
    for minutes in (1, 1, 2):  # two at one instant, on both sides of the end of a batch
        factories.usage(left, "3", prompt_tokens=5, created_at=now - timedelta(minutes=minutes))
    kept = factories.usage(factories.account(balance="10"), created_at=now - timedelta(minutes=1))
    before, booked = sums(), ledger()
    forget_user("user_1", now=now)

    call_command("prune_usage", "--customer", str(person.personal_customer.pk), "--batch", "2")

    assert list(UsageRecord.objects.all()) == [kept]
    assert (sums(), ledger()) == (before, booked)
    assert [*audit.findings_of_days()] == []
    assert {(hold.reference, str(hold.context)) for hold in Hold.objects.filter(account=left)} == {("", "{}")}


@pytest.mark.django_db
def test_customer_that_does_not_exist_is_not_erased(account: Account, old: datetime):
    factories.usage(account, created_at=old)

    with pytest.raises(CommandError, match="no customer 99999"):
        call_command("prune_usage", "--customer", "99999", "--older-than", "1")

    assert UsageRecord.objects.count() == 1
