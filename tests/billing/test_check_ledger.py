"""The proof of the ledger finds what was falsified, names it, and is not misled by money that moves."""

import io
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F

from billing import audit as usage
from billing.management.commands.check_ledger import Command
from billing.models import Price, UsageRecord
from credits import audit, chains, services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.findings import Finding
from credits.models import Account, Draw, Grant, Hold, LedgerEntry, Reversal
from credits.reversals import reverse, void_grant
from tests import factories
from tests.management.commands.flush import without_triggers
from tests.racing import at_once, raised

HOUR = timedelta(hours=1)


class Books:
    """
    What a forger finds: an account that was given 100 and 50, paid 40 for one call of the two
    that were held, and lost 2 to an adjustment; and another account, with 10.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.account = factories.account(balance="100")
        self.first = Grant.objects.get()
        self.second = factories.grant(self.account, "50", now=now, expires_at=now + HOUR)
        self.other = factories.account(balance="10")
        self.source = Grant.objects.get(account=self.other).source
        self.paid = factories.usage(self.account, "40")
        self.pending = self.hold(60)
        services.adjust(account=self.account, amount=credits(-2), reference="T", memo="m", actor="user:1", now=now)

    def hold(self, amount: int) -> Hold:
        request = HoldRequest(services.new_hold_id(), self.account.pk, None, credits(amount), self.now + HOUR)
        [hold] = services.place_holds([request], now=self.now)
        assert isinstance(hold, Hold)
        return hold

    def entry(self, kind: str) -> Any:
        return LedgerEntry.objects.filter(account=self.account, kind=kind)


@pytest.fixture
def books(db: None, now: datetime) -> Books:
    return Books(now)


def found() -> list[Finding]:
    return [*audit.findings(lambda entries: None), *usage.findings()]


def update(rows: Any, **changes: Any) -> int:
    changed: int = rows.update(**changes)
    assert changed > 0
    return changed


def swap(entries: Any) -> None:
    """Let two entries change places."""
    first, second = entries.order_by("sequence")[:2]
    for entry, sequence in ((first, -1), (second, first.sequence), (first, second.sequence)):
        LedgerEntry.objects.filter(pk=entry.pk).update(sequence=sequence)


def spend_beyond_the_draw(books: Books) -> None:
    update(Draw.objects.filter(hold=books.paid.hold), amount=credits(40) - 1)
    Draw.objects.create(hold=books.paid.hold, grant=books.first, amount=1)


Plant = Callable[[Books], Any]
#: What is planted, and who is found to break which rule.
CORRUPTIONS: dict[str, tuple[Plant, list[str]]] = {
    "balance raised": (
        lambda books: update(Account.objects.filter(pk=books.account.pk), balance=F("balance") + 1),
        ["account A: balance is 108.0000001, but the sum of its entries, 108,",
         "account A: balance is 108.0000001, but what is left of its grants, 108,"],
    ),
    "held lowered": (
        lambda books: update(Account.objects.filter(pk=books.account.pk), held=0),
        ["account A: held is 0, but the sum of its pending holds, 60,",
         "account A: held is 0, but what is held of its grants, 60,"],
    ),
    "phantom hold": (
        lambda books: Hold.objects.create(
            id=services.new_hold_id(), account=books.account, amount=1, expires_at=books.now
        ),
        ["account A: held is 60, but the sum of its pending holds, 60.0000001,",
         "hold * of account A: amount is 0.0000001, but the sum of its draws, 0,"],
    ),
    "hold without a draw": (
        lambda books: Draw.objects.filter(hold=books.pending, grant=books.first).delete(),
        ["grant F of account A: held is 50, but what pending holds have drawn, 0,",
         "hold * of account A: amount is 60, but the sum of its draws, 10,"],
    ),
    "draw on another account": (
        lambda books: update(Draw.objects.filter(hold=books.paid.hold), grant=Grant.objects.get(account=books.other)),
        ["hold * of account A: what it has drawn on is grant O of account B, but a grant of its own account",
         "ledger entry 3 of account A: amount is 40, but at most what its hold has drawn on grant S, 0,"],
    ),
    "hold forgotten": (
        lambda books: update(Hold.objects.filter(pk=books.pending.pk), status="RELEASED", resolved_at=books.now),
        ["account A: held is 60, but the sum of its pending holds, 0,",
         "grant F of account A: held is 50, but what pending holds have drawn, 0,",
         "grant S of account A: held is 10, but what pending holds have drawn, 0,"],
    ),
    "settled lowered": (
        lambda books: update(Hold.objects.filter(pk=books.paid.hold_id), settled=credits(39)),
        ["hold * of account A: settled is 39, but the sum of its entries, 40,",
         "usage record * of account A: charged is 40, but what its hold settled, 39,"],
    ),
    "grant refilled": (
        lambda books: update(Grant.objects.filter(pk=books.second.pk), remaining=credits(50)),
        ["account A: balance is 108, but what is left of its grants, 148,",
         "grant S of account A: remaining is 50, but the sum of its entries, 10,"],
    ),
    "grant made larger": (
        lambda books: update(Grant.objects.filter(pk=books.second.pk), amount=credits(500)),
        ["grant S of account A: given is 500, but its first entry, 50,"],
    ),
    "grant given to another account": (
        lambda books: update(Grant.objects.filter(pk=books.second.pk), account=books.other),
        ["account A: balance is 108, but what is left of its grants, 98,",
         "account A: held is 60, but what is held of its grants, 50,",
         "account B: balance is 10, but what is left of its grants, 20,",
         "account B: held is 0, but what is held of its grants, 10,",
         "hold * of account A: what it has drawn on is grant S of account B, but a grant of its own account",
         "hold * of account A: what it has drawn on is grant S of account B, but a grant of its own account",
         "ledger entry 2 of account A: the account of its grant is B, but A",
         "ledger entry 3 of account A: the account of its grant is B, but A"],
    ),
    "hold given to another account": (
        lambda books: update(Hold.objects.filter(pk=books.paid.hold_id), account=books.other),
        ["hold * of account B: what it has drawn on is grant S of account A, but a grant of its own account",
         "ledger entry 3 of account A: the account of its hold is B, but A",
         "usage record * of account B: customer id is *, but whose account its hold is on"],
    ),
    "grant that waits again": (
        lambda books: (
            services.bring_up_to_date([books.account.pk], now=books.now + HOUR),
            services.release_holds([books.pending.pk.hex], now=books.now + HOUR),
            update(Grant.objects.filter(pk=books.second.pk), booked_at=None),
        ),
        ["grant S of account A: given is 0, but its first entry, 50,"],
    ),
    "entry's amount changed": (
        lambda books: update(books.entry("ADJUSTMENT"), amount=credits(-1)),
        ["account A: balance is 108, but the sum of its entries, 109,",
         "grant F of account A: remaining is 98, but the sum of its entries, 99,",
         "ledger entry 4 of account A: balance after is 108, but 109",
         "ledger entry 4 of account A: digest is *, but *"],
    ),
    "entry's memo changed": (
        lambda books: update(books.entry("ADJUSTMENT"), memo="forged"),
        ["ledger entry 4 of account A: digest is *, but *"],
    ),
    "adjustment of nobody's for no reason": (
        lambda books: update(books.entry("ADJUSTMENT"), actor="", memo="", reference=""),
        ["ledger entry 4 of account A: actor is empty, but one of every adjustment",
         "ledger entry 4 of account A: memo is empty, but one of every adjustment",
         "ledger entry 4 of account A: reference is empty, but one of every adjustment",
         "ledger entry 4 of account A: digest is *, but *"],
    ),
    "gift of nobody's for no reason": (
        lambda books: update(Grant.objects.filter(pk=books.first.pk), category="ADJUSTMENT", actor="", memo=""),
        ["grant F of account A: actor is empty, but one of every adjustment",
         "grant F of account A: memo is empty, but one of every adjustment"],
    ),
    "entry's instant changed": (
        lambda books: update(books.entry("USAGE"), created_at=F("created_at") - timedelta(microseconds=1)),
        ["ledger entry 3 of account A: digest is *, but *"],
    ),
    "entry deleted": (
        lambda books: books.entry("USAGE")._raw_delete("default"),
        ["account A: balance is 108, but the sum of its entries, 148,",
         "grant S of account A: remaining is 10, but the sum of its entries, 50,",
         "hold * of account A: settled is 40, but the sum of its entries, 0,",
         "ledger entry 4 of account A: digest is *, but *",
         "ledger entry 4 of account A: sequence is 4, but 3",
         "ledger entry 4 of account A: balance after is 108, but 148"],
    ),
    "newest entry deleted": (
        lambda books: books.entry("ADJUSTMENT")._raw_delete("default"),
        ["account A: balance is 108, but the sum of its entries, 110,",
         "grant F of account A: remaining is 98, but the sum of its entries, 100,",
         "account A: the end of its chain is entry 4 with digest *, but entry 3 with digest *"],
    ),
    "entry beyond the end": (
        lambda books: LedgerEntry.objects.create(
            account=books.other, grant=Grant.objects.get(account=books.other), sequence=2, kind="ADJUSTMENT",
            amount=-1, balance_after=credits(10) - 1, actor="nobody", created_at=books.now, digest="f" * 64,
        ),
        ["account B: balance is 10, but the sum of its entries, 9.9999999,",
         "grant O of account B: remaining is 10, but the sum of its entries, 9.9999999,",
         "ledger entry 2 of account B: memo is empty, but one of every adjustment",
         "ledger entry 2 of account B: reference is empty, but one of every adjustment",
         "ledger entry 2 of account B: digest is *, but *",
         "account B: the end of its chain is entry 1 with digest *, but entry 2 with digest *"],
    ),
    "entry moved to another account": (
        lambda books: update(books.entry("ADJUSTMENT"), account=books.other),
        ["account A: balance is 108, but the sum of its entries, 110,",
         "account B: balance is 10, but the sum of its entries, 8,",
         "ledger entry 4 of account B: *", "ledger entry 4 of account B: *", "ledger entry 4 of account B: *",
         "ledger entry 4 of account B: the account of its grant is A, but B",
         "account A: the end of its chain *", "account B: the end of its chain *"],
    ),
    "entries in another order": (
        lambda books: swap(books.entry("GRANT")),
        ["ledger entry 1 of account A: balance after is 150, but 50",
         "ledger entry 1 of account A: digest is *, but *",
         "ledger entry 2 of account A: balance after is 100, but 250",
         "ledger entry 2 of account A: digest is *, but *",
         "ledger entry 3 of account A: balance after is 110, but 60",
         "ledger entry 3 of account A: digest is *, but *"],
    ),
    "entry numbered 0": (
        lambda books: update(books.entry("ADJUSTMENT"), sequence=0),
        ["ledger entry 0 of account A: sequence is 0, but 1",
         "ledger entry 0 of account A: balance after is 108, but -2",
         "ledger entry 0 of account A: digest is *, but *",
         "ledger entry 1 of account A: balance after is 100, but 208",
         "ledger entry 1 of account A: digest is *, but *",
         "account A: the end of its chain is entry 4 with digest *, but entry 3 with digest *"],
    ),
    "wrong head": (
        lambda books: update(Account.objects.filter(pk=books.account.pk), head="0" * 64),
        ["account A: the end of its chain is entry 4 with digest 000000000000…, but entry 4 with digest *"],
    ),
    "wrong count": (
        lambda books: update(Account.objects.filter(pk=books.account.pk), entry_count=5),
        ["account A: the end of its chain is entry 5 with digest *, but entry 4 with digest *"],
    ),
    "head of an account without entries": (
        lambda books: Account.objects.create(
            customer=books.other.customer, currency="usdc", entry_count=1, head="0" * 64
        ),
        ["account *: the end of its chain is entry 1 with digest 000000000000…, but no entry"],
    ),
    "usage beyond its draw": (
        spend_beyond_the_draw,
        ["ledger entry 3 of account A: amount is 40, but at most what its hold has drawn on grant S, 39.9999999,"],
    ),
    "debt of nothing": (
        lambda books: update(Account.objects.filter(pk=books.account.pk), owed=1),
        ["account A: owed is 0.0000001, but the sum of its reversals, 0,"],
    ),
    "session that has lent to nobody": (
        lambda books: update(Hold.objects.filter(pk=books.pending.pk), lent=credits(1)),
        ["account A: held is 60, but the sum of its pending holds, 59,",
         "hold * of account A: amount is 60, but the sum of its draws, 61,",
         "hold * of account A: lent is 1, but what is drawn from it, 0,"],
    ),
    "reversal that took nothing": (
        lambda books: Reversal.objects.create(
            account=books.account, source="s", key="k", kind="REFUND", asked=5, taken=5, actor="system", as_of=books.now
        ),
        ["reversal * of account A: taken is 0.0000005, but the sum of its entries, 0,"],
    ),
    "reversal that gave up": (
        lambda books: (
            reverse(
                account=books.account, source=books.first.source, key="re_1", kind="REFUND", asked=credits(10),
                as_of=books.now, actor="system", now=books.now,
            ),
            update(Reversal.objects.all(), asked=credits(30)),
        ),
        ["grant F of account A: reversed is 10, but what is asked of it, 30,"],
    ),
    "debt excused as if the grant had expired": (
        lambda books: (
            reverse(
                account=books.account, source=books.second.source, key="re_1", kind="REFUND", asked=credits(50),
                as_of=books.now, actor="system", now=books.now,
            ),
            update(Reversal.objects.all(), owed=0, lapsed=credits(50)),
            update(Account.objects.filter(pk=books.account.pk), owed=0),
        ),
        ["grant S of account A: excused is 50, but at most what has expired of it or was voided, 0,"],
    ),
    "usage charged less": (
        lambda books: update(UsageRecord.objects.filter(pk=books.paid.pk), charged=credits(1)),
        ["usage record * of account A: charged is 1, but what its hold settled, 40,"],
    ),
    "usage of another customer": (
        lambda books: update(UsageRecord.objects.filter(pk=books.paid.pk), customer=books.other.customer),
        ["usage record * of account A: customer id is *, but whose account its hold is on"],
    ),
    "usage of a hold that is pending": (
        lambda books: UsageRecord.objects.create(
            hold=books.pending, customer=books.account.customer, feature="ai_text_chat", price=books.paid.price,
            status="COMPLETED", held=credits(60), charged=0, provider="p", model="m", created_at=books.now,
            day=books.now.date(),
        ),
        ["usage record * of account A: status of hold is PENDING, but a resolved hold"],
    ),
    "usage with a key of nobody's": (
        lambda books: update(UsageRecord.objects.filter(pk=books.paid.pk), api_key_id=10**9),
        ["usage record * of account A: api key id is 1000000000, but one of its customer's keys"],
    ),
    "usage with a price of another feature": (
        lambda books: update(
            UsageRecord.objects.filter(pk=books.paid.pk),
            price=Price.objects.exclude(feature=books.paid.feature).earliest("pk"),
        ),
        ["usage record * of account A: price id is *, but one of its feature's prices"],
    ),
    "shortfall of a hold that was not spent": (
        lambda books: (
            update(UsageRecord.objects.filter(pk=books.paid.pk), shortfall=7, held=credits(41)),
        ),
        ["usage record * of account A: held is 41, but what its hold set aside, 40,",
         "usage record * of account A: shortfall is 7, but none as long as its hold is not spent"],
    ),
    "call without a usage record": (
        lambda books: (
            update(Hold.objects.filter(pk=books.paid.hold_id), context={"terms": {}}),
            UsageRecord.objects.all()._raw_delete("default"),
        ),
        ["hold * of account A: its usage record is missing, but that it was resolved"],
    ),
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.books_are_cooked
@pytest.mark.parametrize(("plant", "expected"), CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_what_was_falsified_is_found_and_named(books: Books, plant: Plant, expected: list[str]):
    assert found() == []
    connection.check_constraints()

    with without_triggers(connection):
        plant(books)
        connection.check_constraints()

    assert unexpected(found(), expected, books) == ([], [])


@pytest.mark.django_db
def test_grant_that_waits_is_no_difference(books: Books):
    factories.grant(books.account, "5", now=books.now, effective_at=books.now + HOUR)

    assert found() == []


@pytest.mark.django_db
def test_session_of_which_a_call_was_paid_and_another_runs_is_no_difference(books: Books):
    session = books.hold(20).pk.hex
    paid, running = (services.new_hold_id() for _ in range(2))
    for hold_id, amount in ((paid, 5), (running, 6)):
        request = HoldRequest(hold_id, books.account.pk, None, credits(amount), books.now + HOUR, parent_id=session)
        services.place_holds([request], now=books.now)
    services.settle_holds([(paid, credits(3))], actor="system", now=books.now)
    assert Hold.objects.get(pk=session).lent == credits(9)

    assert found() == []


@pytest.mark.django_db
def test_refunds_of_what_had_lapsed_or_was_spent_are_no_difference(books: Books):
    terms: dict[str, Any] = {"actor": "system", "now": books.now + HOUR}
    waiting = factories.grant(books.account, "5", now=books.now, effective_at=books.now + 2 * HOUR, source="waiting")
    factories.grant(books.account, "7", now=books.now, expires_at=books.now + HOUR, source="expired")
    void_grant(grant=waiting, memo="Mistake.", **terms)
    for source, amount in (("waiting", 5), ("expired", 7), (books.first.source, 100)):
        asked = {"source": source, "key": f"re:{source}", "asked": credits(amount)}
        reverse(account=books.account, kind="REFUND", as_of=books.now, **asked, **terms)
    came_to = Reversal.objects.order_by("pk").values_list("taken", "lapsed", "owed")
    assert list(came_to) == [(0, credits(5), 0), (0, credits(7), 0), (credits(48), 0, credits(52))]

    assert found() == []


def unexpected(findings: list[Finding], expected: list[str], books: Books) -> tuple[list[str], list[str]]:
    """What was found and not expected, and what was expected and not found."""
    names = {"A": books.account, "B": books.other, "F": books.first, "S": books.second}
    names["O"] = LedgerEntry.objects.filter(grant__source=books.source).first().grant
    left = [str(finding).removesuffix(" is proved") for finding in findings]
    missing = []
    for text in expected:
        pattern = re.sub(r"\b[ABFSO]\b", lambda word: str(names[word[0]].pk), text)
        match = next((each for each in left if fnmatchcase(each, pattern)), None)
        if match is None:
            missing.append(pattern)
        else:
            left.remove(match)
    return left, missing


@pytest.mark.django_db
def test_command_says_so_when_all_is_well(books: Books, capsys: pytest.CaptureFixture[str]):
    call_command("check_ledger")

    assert capsys.readouterr().out == "The ledger is in balance.\n"


@pytest.mark.django_db
@pytest.mark.books_are_cooked
def test_command_fails_and_lists_what_it_found(books: Books, capsys: pytest.CaptureFixture[str]):
    Account.objects.filter(pk=books.other.pk).update(balance=credits(11))

    with pytest.raises(CommandError, match=r"^The ledger is NOT in balance: 2 differences\.$"):
        call_command("check_ledger")

    assert capsys.readouterr().err.splitlines() == [
        f"account {books.other.pk}: balance is 11, but the sum of its entries, 10, is proved",
        f"account {books.other.pk}: balance is 11, but what is left of its grants, 10, is proved",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.books_are_cooked
@pytest.mark.parametrize(("balance", "status"), [(10, None), (11, 1)])
def test_exit_status_tells_scripts(now: datetime, balance: int, status: int | None):
    books = Books(now)
    Account.objects.filter(pk=books.other.pk).update(balance=credits(balance))

    try:
        Command().run_from_argv(["manage.py", "check_ledger"])
        ended = None
    except SystemExit as end:
        ended = end.code

    assert ended == status


@pytest.mark.django_db
def test_progress_is_told_to_a_terminal(books: Books, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chains, "ENTRIES_A_READ", 2)
    told: list[int] = []

    assert list(audit.findings(told.append)) == []

    assert told == [2, 4]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.django_db
@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_progress_is_shown_to_people_only(
    books: Books, monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], shown: bool
):
    monkeypatch.setattr(chains, "ENTRIES_A_READ", 2)
    errors = stream()

    call_command("check_ledger", stderr=errors)

    assert ("4 entries proved" in errors.getvalue()) is shown


# While money moves


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_ledger_is_in_balance_at_every_instant_while_money_moves(now: datetime):
    accounts = [factories.account(balance="1000") for _ in range(3)]
    stop = threading.Event()

    def move(account: Account) -> int:
        moves = 0
        while not stop.is_set():
            factories.usage(account, "0.1")
            factories.grant(account, "0.1", now=now)
            moves += 1
        return moves

    def prove() -> list[Finding]:
        differences = []
        try:
            for _ in range(20):
                with audit.snapshot():
                    differences += found()
        finally:
            stop.set()
        return differences

    *moves, differences = at_once(*[partial(move, account) for account in accounts], prove)

    assert raised([*moves, differences]) == []
    assert differences == []
    assert min(moves) > 0


@pytest.mark.django_db(transaction=True)
def test_snapshot_sees_nothing_of_what_happens_after_it_began(now: datetime):
    books = Books(now)

    with audit.snapshot():
        before = list(Account.objects.order_by("pk").values_list())
        [grant] = at_once(partial(factories.grant, books.account, "1", now=now))
        after = list(Account.objects.order_by("pk").values_list())

    assert isinstance(grant, Grant)
    assert after == before
    assert list(Account.objects.order_by("pk").values_list()) != before


@pytest.mark.django_db(transaction=True)
def test_transactions_are_as_before_after_a_snapshot(now: datetime):
    usual = getattr(connection, "transaction_mode", None)

    with audit.snapshot():
        assert found() == []

    assert getattr(connection, "transaction_mode", None) == usual
    assert isinstance(factories.account(balance="1"), Account)


@pytest.mark.django_db
def test_snapshot_inside_a_transaction_is_that_transactions(books: Books):
    factories.grant(books.account, "1")

    with audit.snapshot():
        assert found() == []
