"""Refunds, disputes and voids: what is unspent goes first, the rest is owed and paid by the next grants."""

from datetime import timedelta
from functools import partial

import pytest

from accounts.models import Customer
from credits import audit, services
from credits.amounts import credits, share
from credits.books import HoldRequest
from credits.errors import InsufficientCredits, SourceConflict
from credits.models import Account, Grant, LedgerEntry, Reversal
from credits.reversals import reverse, void_grant
from tests import factories
from tests.racing import at_once, raised

HOUR = timedelta(hours=1)


@pytest.fixture
def bought(customer: Customer, now) -> Account:
    """An account with one purchase of 100 credits."""
    account = services.account_of(customer)
    give(account, now, "pack:1", 100)
    return account


def give(account: Account, now, source: str, whole: int, **terms) -> Grant:
    return services.grant(
        account=account, amount=credits(whole), category="PURCHASE", source=source, actor="system", now=now, **terms
    )


def spend(account: Account, now, whole: int) -> None:
    hold = place(account, now, whole)
    services.settle_holds([(hold, credits(whole))], actor="key:1", now=now)


def place(account: Account, now, whole: int) -> str:
    request = HoldRequest(services.new_hold_id(), account.pk, None, credits(whole), now + HOUR)
    (placed,) = services.place_holds([request], now=now)
    return placed.pk.hex


def refund(account: Account, now, asked: int, *, units=None, **terms) -> Reversal:
    """Of ``asked`` whole credits, or so many ``units``."""
    terms = {"key": "re_1", "source": "pack:1", "kind": "REFUND", "after": 0, **terms}
    after = terms.pop("after")
    return reverse(
        account=account,
        asked=credits(asked) if units is None else units,
        as_of=now + timedelta(seconds=after),
        actor="system",
        now=now,
        **terms,
    )


def state(account: Account) -> tuple[int, ...]:
    """Whole credits of balance, held and owed."""
    account.refresh_from_db()
    return tuple(units // credits(1) for units in (account.balance, account.held, account.owed))


def kinds(account: Account) -> list[tuple[str, int]]:
    return [(entry.kind, entry.amount // credits(1)) for entry in account.entries.order_by("sequence")]


def test_full_refund_of_an_untouched_grant_takes_all_of_it(bought, now):
    refund(bought, now, 100)

    assert state(bought) == (0, 0, 0)
    assert kinds(bought) == [("GRANT", 100), ("REFUND", -100)]


def test_refund_of_what_was_spent_is_owed_and_the_next_grant_pays_it_first(bought, now):
    spend(bought, now, 80)

    refund(bought, now, 100)
    owing = state(bought)
    give(bought, now, "pack:2", 50)
    give(bought, now, "pack:3", 50)

    assert owing == (0, 0, 80)
    assert state(bought) == (20, 0, 0)
    assert kinds(bought)[2:] == [("REFUND", -20), ("GRANT", 50), ("DEBT", -50), ("GRANT", 50), ("DEBT", -30)]


def test_partial_refunds_count_all_told(bought, now):
    refund(bought, now, 30, after=1)
    refund(bought, now, 30, after=1)
    refund(bought, now, 50, after=2)
    older = refund(bought, now, 30, after=1)

    assert older.asked == credits(50)
    assert state(bought) == (50, 0, 0)
    assert kinds(bought)[1:] == [("REFUND", -30), ("REFUND", -20)]


def test_refunds_together_never_take_more_than_was_granted(bought, now):
    refund(bought, now, 70)
    refund(bought, now, 60, key="re_2")

    assert state(bought) == (0, 0, 0)
    assert Reversal.objects.get(key="re_2").taken == credits(30)


def test_refund_that_arrives_before_its_grant_is_taken_when_that_comes(customer, now):
    account = services.account_of(customer)

    early = refund(account, now, 40)
    give(account, now, "pack:1", 100)

    assert (early.taken, early.owed) == (0, 0)
    assert state(account) == (60, 0, 0)
    assert Reversal.objects.get().grant == account.grants.get()


def test_refund_of_what_granted_nothing_changes_nothing(bought, now):
    refund(bought, now, 40, source="pack:unknown")

    assert state(bought) == (100, 0, 0)


def test_dispute_that_is_won_puts_back_what_it_took_and_a_later_refund_takes_it_again(bought, now):
    spend(bought, now, 60)

    refund(bought, now, 100, key="dp_1", kind="DISPUTE")
    lost = state(bought)
    refund(bought, now, 0, key="dp_1", kind="DISPUTE", after=1)
    won = state(bought)
    refund(bought, now, 100, key="re_1", after=2)

    assert (lost, won) == ((0, 0, 60), (40, 0, 0))
    assert state(bought) == (0, 0, 60)
    assert kinds(bought)[2:] == [("DISPUTE", -40), ("REINSTATE", 40), ("REFUND", -40)]


def test_refund_that_fails_after_the_debt_was_paid_gives_the_payment_back(bought, now):
    spend(bought, now, 100)
    refund(bought, now, 100)
    give(bought, now, "pack:2", 100)
    paid = state(bought)

    refund(bought, now, 0, after=1)

    assert paid == (0, 0, 0)
    assert state(bought) == (100, 0, 0)


def test_what_an_expired_grant_gets_back_is_granted_anew(customer, now):
    account = services.account_of(customer)
    give(account, now, "pack:1", 100, expires_at=now + HOUR)
    refund(account, now, 100)
    later = now + 2 * HOUR

    refund(account, later, 0, after=1)

    assert state(account) == (100, 0, 0)
    assert account.grants.get(source__startswith="reinstated:").expires_at is None


def test_hold_keeps_its_claim_on_a_refunded_grant_and_what_it_frees_pays_for_the_refund(bought, now):
    hold = place(bought, now, 30)

    refund(bought, now, 100)
    claimed = state(bought)
    services.settle_holds([(hold, credits(10))], actor="key:1", now=now)

    assert claimed == (30, 30, 30)
    assert state(bought) == (0, 0, 10)


def test_slice_that_a_hold_frees_does_not_pay_for_another_purchase(bought, now):
    give(bought, now, "pack:2", 100)
    spend(bought, now, 100)
    hold = place(bought, now, 100)

    refund(bought, now, 100, source="pack:1")
    services.release_holds([hold], now=now)

    assert state(bought) == (100, 0, 100)


def test_voided_grant_loses_what_nobody_spent_and_what_holds_free_later(bought, now):
    spend(bought, now, 20)
    hold = place(bought, now, 30)

    void_grant(grant=bought.grants.get(), actor="user:1", memo="Given in error", now=now)
    void_grant(grant=bought.grants.get(), actor="user:1", memo="Given in error", now=now)
    claimed = state(bought)
    services.settle_holds([(hold, credits(10))], actor="key:1", now=now)

    assert claimed == (30, 30, 0)
    assert state(bought) == (0, 0, 0)
    assert kinds(bought)[2:] == [("VOID", -50), ("USAGE", -10), ("VOID", -20)]


def test_voided_grant_that_has_not_taken_effect_never_does(customer, now):
    account = services.account_of(customer)
    grant = give(account, now, "plan:next", 100, effective_at=now + HOUR)

    void_grant(grant=grant, actor="user:1", memo="Cancelled", now=now)
    services.bring_up_to_date([account.pk], now=now + 2 * HOUR)

    assert state(account) == (0, 0, 0)
    assert not LedgerEntry.objects.exists()


def test_what_a_grant_has_no_room_for_is_put_back_as_a_new_one(bought, now):
    hold = place(bought, now, 50)
    refund(bought, now, 100)
    give(bought, now, "pack:2", 50)
    services.release_holds([hold], now=now)

    refund(bought, now, 0, after=1)

    assert state(bought) == (150, 0, 0)
    assert bought.grants.get(source="pack:1").remaining == credits(100)
    assert bought.grants.get(source__startswith="reinstated:").remaining == credits(50)


def test_what_is_put_back_does_not_wait_for_a_grant_that_takes_effect_later(customer, now):
    account = services.account_of(customer)
    give(account, now, "plan:next", 40, effective_at=now + HOUR)
    refund(account, now, 40, source="plan:next")
    give(account, now, "pack:1", 100)

    refund(account, now, 0, source="plan:next", after=1)
    at_once = state(account)
    services.bring_up_to_date([account.pk], now=now + HOUR)

    assert at_once == (100, 0, 0)
    assert state(account) == (140, 0, 0)


def test_news_of_one_instant_puts_back_as_often_as_it_takes(bought, now):
    spend(bought, now, 100)
    for source in ("pack:2", "pack:3"):
        refund(bought, now, 100)
        give(bought, now, source, 100)
        refund(bought, now, 0)

    assert state(bought) == (200, 0, 0)
    assert bought.grants.filter(source__startswith="reinstated:").count() == 2


def test_same_refund_from_many_senders_at_once_counts_once(transactional_db, now):
    account = factories.account()
    give(account, now, "pack:1", 100)

    outcomes = at_once(*[lambda: refund(account, now, 40)] * 8)

    assert raised(outcomes) == []
    assert {(each.pk, each.taken) for each in outcomes} == {(outcomes[0].pk, credits(40))}
    assert state(account) == (60, 0, 0)


@pytest.mark.parametrize("asked", [40, 0])
def test_proof_takes_no_grant_for_a_refund_that_has_its_name(bought, now, asked):
    refund(bought, now, 100, key="pack:1")
    refund(bought, now, asked, key="pack:1", after=1)

    assert list(audit.findings(lambda entries: None)) == []
    assert Reversal.objects.get().taken == credits(asked)


def test_key_of_another_reversal_is_refused(bought, now):
    refund(bought, now, 10)

    for terms in ({"kind": "DISPUTE"}, {"source": "pack:2"}):
        with pytest.raises(SourceConflict):
            refund(bought, now, 20, **terms)
    with pytest.raises(SourceConflict):
        refund(factories.account(), now, 20)

    assert state(bought) == (90, 0, 0)


def test_what_is_owed_blocks_spending_until_it_is_paid(bought, now):
    spend(bought, now, 80)
    refund(bought, now, 100)
    give(bought, now, "pack:2", 50)

    [refusal] = services.place_holds([HoldRequest(services.new_hold_id(), bought.pk, None, 1, now + HOUR)], now=now)

    assert isinstance(refusal, InsufficientCredits)
    assert state(bought) == (0, 0, 30)


def test_lost_dispute_keeps_what_it_took(bought, now):
    spend(bought, now, 60)
    refund(bought, now, 100, key="dp_1", kind="DISPUTE")

    refund(bought, now, 100, key="dp_1", kind="DISPUTE", after=1)

    assert state(bought) == (0, 0, 60)
    assert kinds(bought)[2:] == [("DISPUTE", -40)]


@pytest.mark.parametrize(
    ("refunded", "paid"),
    [(333, 1_000), (33_300, 100_000), (333_000, 1_000_000)],
    ids=["yen have no decimals", "dollars have two", "dinars have three"],
)
def test_part_of_a_payment_takes_the_same_part_of_the_grant_in_any_currency(bought, now, refunded, paid):
    refund(bought, now, 0, units=share(credits(100), refunded, paid), after=1)
    part = state(bought)

    refund(bought, now, 0, units=share(credits(100), paid, paid), after=2)

    assert part == (66, 0, 0)
    taken = [entry.amount for entry in bought.entries.filter(kind="REFUND").order_by("sequence")]
    assert taken == [-credits(100) * 333 // 1000, -credits(100) * 667 // 1000]
    assert state(bought) == (0, 0, 0)


def test_refund_that_includes_tax_takes_no_more_than_was_granted(bought, now):
    spend(bought, now, 30)

    refund(bought, now, 119)

    assert state(bought) == (0, 0, 30)
    assert parts() == [(70, 0, 0, 30)]


def test_payment_that_fails_after_it_succeeded_takes_all_back_and_owes_what_was_spent(bought, now):
    spend(bought, now, 30)

    refund(bought, now, 100, key="payment:pi_1")
    failed = state(bought)
    refund(bought, now, 0, key="payment:pi_1", after=1)

    assert failed == (0, 0, 30)
    assert state(bought) == (70, 0, 0)


# What had lapsed


@pytest.fixture
def lapsed(customer: Customer, now) -> Account:
    """An account whose only purchase, of 100, was spent to 40, and 60 of it have expired."""
    account = services.account_of(customer)
    give(account, now, "pack:1", 100, expires_at=now + HOUR)
    spend(account, now, 40)
    services.bring_up_to_date([account.pk], now=now + HOUR)
    return account


def parts() -> list[tuple[int, ...]]:
    """Whole credits of each reversal: taken, the part of it that others paid, lapsed, owed."""
    rows = Reversal.objects.order_by("pk").values_list("taken", "paid", "lapsed", "owed")
    return [tuple(units // credits(1) for units in row) for row in rows]


def test_refund_of_a_grant_that_expired_owes_only_what_was_spent(lapsed, now):
    refund(lapsed, now + HOUR, 100)

    assert state(lapsed) == (0, 0, 40)
    assert parts() == [(0, 0, 60, 40)]


def test_part_of_a_grant_that_expired_is_refunded_from_what_nobody_spent(lapsed, now):
    refund(lapsed, now + HOUR, 50)
    part = state(lapsed)
    refund(lapsed, now + HOUR, 70, after=1)

    assert part == (0, 0, 0)
    assert state(lapsed) == (0, 0, 10)


@pytest.mark.parametrize("expiry_comes", [0, 1, 2, 3])
def test_when_the_grant_expires_makes_no_difference_to_what_is_owed(customer, now, expiry_comes):
    account = services.account_of(customer)
    give(account, now, "pack:1", 100, expires_at=now + 10 * HOUR)
    spend(account, now, 40)

    for number, asked in enumerate((30, 80, 100)):
        refund(account, now + HOUR * (10 if number >= expiry_comes else number), asked, after=number)
    services.bring_up_to_date([account.pk], now=now + 10 * HOUR)

    assert state(account) == (0, 0, 40)


def test_void_counts_as_expiry_does(bought, now):
    spend(bought, now, 40)
    void_grant(grant=bought.grants.get(), actor="user:1", memo="Given in error", now=now)

    refund(bought, now, 100)

    assert state(bought) == (0, 0, 40)
    assert parts() == [(0, 0, 60, 40)]


def test_grant_that_was_voided_before_it_took_effect_owes_nothing(customer, now):
    account = services.account_of(customer)
    grant = give(account, now, "pack:1", 100, effective_at=now + HOUR)
    refund(account, now, 100)
    waiting = state(account)

    void_grant(grant=grant, actor="user:1", memo="Cancelled", now=now)

    assert waiting == (0, 0, 100)
    assert state(account) == (0, 0, 0)
    assert parts() == [(0, 0, 100, 0)]


def test_refund_that_fails_does_not_bring_back_what_had_lapsed(lapsed, now):
    refund(lapsed, now + HOUR, 100)

    refund(lapsed, now + HOUR, 0, after=1)

    assert state(lapsed) == (0, 0, 0)
    assert parts() == [(0, 0, 0, 0)]


def test_refund_that_shrinks_gives_back_first_what_others_paid(lapsed, now):
    refund(lapsed, now + HOUR, 100)
    give(lapsed, now + HOUR, "pack:2", 40)
    paid = parts()

    refund(lapsed, now + HOUR, 70, after=1)

    assert paid == [(40, 40, 60, 0)]
    assert parts() == [(10, 10, 60, 0)]
    assert state(lapsed) == (30, 0, 0)
    assert lapsed.grants.get(source__startswith="reinstated:").expires_at is None


def test_refund_that_comes_before_a_grant_which_has_expired_owes_nothing(customer, now):
    account = services.account_of(customer)
    refund(account, now, 100)

    give(account, now, "pack:1", 100, effective_at=now - 2 * HOUR, expires_at=now - HOUR)

    assert state(account) == (0, 0, 0)
    assert parts() == [(0, 0, 100, 0)]


def test_hold_on_a_grant_that_expires_owes_in_the_end_what_it_spent(customer, now):
    account = services.account_of(customer)
    give(account, now, "pack:1", 100, expires_at=now + HOUR)
    hold = place(account, now, 70)

    refund(account, now + HOUR, 100)
    claimed = state(account)
    services.settle_holds([(hold, credits(10))], actor="key:1", now=now + 2 * HOUR)

    assert claimed == (70, 70, 70)
    assert state(account) == (0, 0, 10)
    assert parts() == [(60, 0, 30, 10)]


# Several reversals of one grant


def test_refund_that_fails_makes_room_for_the_dispute(bought, now):
    spend(bought, now, 60)
    refund(bought, now, 100)
    refund(bought, now, 100, key="dp_1", kind="DISPUTE")
    crowded = parts()

    refund(bought, now, 0, after=1)

    assert crowded == [(40, 0, 0, 60), (0, 0, 0, 0)]
    assert parts() == [(0, 0, 0, 0), (40, 0, 0, 60)]
    assert state(bought) == (0, 0, 60)


def test_what_one_refund_gives_back_pays_what_the_other_owes(bought, now):
    spend(bought, now, 60)
    refund(bought, now, 40)
    refund(bought, now, 60, key="re_2")

    refund(bought, now, 0, after=1)

    assert parts() == [(0, 0, 0, 0), (40, 0, 0, 20)]
    assert state(bought) == (0, 0, 20)


def test_what_lapsed_for_one_refund_lapses_for_the_other_when_that_fails(lapsed, now):
    refund(lapsed, now + HOUR, 60)
    refund(lapsed, now + HOUR, 40, key="re_2")

    refund(lapsed, now + HOUR, 0, after=1)

    assert parts() == [(0, 0, 0, 0), (0, 0, 40, 0)]
    assert state(lapsed) == (0, 0, 0)


def test_what_comes_back_to_a_voided_grant_is_void(bought, now):
    spend(bought, now, 60)
    refund(bought, now, 40)
    void_grant(grant=bought.grants.get(), actor="user:1", memo="Given in error", now=now)

    refund(bought, now, 0, after=1)

    assert state(bought) == (0, 0, 0)
    assert kinds(bought)[2:] == [("REFUND", -40), ("REINSTATE", 40), ("VOID", -40)]


def test_refund_that_many_accounts_claim_at_once_is_of_one_of_them(transactional_db, now):
    accounts = [factories.account() for _ in range(8)]
    terms = {"key": "re_1", "kind": "REFUND", "asked": 1, "as_of": now, "actor": "system", "now": now}

    outcomes = at_once(
        *[partial(reverse, account=account, source=f"purchase:{account.pk}", **terms) for account in accounts]
    )

    assert [type(error) for error in raised(outcomes)] == [SourceConflict] * 7
    assert Reversal.objects.count() == 1


def test_refunds_that_wait_together_never_take_more_than_is_granted(customer, now):
    account = services.account_of(customer)
    refund(account, now, 70)
    refund(account, now, 60, key="re_2")

    give(account, now, "pack:1", 100)

    assert state(account) == (0, 0, 0)
    assert kinds(account)[1:] == [("REFUND", -70), ("REFUND", -30)]


def test_what_lapsed_for_a_refund_that_fails_lapses_for_the_oldest_of_the_others_first(customer, now):
    account = services.account_of(customer)
    give(account, now, "pack:1", 100, expires_at=now + HOUR)
    spend(account, now, 80)
    later = now + HOUR
    refund(account, later, 20, key="re_1")
    refund(account, later, 50, key="re_2")
    refund(account, later, 30, key="re_3")

    refund(account, later, 0, key="re_1", after=1)

    owed = Reversal.objects.order_by("key").values_list("lapsed", "owed")
    assert list(owed) == [(0, 0), (credits(20), credits(30)), (0, credits(30))]
    assert state(account) == (0, 0, 60)


def test_as_much_as_others_paid_and_as_was_taken_of_an_expired_grant_comes_back_together(customer, now):
    account = services.account_of(customer)
    give(account, now, "pack:1", 100, expires_at=now + HOUR)
    spend(account, now, 50)
    refund(account, now, 100)
    give(account, now, "pack:2", 50)

    refund(account, now + HOUR, 0, after=1)

    assert state(account) == (100, 0, 0)


def test_long_names_are_cut_to_what_there_is_room_for(customer, now):
    account = services.account_of(customer)
    source = "s" * 255
    grant = give(account, now, source, 100, expires_at=now + HOUR)
    refund(account, now, 40, source=source, key="k" * 255)
    refund(account, now + HOUR, 0, source=source, key="k" * 255, after=1)

    voided = give(account, now, "v" * 255, 1)
    void_grant(grant=voided, actor="system", memo="", now=now)

    put_back = Grant.objects.get(category="ADJUSTMENT")
    assert put_back.source == f"reinstated:{account.pk}:4:{'k' * 255}"[:255]
    assert put_back.memo == f"Put back of {grant.source}."
    assert account.entries.get(kind="VOID").reference == f"void:{'v' * 250}"
