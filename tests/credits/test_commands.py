"""What operators type: each refusal is one sentence, each repetition harmless."""

import re
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Customer
from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, Grant, Hold, LedgerEntry
from tests import factories
from tests.racing import at_once, raised

HOUR = timedelta(hours=1)


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: object) -> list[str]:
        self.capsys.readouterr()
        call_command(*map(str, words))
        return self.capsys.readouterr().out.splitlines()


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def sums(account: Account) -> tuple[int, int]:
    account.refresh_from_db()
    return account.balance, account.held


# adjust_credits

WHY = ["--reference", "T-1", "--memo", "Sorry."]


@pytest.mark.parametrize(
    ("amount", "balance"), [("5", "105"), ("-2.5", "97.5"), ("-100", "0"), ("0.0000001", "100.0000001")]
)
def test_balance_is_adjusted(shell: Shell, account: Account, amount: str, balance: str):
    said = shell("adjust_credits", account.customer_id, amount, *WHY)

    entry = LedgerEntry.objects.latest("pk")
    assert said == [f"{account} went from 100 to {balance}."]
    assert (entry.actor, entry.memo) == ("command:adjust_credits", "Sorry.")
    assert f"adjustment:{account.pk}:T-1" in (entry.reference, entry.grant.source)
    assert entry.balance_after == sums(account)[0]


def test_correction_of_several_grants_is_told_as_one(shell: Shell, account: Account):
    factories.grant(account, "20")

    assert shell("adjust_credits", account.customer_id, "-110", *WHY) == [f"{account} went from 120 to 10."]


def test_id_of_a_customer_goes_before_what_another_system_calls_somebody_else(shell: Shell, account: Account):
    factories.TeamFactory.create(external_id=str(account.customer_id))

    assert shell("adjust_credits", account.customer_id, "5", *WHY) == [f"{account} went from 100 to 105."]


def test_id_of_a_customer_goes_before_what_another_system_calls_a_person(shell: Shell, account: Account):
    factories.UserFactory.create(external_id=str(account.customer_id))

    assert shell("adjust_credits", account.customer_id, "5", *WHY) == [f"{account} went from 100 to 105."]


@pytest.mark.parametrize("amount", ["5", "-5"])
def test_same_reference_adjusts_once(shell: Shell, account: Account, amount: str):
    shell("adjust_credits", account.customer_id, amount, *WHY)
    adjusted = sums(account)

    said = shell("adjust_credits", account.customer_id, amount, *WHY)

    assert said == [f"{account} was adjusted under this reference before: {100 + int(amount)}."]
    assert sums(account) == adjusted


@pytest.mark.parametrize(("amount", "balance"), [("5", "105"), ("-5", "95")])
def test_dry_run_changes_nothing(shell: Shell, account: Account, amount: str, balance: str):
    said = shell("adjust_credits", account.customer_id, amount, *WHY, "--dry-run")

    assert said == [f"{account} would go from 100 to {balance}."]
    assert sums(account) == (credits(100), 0)
    assert LedgerEntry.objects.count() == Grant.objects.count() == 1


def test_dry_run_opens_no_account(shell: Shell, customer: Customer):
    shell("adjust_credits", customer.pk, "5", *WHY, "--dry-run")

    assert not Account.objects.exists()


def test_adjustment_names_what_it_did_though_something_expires_at_the_same_time(
    shell: Shell, account: Account, now: datetime
):
    factories.grant(account, "5", now=now - 2 * HOUR, expires_at=now - HOUR)

    said = shell("adjust_credits", account.customer_id, "5", *WHY)

    assert said == [f"{account} went from 100 to 105."]


def test_adjustment_opens_the_account_of_the_currency(shell: Shell, customer: Customer):
    shell("adjust_credits", customer.pk, "5", *WHY, "--currency", "usdc")

    assert [(account.currency, account.balance) for account in Account.objects.all()] == [("usdc", credits(5))]


def test_customer_is_found_by_id_email_and_external_ids(shell: Shell, account: Account):
    user = account.customer.user
    assert user is not None
    user.external_id = "user_2abc"
    user.save()
    team = factories.TeamFactory.create(external_id="org_2abc")

    names = [account.customer_id, user.email, user.email.upper(), "user_2abc"]
    said = [shell("adjust_credits", name, "1", "--reference", f"T{n}", "--memo", "m") for n, name in enumerate(names)]
    shell("adjust_credits", "org_2abc", "7", *WHY)

    assert [text for [text] in said] == [f"{account} went from {100 + n} to {101 + n}." for n in range(4)]
    assert Account.objects.get(customer=team).balance == credits(7)


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["-100.0000001"], "This needs 100.0000001 credits and 100 are available. Buy credits, or ask for less."),
        (["0"], "An adjustment of nothing changes nothing."),
        (["1e3"], "'1e3' is not an amount: write a decimal with at most 7 places, such as 12.5."),
        (["922337203685.4775808"], "'922337203685.4775808' is more than an account can hold."),
        (["922337203685"], "A grant gives something, and no more than the account can hold."),
        (["5", "--memo", " "], "An adjustment needs a memo of at most 500 characters."),
        (["5", "--memo", "x" * 501], "An adjustment needs a memo of at most 500 characters."),
        (["5", "--reference", ""], "An adjustment needs a reference of at most 200 characters."),
        (["5", "--reference", "x" * 201], "An adjustment needs a reference of at most 200 characters."),
    ],
)
def test_refusal_is_one_sentence_and_changes_nothing(shell: Shell, account: Account, words: list[str], refusal: str):
    with pytest.raises(CommandError, match=f"^{re.escape(refusal)}$"):
        shell("adjust_credits", account.customer_id, *WHY, *words)

    assert sums(account) == (credits(100), 0)


def test_other_amount_under_the_same_reference_is_refused(shell: Shell, account: Account):
    shell("adjust_credits", account.customer_id, "5", *WHY)

    with pytest.raises(CommandError, match="booked before with another amount"):
        shell("adjust_credits", account.customer_id, "6", *WHY)

    assert sums(account) == (credits(105), 0)


@pytest.mark.parametrize("missing", ["--reference", "--memo"])
def test_reference_and_memo_are_required(shell: Shell, account: Account, missing: str):
    words = [word for name, text in zip(WHY[::2], WHY[1::2], strict=True) if name != missing for word in (name, text)]

    with pytest.raises(CommandError, match=f"required: {missing}"):
        shell("adjust_credits", account.customer_id, "5", *words)


@pytest.mark.parametrize("command", [["adjust_credits"], ["explain_balance"]])
@pytest.mark.parametrize("name", ["nobody@example.com", "0", "9" * 30, "١", ""])
def test_unknown_customer_is_refused(shell: Shell, account: Account, command: list[str], name: str):
    words = [*command, name, *(["5", *WHY] if command == ["adjust_credits"] else [])]

    with pytest.raises(CommandError, match=f"^There is no customer '{name}': give an id, or the e-mail"):
        shell(*words)


# expire_credits


@pytest.fixture
def due(account: Account, now: datetime) -> Account:
    """100 without expiry, 7 that expired with 3 of them held, 5 to take effect, and 9 that took effect and expired."""
    past = now - 2 * HOUR
    factories.grant(account, "7", now=past, effective_at=past, expires_at=now - HOUR, source="lapsed")
    request = HoldRequest(services.new_hold_id(), account.pk, None, credits(3), now + HOUR)
    services.place_holds([request], now=past)
    factories.grant(account, "5", now=past, effective_at=now - HOUR, source="awaited")
    factories.grant(account, "9", now=past, effective_at=now - HOUR, expires_at=now - HOUR / 2, source="missed")
    return account


def test_what_fell_due_is_booked(shell: Shell, due: Account):
    said = shell("expire_credits")

    lapsed, awaited, missed = (Grant.objects.get(source=source).pk for source in ("lapsed", "awaited", "missed"))
    assert said == [
        f"{due}: EXPIRY -4 of grant {lapsed}",
        f"{due}: GRANT 5 of grant {awaited}",
        f"{due}: GRANT 9 of grant {missed}",
        f"{due}: EXPIRY -9 of grant {missed}",
        "4 entries in 1 accounts, 0 holds given back.",
    ]
    assert sums(due) == (credits(108), credits(3))


def test_expiring_twice_does_nothing_more(shell: Shell, due: Account):
    shell("expire_credits")
    before = sums(due)

    assert shell("expire_credits") == ["0 entries in 0 accounts, 0 holds given back."]
    assert sums(due) == before


def test_dry_run_says_what_is_due_and_books_nothing(shell: Shell, due: Account):
    before = sums(due)

    said = shell("expire_credits", "--dry-run")

    lapsed, awaited, missed = (Grant.objects.get(source=source).pk for source in ("lapsed", "awaited", "missed"))
    assert said == [
        f"Grant {lapsed} of {due} expires with 4.",
        f"Grant {awaited} of {due} takes effect.",
        f"Grant {missed} of {due} takes effect.",
    ]
    assert sums(due) == before


@pytest.fixture
def sessions(account: Account, now: datetime):
    """Of 5 with 2 lent to a call, and of 4, both over; of 3, not over yet; and of 1, which is looked into instead."""
    past = now - 2 * HOUR
    terms = [(5, past + HOUR, "RELEASE"), (4, past + HOUR, "RELEASE"), (3, now + HOUR, "RELEASE"), (1, past, "RESOLVE")]
    requests = [
        HoldRequest(services.new_hold_id(), account.pk, None, credits(whole), expires_at, lapse=lapse)
        for whole, expires_at, lapse in terms
    ]
    placed = services.place_holds(requests, now=past - HOUR)
    call = HoldRequest(
        services.new_hold_id(), account.pk, None, credits(2), now + HOUR, parent_id=requests[0].id, lapse="RESOLVE"
    )
    services.place_holds([call], now=past)
    return placed


def test_holds_whose_time_is_over_are_given_back(shell: Shell, account: Account, sessions):
    said = shell("expire_credits")

    assert said == ["0 entries in 0 accounts, 2 holds given back."]
    assert [Hold.objects.get(pk=hold.pk).status for hold in sessions] == ["EXPIRED", "EXPIRED", "PENDING", "PENDING"]
    assert sums(account) == (credits(100), credits(2 + 3 + 1))


def test_dry_run_says_which_holds_would_be_given_back(shell: Shell, account: Account, sessions):
    said = shell("expire_credits", "--dry-run")

    assert sorted(said) == sorted(
        f"Hold {hold.pk} of {account} gives {free} back." for hold, free in zip(sessions[:2], "34", strict=True)
    )
    assert sums(account) == (credits(100), credits(13))


def test_holds_are_given_back_a_hundred_at_a_time(shell: Shell, account: Account, now: datetime):
    past = now - 2 * HOUR
    requests = [HoldRequest(services.new_hold_id(), account.pk, None, 1, now - HOUR) for _ in range(101)]
    services.place_holds(requests, now=past)

    assert shell("expire_credits")[-1] == "0 entries in 0 accounts, 101 holds given back."
    assert sums(account) == (credits(100), 0)
    assert set(Hold.objects.values_list("status", flat=True)) == {"EXPIRED"}


@pytest.mark.django_db
def test_accounts_are_brought_up_to_date_a_hundred_at_a_time(
    shell: Shell, now: datetime, django_assert_max_num_queries
):
    for number in range(101):
        account = services.account_of(factories.TeamFactory.create())
        factories.grant(account, "1", now=now - 2 * HOUR, expires_at=now - HOUR, source=f"s{number}")

    with django_assert_max_num_queries(30):
        said = shell("expire_credits")

    assert said[-1] == "101 entries in 101 accounts, 0 holds given back."
    assert not Account.objects.exclude(balance=0).exists()


@pytest.mark.django_db(transaction=True)
def test_expiring_in_parallel_books_once(now: datetime):
    accounts = [factories.account() for _ in range(3)]
    for each in accounts:
        factories.grant(each, "5", now=now - 2 * HOUR, expires_at=now - HOUR)

    outcomes = at_once(*[partial(call_command, "expire_credits")] * 4)

    assert raised(outcomes) == []
    assert LedgerEntry.objects.filter(kind="EXPIRY").count() == 3
    assert [sums(each) for each in accounts] == [(0, 0)] * 3
