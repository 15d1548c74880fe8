"""A closed day is sealed once and for good, and a seal finds what no chain can: a past that was rewritten whole."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from credits import audit, chains, seals
from credits.findings import Finding
from credits.ledger import chain
from credits.models import Account, Grant, LedgerEntry, Seal
from credits.seals import DayIsOpen, DayIsPast, SealIsBroken, end_of, seal_day, text_of
from tests import factories
from tests.management.commands.flush import without_triggers
from tests.racing import at_once

pytestmark = pytest.mark.django_db

DAYS = {number: date(2026, 3, number) for number in range(1, 10)}


def noon(day: int) -> datetime:
    return datetime(2026, 3, day, 12, tzinfo=UTC)


@pytest.fixture
def ledger(db: None) -> list[Account]:
    """Three accounts: two that moved on 1 March, one of them on the 2nd and 3rd too, and one from the 3rd on."""
    accounts = [factories.account() for _ in range(3)]
    for account, days in zip(accounts, ([1, 2, 2, 3], [1], [3]), strict=True):
        for day in days:
            factories.grant(account, "1", now=noon(day))
    return accounts


def seal(day: int) -> Seal:
    return seal_day(DAYS[day], now=noon(9))


def head(account: Account, sequence: int) -> str:
    return f"{account.pk} {sequence} {account.entries.get(sequence=sequence).digest}\n"


def found(since: Seal | None = None) -> list[Finding]:
    return list(audit.findings(lambda entries: None, since=since))


def test_seal_is_the_digest_of_a_text_that_anybody_can_check(ledger: list[Account]):
    first, second = seal(2), seal(3)

    texts = {sealed.day: b"".join(text_of(sealed)).decode() for sealed in (first, second)}

    assert texts == {
        DAYS[2]: "seal 2026-03-02 -\n" + head(ledger[0], 3) + head(ledger[1], 1),
        DAYS[3]: f"seal 2026-03-03 {first.digest}\n" + head(ledger[0], 4) + head(ledger[1], 1) + head(ledger[2], 1),
    }
    for sealed, (accounts, entries) in ((first, (2, 4)), (second, (3, 6))):
        assert sealed.digest == hashlib.sha256(texts[sealed.day].encode()).hexdigest()
        assert (sealed.accounts, sealed.entries) == (accounts, entries)
    assert (first.previous, second.previous) == ("", first.digest)


def test_day_is_sealed_once(ledger: list[Account]):
    first = seal(2)
    again = seal_day(DAYS[2], now=noon(9) + timedelta(days=1))

    assert again == first
    assert Seal.objects.count() == 1


def test_day_before_the_first_entry_can_be_sealed(db: None):
    assert (seal(1).accounts, seal(1).entries) == (0, 0)


def test_open_day_is_not_sealed(ledger: list[Account]):
    midnight = datetime(2026, 3, 4, tzinfo=UTC)
    for now in (noon(3), midnight, midnight + seals.SETTLING - timedelta(microseconds=1)):
        with pytest.raises(DayIsOpen, match="2026-03-03 is open until 2026-03-04 00:05 UTC"):
            seal_day(DAYS[3], now=now)

    assert seal_day(DAYS[3], now=midnight + seals.SETTLING).entries == 6


def test_day_before_a_sealed_one_is_not_sealed(ledger: list[Account]):
    seal(3)

    with pytest.raises(DayIsPast):
        seal(2)


def test_entry_at_midnight_belongs_to_the_day_that_begins(db: None):
    account = factories.account()
    factories.grant(account, "1", now=end_of(DAYS[1]) - timedelta(microseconds=1))
    factories.grant(account, "1", now=end_of(DAYS[1]))

    assert [seal(day).entries for day in (1, 2)] == [1, 2]


@pytest.mark.parametrize("accounts_a_read", [1, 2, 3, 2000])
def test_seals_are_the_same_in_however_many_reads(
    ledger: list[Account], monkeypatch: pytest.MonkeyPatch, accounts_a_read: int
):
    text = b"".join(text_of(seal(3)))
    monkeypatch.setattr(seals, "ACCOUNTS_A_READ", accounts_a_read)

    assert b"".join(text_of(seal(3))) == text


@pytest.mark.django_db(transaction=True)
def test_racing_sealers_make_one_seal(ledger: list[Account]):
    made = at_once(*[lambda: seal(3)] * 6)

    assert {sealed.pk for sealed in made} == {Seal.objects.get().pk}


# Final


def save_changed(row: Seal) -> None:
    row.entries += 1
    row.save()


@pytest.mark.parametrize(
    "attack",
    [
        save_changed,
        lambda row: Seal.objects.update(digest="0" * 64),
        lambda row: row.delete(),
        lambda row: Seal.objects.all()._raw_delete("default"),
    ],
    ids=["save", "update", "delete", "delete without collecting"],
)
def test_orm_changes_no_seal(ledger: list[Account], attack: Any):
    refused(lambda: attack(seal(3)))


STATEMENTS = ["UPDATE credits_seal SET day = day", "DELETE FROM credits_seal"]
STATEMENTS += (
    ["TRUNCATE credits_seal", "SET LOCAL session_replication_role = replica; DELETE FROM credits_seal"]
    if connection.vendor == "postgresql"
    else [
        f"INSERT OR REPLACE INTO credits_seal SELECT {columns} FROM credits_seal"
        for columns in (
            "id, '2000-01-01', 0, 0, 'a', 'b', created_at",
            "id + 1, day, 0, 0, 'a', 'b', created_at",
            "id + 1, '2000-01-01', 0, 0, previous, 'b', created_at",
            "id + 1, '2000-01-01', 0, 0, 'a', digest, created_at",
        )
    ]
)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_sql_changes_no_seal(ledger: list[Account], statement: str):
    seal(3)

    def attack() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    refused(attack)


def refused(attack: Any) -> None:
    before = list(Seal.objects.values())
    with pytest.raises(DatabaseError, match="Seals are final"), transaction.atomic():
        attack()
    assert list(Seal.objects.values()) == before or not before


# Proof


def test_proof_agrees_with_every_seal_from_each_day_on(ledger: list[Account]):
    sealed = [seal(day) for day in (1, 2, 3, 5)]
    factories.grant(ledger[2], "1", now=noon(6))

    assert found() == []
    assert [found(since) for since in sealed] == [[]] * 4


def test_account_that_rests_behind_all_others_is_in_every_later_seal(db: None):
    moving, resting = factories.account(), factories.account()
    for account, day in ((moving, 1), (resting, 1), (moving, 3)):
        factories.grant(account, "1", now=noon(day))
    first = seal(1)
    assert seal(3).accounts == 2

    assert found(first) == []


def test_entries_before_the_sealed_day_are_not_walked_again(ledger: list[Account], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chains, "ENTRIES_A_READ", 1)
    sealed = {day: seal(day) for day in (1, 2, 3)}

    def walked(since: Seal | None) -> int:
        progress: list[int] = [0]
        assert list(audit.findings(progress.append, since=since)) == []
        return progress[-1]

    assert [walked(since) for since in (None, sealed[1], sealed[2], sealed[3])] == [6, 4, 2, 0]


@contextmanager
def forger() -> Iterator[None]:
    """What somebody can do who may do anything with the database."""
    connection.check_constraints()
    with without_triggers(connection):
        yield
        connection.check_constraints()


def rewrite(account: Account) -> None:
    """Forge the past perfectly: another memo, all digests from there on, and the account's."""
    with forger():
        account.entries.filter(sequence=2).update(memo="forged")
        digest = ""
        for entry in account.entries.order_by("sequence"):
            digest = chain(digest, account.pk, chains._stated(entry))
            account.entries.filter(pk=entry.pk).update(digest=digest)
        Account.objects.filter(pk=account.pk).update(head=digest)


@pytest.mark.books_are_cooked
def test_past_that_was_rewritten_whole_is_found_by_its_seals_alone(ledger: list[Account]):
    rewrite(ledger[0])
    assert found() == []

    sealed = {day: seal(day) for day in (1, 2, 3)}
    rewrite_again = ledger[0].entries.filter(sequence=1)
    with forger():
        rewrite_again.update(memo="forged again")
    rewrite(ledger[0])

    assert [(finding.subject, finding.rule) for finding in found()] == [
        (f"Seal of 2026-03-0{day}", "digest") for day in (1, 2, 3)
    ]
    assert [(finding.subject, finding.rule) for finding in found(sealed[2])] == [
        ("Seal of 2026-03-02", "digest"),
        ("Seal of 2026-03-03", "digest"),
    ]
    with pytest.raises(SealIsBroken):
        list(text_of(sealed[2]))


@pytest.mark.books_are_cooked
def test_entry_of_a_sealed_day_that_was_added_later_is_found(ledger: list[Account]):
    seal(3)
    factories.grant(ledger[1], "1", now=noon(2))

    assert {(finding.subject, finding.rule) for finding in found()} == {
        ("Seal of 2026-03-03", "entries"),
        ("Seal of 2026-03-03", "digest"),
        ("day total of GRANT on 2026-03-02 in credits", "the sum of its entries"),
    }


@pytest.mark.books_are_cooked
def test_account_of_a_sealed_day_that_was_added_later_is_found(ledger: list[Account]):
    seal(3)
    factories.grant(factories.account(), "1", now=noon(2))

    of_the_seal = [(finding.rule, finding.kept, finding.proved) for finding in found() if "Seal" in finding.subject]
    assert of_the_seal[:2] == [("accounts", "3", "4"), ("entries", "6", "7")]
    assert [rule for rule, _, _ in of_the_seal] == ["accounts", "entries", "digest"]


@pytest.mark.books_are_cooked
def test_seal_that_was_taken_out_is_missed(ledger: list[Account]):
    first, second, third = seal(1), seal(2), seal(3)
    with forger():
        Seal.objects.filter(pk=second.pk).delete()

    assert [(finding.subject, finding.rule, finding.kept, finding.proved) for finding in found()] == [
        (str(third), "the seal before it", second.digest, first.digest)
    ]


@pytest.mark.books_are_cooked
def test_sums_are_whole_even_from_a_sealed_day_on(ledger: list[Account]):
    since = seal(3)
    Grant.objects.filter(account=ledger[1]).update(remaining=F("remaining") - 1)

    assert {finding.rule for finding in found(since)} == {"balance", "remaining"}


@pytest.mark.books_are_cooked
def test_forgery_after_the_sealed_day_is_found_from_there_on(ledger: list[Account]):
    since = seal(2)
    with forger():
        LedgerEntry.objects.filter(account=ledger[2]).update(actor="nobody")

    assert [finding.rule for finding in found(since)] == ["digest"]


# The commands


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_command_seals_yesterday_and_exports_what_it_sealed(
    ledger: list[Account], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("django.utils.timezone.now", lambda: noon(4))
    file = tmp_path / "seal"

    said = run("seal_ledger", "--export", str(file))

    sealed = Seal.objects.get()
    assert sealed.day == DAYS[3]
    assert said == f"Seal of 2026-03-03: {sealed.digest} over 6 entries of 3 accounts.\n"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == sealed.digest
    assert run("seal_ledger", "--export", str(file)) == said


def test_command_seals_the_day_that_is_named(ledger: list[Account]):
    assert run("seal_ledger", "--day", "2026-03-03").endswith("over 6 entries of 3 accounts.\n")
    with pytest.raises(CommandError, match="2026-03-03 is sealed already, and 2026-03-02 with it"):
        run("seal_ledger", "--day", "2026-03-02")
    with pytest.raises(CommandError, match="is open until"):
        run("seal_ledger", "--day", "2100-01-01")


def test_check_starts_from_a_sealed_day_only(ledger: list[Account]):
    seal(3)

    assert run("check_ledger", "--since", "2026-03-03") == "The ledger is in balance.\n"
    with pytest.raises(CommandError, match="2026-03-02 is not sealed"):
        run("check_ledger", "--since", "2026-03-02")
