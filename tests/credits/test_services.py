"""What may be done with money, on the real database."""

import re
from datetime import UTC, datetime, timedelta
from unittest import mock
from uuid import UUID

import pytest
from django.db import IntegrityError

from accounts.models import Customer
from credits import services
from credits.amounts import MAXIMUM, credits
from credits.books import HoldRequest, Resolution
from credits.errors import DuplicateHold, HoldNotFound, InsufficientCredits, SourceConflict
from credits.models import Account, Currency, Draw, Grant, Hold, LedgerEntry
from tests import factories

pytestmark = pytest.mark.django_db

KIND = LedgerEntry.Kind
HOUR = timedelta(hours=1)


def request_for(account: Account, amount: int, key: str | None = None, *, now: datetime, **fields) -> HoldRequest:
    fields = {"id": services.new_hold_id(), "expires_at": now + HOUR, **fields}
    return HoldRequest(account_id=account.pk, key=key, amount=amount, **fields)


def held(account: Account, amount: int, *, now: datetime) -> str:
    [hold] = services.place_holds([request_for(account, amount, now=now)], now=now)
    assert isinstance(hold, Hold)
    return hold.pk.hex


def sums(account: Account) -> tuple[int, int]:
    account.refresh_from_db()
    return account.balance, account.held


def movements(account: Account) -> list[tuple[str, int, int]]:
    """Every entry of ``account``: its kind, its amount and the balance after it."""
    return list(account.entries.order_by("sequence").values_list("kind", "amount", "balance_after"))


def test_account_is_opened_empty_and_once(customer: Customer):
    opened = services.account_of(customer)

    assert services.account_of(customer) == opened
    assert services.account_of(customer, Currency.USDC) != opened
    assert (opened.balance, opened.held, opened.currency, opened.head) == (0, 0, "credits", "")


# Grants


def test_grant_is_booked_with_its_entry(customer: Customer, now: datetime):
    account = services.account_of(customer)

    given = services.grant(
        account=account,
        amount=credits(5),
        category=Grant.Category.PLAN,
        source="plan:1",
        actor="user:9",
        now=now,
        memo="November",
        priority=50,
        expires_at=now + HOUR,
    )

    entry = LedgerEntry.objects.get()
    assert (given.remaining, given.held, given.booked_at, given.effective_at) == (credits(5), 0, now, now)
    assert (given.category, given.priority, given.expires_at, given.memo) == ("PLAN", 50, now + HOUR, "November")
    assert (entry.account_id, entry.grant, entry.kind, entry.amount) == (account.pk, given, "GRANT", credits(5))
    assert (entry.sequence, entry.balance_after, entry.created_at) == (1, credits(5), now)
    assert (entry.actor, entry.reference, entry.memo, entry.hold) == ("user:9", "plan:1", "November", None)
    account.refresh_from_db()
    assert (account.balance, account.entry_count, account.head) == (credits(5), 1, entry.digest)
    assert account.updated_at == now


def test_grant_of_the_same_source_returns_the_first(account: Account, now: datetime):
    first = factories.grant(account, "5", source="purchase:1")

    again = factories.grant(account, "5", source="purchase:1", now=now + HOUR, memo="told otherwise")

    assert again == first
    assert sums(account) == (credits(105), 0)


@pytest.mark.parametrize("amount", ["4", "6"])
def test_grant_of_the_same_source_and_another_amount_is_refused(account: Account, amount: str):
    factories.grant(account, "5", source="purchase:1")

    with pytest.raises(SourceConflict):
        factories.grant(account, amount, source="purchase:1")

    assert sums(account) == (credits(105), 0)


def test_grant_of_the_same_source_to_another_account_is_refused(account: Account):
    other = factories.account()
    factories.grant(account, "5", source="purchase:1")

    with pytest.raises(SourceConflict):
        factories.grant(other, "5", source="purchase:1")

    assert sums(other) == (0, 0)


@pytest.mark.parametrize("amount", [0, -1, MAXIMUM - credits(100) + 1, 2**64])
def test_grant_of_nothing_or_of_more_than_an_account_can_hold_is_refused(account: Account, amount: int, now: datetime):
    with pytest.raises(ValueError, match="no more than the account can hold"):
        services.grant(account=account, amount=amount, category="PLAN", source="s", actor="system", now=now)

    assert Grant.objects.count() == 1


def test_account_can_hold_the_maximum(account: Account, now: datetime):
    amount = MAXIMUM - credits(100)

    services.grant(account=account, amount=amount, category="PLAN", source="s", actor="system", now=now)

    assert sums(account) == (MAXIMUM, 0)


def test_grant_that_would_expire_before_it_takes_effect_is_refused(account: Account, now: datetime):
    with pytest.raises(IntegrityError, match="grant_expires_after_it_takes_effect"):
        factories.grant(account, "5", effective_at=now + HOUR, expires_at=now + HOUR)

    assert Grant.objects.count() == 1


def test_grant_of_the_future_gives_nothing_until_its_instant(account: Account, now: datetime):
    future = factories.grant(account, "5", effective_at=now + HOUR, now=now)
    services.bring_up_to_date([account.pk], now=now + HOUR - timedelta.resolution)
    before = sums(account)

    made = services.bring_up_to_date([account.pk], now=now + HOUR)

    future.refresh_from_db()
    assert before == (credits(100), 0)
    assert [(entry.kind, entry.grant, entry.amount) for entry in made] == [("GRANT", future, credits(5))]
    assert (future.booked_at, future.remaining) == (now + HOUR, credits(5))
    assert sums(account) == (credits(105), 0)


def test_hold_sees_a_grant_from_the_instant_it_takes_effect(now: datetime):
    account = factories.account()
    factories.grant(account, "5", effective_at=now + HOUR, now=now)

    early = services.place_holds([request_for(account, 1, now=now)], now=now)
    hold_id = held(account, credits(5), now=now + HOUR)

    assert [type(outcome) for outcome in early] == [InsufficientCredits]
    assert Hold.objects.get().pk.hex == hold_id


def test_hold_cannot_take_what_expires_at_that_instant(now: datetime):
    account = factories.account()
    factories.grant(account, "5", expires_at=now + HOUR, now=now)

    [refusal] = services.place_holds([request_for(account, 1, now=now)], now=now + HOUR)

    assert isinstance(refusal, InsufficientCredits)
    assert movements(account) == [("GRANT", credits(5), credits(5)), ("EXPIRY", credits(-5), 0)]


def test_bringing_up_to_date_twice_books_once(account: Account, now: datetime):
    factories.grant(account, "5", expires_at=now + HOUR, now=now)

    first = services.bring_up_to_date([account.pk], now=now + HOUR)
    second = services.bring_up_to_date([account.pk], now=now + HOUR)

    assert [(entry.kind, entry.amount) for entry in first] == [("EXPIRY", credits(-5))]
    assert second == []


def test_bringing_up_to_date_returns_the_entries_of_every_account(now: datetime):
    accounts = [factories.account() for _ in range(3)]
    for each in accounts:
        factories.grant(each, "5", expires_at=now + HOUR, now=now)

    made = services.bring_up_to_date([each.pk for each in accounts[:2]], now=now + HOUR)

    assert [entry.account for entry in made] == accounts[:2]
    assert [sums(each) for each in accounts] == [(0, 0), (0, 0), (credits(5), 0)]


def test_bringing_nothing_up_to_date_does_nothing(db: None, now: datetime):
    assert services.bring_up_to_date([], now=now) == []


# Debits and adjustments


def test_debit_takes_in_burn_order_once_per_reference(now: datetime):
    account = factories.account()
    old = factories.grant(account, "3")
    expiring = factories.grant(account, "4", expires_at=now + HOUR)
    terms = {"account": account, "kind": KIND.ADJUSTMENT, "reference": "r", "actor": "system", "memo": "m"}

    made = services.debit(amount=credits(5), now=now, **terms)
    again = services.debit(amount=credits(5), now=now + HOUR, **terms)

    assert [(entry.grant, entry.amount, entry.balance_after) for entry in made] == [
        (expiring, credits(-4), credits(3)),
        (old, credits(-1), credits(2)),
    ]
    assert {(entry.reference, entry.actor, entry.memo) for entry in made} == {("r", "system", "m")}
    assert again == made
    assert sums(account) == (credits(2), 0)


def test_debit_of_another_amount_under_the_same_reference_is_refused(account: Account, now: datetime):
    terms = {"account": account, "kind": KIND.ADJUSTMENT, "reference": "r", "actor": "system", "memo": "m", "now": now}
    services.debit(amount=credits(5), **terms)

    with pytest.raises(SourceConflict):
        services.debit(amount=credits(4), **terms)

    assert sums(account) == (credits(95), 0)


def test_debit_does_not_take_what_is_held(account: Account, now: datetime):
    held(account, credits(60), now=now)

    with pytest.raises(InsufficientCredits):
        services.debit(
            account=account, amount=credits(41), kind=KIND.ADJUSTMENT, reference="r", actor="system", memo="m", now=now
        )

    assert sums(account) == (credits(100), credits(60))


ADJUSTMENT = {"reference": "T-1", "memo": "Sorry.", "actor": "user:1"}


def test_adjustment_upwards_is_a_grant(account: Account, now: datetime):
    [entry] = services.adjust(account=account, amount=credits(5), now=now, **ADJUSTMENT)

    assert (entry.kind, entry.amount, entry.memo, entry.actor) == ("GRANT", credits(5), "Sorry.", "user:1")
    assert (entry.grant.category, entry.grant.source) == ("ADJUSTMENT", f"adjustment:{account.pk}:T-1")
    assert sums(account) == (credits(105), 0)


def test_adjustment_downwards_is_a_debit(account: Account, now: datetime):
    [entry] = services.adjust(account=account, amount=credits(-5), now=now, **ADJUSTMENT)

    assert (entry.kind, entry.amount, entry.memo, entry.actor) == ("ADJUSTMENT", credits(-5), "Sorry.", "user:1")
    assert entry.reference == f"adjustment:{account.pk}:T-1"
    assert sums(account) == (credits(95), 0)


@pytest.mark.parametrize("amount", [credits(5), credits(-5)])
def test_adjustment_again_returns_the_first(account: Account, amount: int, now: datetime):
    first = services.adjust(account=account, amount=amount, now=now, **ADJUSTMENT)

    again = services.adjust(account=account, amount=amount, now=now + HOUR, **{**ADJUSTMENT, "memo": "Told otherwise."})

    assert again == first
    assert sums(account) == (credits(100) + amount, 0)


@pytest.mark.parametrize("amount", [credits(5), credits(-5)])
@pytest.mark.parametrize("other", [4, 6, -1])
def test_adjustment_by_another_amount_under_the_same_reference_is_refused(
    account: Account, amount: int, other: int, now: datetime
):
    services.adjust(account=account, amount=amount, now=now, **ADJUSTMENT)

    with pytest.raises(SourceConflict):
        services.adjust(account=account, amount=amount * other // 5 or -amount, now=now, **ADJUSTMENT)

    assert sums(account) == (credits(100) + amount, 0)


def test_reference_counts_once_for_each_account(account: Account, now: datetime):
    other = factories.account(balance="100")

    for each in (account, other):
        services.adjust(account=each, amount=credits(-5), now=now, **ADJUSTMENT)

    assert sums(account) == sums(other) == (credits(95), 0)


def test_adjustment_of_one_unit_more_than_is_available_is_refused(account: Account, now: datetime):
    held(account, credits(40), now=now)

    with pytest.raises(InsufficientCredits) as refusal:
        services.adjust(account=account, amount=credits(-60) - 1, now=now, **ADJUSTMENT)

    assert refusal.value.extra == {"required": "60.0000001", "available": 60}
    assert movements(account) == [("GRANT", credits(100), credits(100))]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"amount": 0}, "changes nothing"),
        ({"amount": MAXIMUM}, "more than the account can hold"),
        ({"reference": ""}, "needs a reference of at most 200 characters"),
        ({"reference": " \t"}, "needs a reference"),
        ({"reference": "x" * 201}, "needs a reference"),
        ({"memo": ""}, "needs a memo of at most 500 characters"),
        ({"memo": "\n"}, "needs a memo"),
        ({"memo": "x" * 501}, "needs a memo"),
    ],
)
def test_adjustment_that_says_too_little_or_too_much_is_refused(
    account: Account, wrong: dict[str, object], says: str, now: datetime
):
    terms = {"account": account, "amount": credits(1), "now": now, **ADJUSTMENT}

    with pytest.raises(ValueError, match=says):
        services.adjust(**{**terms, **wrong})

    assert sums(account) == (credits(100), 0)


@pytest.mark.parametrize("amount", [1, -1])
def test_adjustment_may_say_as_much_as_there_is_room_for(account: Account, amount: int, now: datetime):
    texts = {"reference": "ü" * 200, "memo": "ü" * 500, "actor": "user:1"}

    [entry] = services.adjust(account=account, amount=amount, now=now, **texts)

    assert (entry.memo, entry.reference) == ("ü" * 500, f"adjustment:{account.pk}:{'ü' * 200}")


# Holds


def test_hold_sets_credits_aside(account: Account, now: datetime):
    request = request_for(account, credits(3), "call-1", now=now, context={"model": "m"})

    [hold] = services.place_holds([request], now=now)

    assert isinstance(hold, Hold)
    assert (hold.pk, hold.account, hold.key, hold.amount) == (UUID(request.id), account, "call-1", credits(3))
    assert (hold.settled, hold.status, hold.reference, hold.context) == (0, "PENDING", "", {"model": "m"})
    assert (hold.expires_at, hold.created_at, hold.resolved_at) == (now + HOUR, now, None)
    assert list(Draw.objects.values_list("hold", "grant", "amount")) == [(hold.pk, Grant.objects.get().pk, credits(3))]
    assert sums(account) == (credits(100), credits(3))
    assert Grant.objects.get().held == credits(3)


def test_hold_of_nothing_needs_no_credits(now: datetime):
    account = factories.account()

    hold_id = held(account, 0, now=now)
    [resolution] = services.settle_holds([(hold_id, 0)], actor="system", now=now)

    assert resolution == Resolution(hold_id, "SETTLED", 0, 0, 0, first=True)


def test_refused_hold_stands_in_its_place_and_the_others_are_placed(account: Account, now: datetime):
    requests = [request_for(account, credits(amount), f"k{amount}", now=now) for amount in (60, 50, 40, 1)]

    outcomes = services.place_holds(requests, now=now)

    assert [outcome.key if isinstance(outcome, Hold) else type(outcome) for outcome in outcomes] == [
        "k60",
        InsufficientCredits,
        "k40",
        InsufficientCredits,
    ]
    assert isinstance(outcomes[1], InsufficientCredits)
    assert outcomes[1].extra == {"required": 50, "available": 40}
    assert sums(account) == (credits(100), credits(100))


@pytest.mark.parametrize("key", ["call-1", ""])
def test_key_holds_once_within_a_batch(account: Account, key: str, now: datetime):
    requests = [request_for(account, 7, key, now=now) for _ in range(2)]

    first, second = services.place_holds(requests, now=now)

    assert first == second
    assert Hold.objects.get().pk == UUID(requests[0].id)
    assert sums(account) == (credits(100), 7)


@pytest.mark.parametrize("key", ["call-1", ""])
def test_key_holds_once_across_batches(account: Account, key: str, now: datetime):
    [first] = services.place_holds([request_for(account, 7, key, now=now)], now=now)

    [second] = services.place_holds([request_for(account, 7, key, now=now)], now=now)

    assert first == second
    assert sums(account) == (credits(100), 7)


def test_key_returns_its_hold_after_that_was_resolved(account: Account, now: datetime):
    [first] = services.place_holds([request_for(account, 7, "call-1", now=now)], now=now)
    assert isinstance(first, Hold)
    services.release_holds([first.pk.hex], now=now)

    [second] = services.place_holds([request_for(account, 7, "call-1", now=now)], now=now)

    assert isinstance(second, Hold)
    assert (second, second.status) == (first, "RELEASED")
    assert sums(account) == (credits(100), 0)


def test_id_without_a_key_holds_once(account: Account, now: datetime):
    request = request_for(account, 7, now=now)

    outcomes = [*services.place_holds([request, request], now=now), *services.place_holds([request], now=now)]

    assert {outcome.pk.hex for outcome in outcomes if isinstance(outcome, Hold)} == {request.id}
    assert sums(account) == (credits(100), 7)


def test_key_that_was_refused_may_ask_again_for_less(account: Account, now: datetime):
    too_much, affordable = (request_for(account, credits(amount), "call-1", now=now) for amount in (101, 100))

    refusal, hold = services.place_holds([too_much, affordable], now=now)

    assert isinstance(refusal, InsufficientCredits)
    assert isinstance(hold, Hold)


@pytest.mark.parametrize("key", ["call-1", None])
def test_other_amount_under_the_same_key_is_refused_and_changes_nothing(
    account: Account, key: str | None, now: datetime
):
    first = request_for(account, 7, key, now=now)
    other = request_for(account, 8, key, id=first.id if key is None else services.new_hold_id(), now=now)

    with pytest.raises(DuplicateHold):
        services.place_holds([first, other], now=now)
    before = sums(account)
    services.place_holds([first], now=now)
    with pytest.raises(DuplicateHold):
        services.place_holds([request_for(account, 1, "another", now=now), other], now=now)

    assert before == (credits(100), 0)
    assert sums(account) == (credits(100), 7)


def test_id_of_another_accounts_hold_is_refused(account: Account, now: datetime):
    other = factories.account(balance="1")
    hold_id = held(other, 7, now=now)

    with pytest.raises(DuplicateHold):
        services.place_holds([request_for(account, 7, id=hold_id, now=now)], now=now)


def test_the_same_key_holds_for_each_account(account: Account, now: datetime):
    other = factories.account(balance="1")

    first, second = services.place_holds([request_for(each, 7, "k", now=now) for each in (account, other)], now=now)

    assert isinstance(first, Hold)
    assert isinstance(second, Hold)
    assert (first.account, second.account) == (account, other)


def test_no_holds_are_no_work(db: None, now: datetime):
    assert services.place_holds([], now=now) == []
    assert services.settle_holds([], actor="system", now=now) == []
    assert services.release_holds([], now=now) == []


@pytest.mark.parametrize(
    ("used", "settled", "shortfall"), [(0, 0, 0), (1, 1, 0), (6, 6, 0), (7, 7, 0), (8, 7, 1), (10**12, 7, 10**12 - 7)]
)
def test_settlement_spends_what_was_used(account: Account, used: int, settled: int, shortfall: int, now: datetime):
    hold_id = held(account, 7, now=now)

    [resolution] = services.settle_holds([(hold_id, used)], actor="key:4", now=now + HOUR, memo="done")

    assert resolution == Resolution(hold_id, "SETTLED", held=7, settled=settled, shortfall=shortfall, first=True)
    hold = Hold.objects.get()
    assert (hold.status, hold.settled, hold.resolved_at) == ("SETTLED", settled, now + HOUR)
    assert sums(account) == (credits(100) - settled, 0)
    usage = account.entries.filter(kind="USAGE").values_list("hold", "amount", "actor", "memo", "reference")
    assert list(usage) == ([(hold.pk, -settled, "key:4", "done", "")] if settled else [])


def test_release_gives_back_whole(account: Account, now: datetime):
    hold_id = held(account, 7, now=now)

    [resolution] = services.release_holds([hold_id], now=now + HOUR)

    hold = Hold.objects.get()
    assert resolution == Resolution(hold_id, "RELEASED", held=7, settled=0, shortfall=0, first=True)
    assert (hold.status, hold.settled, hold.resolved_at) == ("RELEASED", 0, now + HOUR)
    assert sums(account) == (credits(100), 0)
    assert account.entries.filter(kind="USAGE").count() == 0


def test_whoever_comes_second_sees_the_first_result(account: Account, now: datetime):
    settled, released = held(account, 7, now=now), held(account, 5, now=now)
    services.settle_holds([(settled, 3)], actor="system", now=now)
    services.release_holds([released], now=now)

    again = [
        *services.settle_holds([(settled, 7), (released, 5)], actor="system", now=now + HOUR),
        *services.release_holds([settled, released], now=now + HOUR),
    ]

    assert (
        again
        == [
            Resolution(settled, "SETTLED", 7, 3, 0, first=False),
            Resolution(released, "RELEASED", 5, 0, 0, first=False),
        ]
        * 2
    )
    assert sums(account) == (credits(100) - 3, 0)
    assert set(Hold.objects.values_list("resolved_at", flat=True)) == {now}


def test_hold_that_is_named_twice_in_a_batch_resolves_once(account: Account, now: datetime):
    hold_id = held(account, 7, now=now)

    first, second = services.settle_holds([(hold_id, 3), (hold_id, 5)], actor="system", now=now)

    assert (first.settled, first.first, second.settled, second.first) == (3, True, 3, False)
    assert sums(account) == (credits(100) - 3, 0)


def test_unknown_hold_is_refused_and_nothing_else_of_its_batch_happens(account: Account, now: datetime):
    hold_id = held(account, 7, now=now)

    with pytest.raises(HoldNotFound):
        services.settle_holds([(hold_id, 7), (services.new_hold_id(), 1)], actor="system", now=now)
    with pytest.raises(HoldNotFound):
        services.release_holds([hold_id, services.new_hold_id()], now=now)

    assert sums(account) == (credits(100), 7)
    assert Hold.objects.get().status == "PENDING"


def test_batch_moves_the_money_of_many_accounts_in_few_statements(now: datetime, django_assert_max_num_queries):
    accounts = [factories.account(balance="10") for _ in range(20)]
    requests = [request_for(each, credits(4), now=now) for each in accounts for _ in range(3)]

    with django_assert_max_num_queries(12):
        outcomes = services.place_holds(requests, now=now)
    with django_assert_max_num_queries(12):
        services.settle_holds(
            [(each.pk.hex, credits(1)) for each in outcomes if isinstance(each, Hold)], actor="system", now=now
        )

    assert [sums(each) for each in accounts] == [(credits(8), 0)] * 20


def test_settlement_after_expiry_is_exact_and_the_rest_expires_with_it(now: datetime):
    account = factories.account()
    factories.grant(account, "5", expires_at=now + HOUR, now=now)
    hold_id = held(account, credits(4), now=now)

    services.settle_holds([(hold_id, credits(3))], actor="system", now=now + 2 * HOUR)

    assert movements(account) == [
        ("GRANT", credits(5), credits(5)),
        ("EXPIRY", credits(-1), credits(4)),
        ("USAGE", credits(-3), credits(1)),
        ("EXPIRY", credits(-1), 0),
    ]
    assert sums(account) == (0, 0)


def test_release_after_expiry_gives_nothing_back(now: datetime):
    account = factories.account()
    factories.grant(account, "5", expires_at=now + HOUR, now=now)
    hold_id = held(account, credits(4), now=now)

    services.release_holds([hold_id], now=now + HOUR)

    assert movements(account)[1:] == [("EXPIRY", credits(-1), credits(4)), ("EXPIRY", credits(-4), 0)]


def test_amounts_and_instants_come_back_to_the_last_digit(now: datetime):
    account = factories.account()
    now = now.replace(microsecond=1)
    amount = 2**62 + 1
    services.grant(
        account=account, amount=amount, category="PLAN", source="s", actor="system", now=now, memo='"\\\n\t€ 😀 '
    )
    midnight = datetime(2126, 12, 31, tzinfo=UTC)

    [hold] = services.place_holds([request_for(account, amount, now=now, expires_at=midnight)], now=now)

    assert isinstance(hold, Hold)
    assert (hold.amount, hold.expires_at, hold.created_at) == (amount, midnight, now)
    entry = LedgerEntry.objects.get()
    assert (entry.amount, entry.created_at, entry.memo) == (amount, now, '"\\\n\t€ 😀 ')
    assert sums(account) == (amount, amount)


def test_instants_that_the_books_write_compare_with_those_of_the_orm(account: Account):
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    hold_id = held(account, 7, now=noon)
    services.settle_holds([(hold_id, 7)], actor="system", now=noon)

    hold = Hold.objects.filter(pk=hold_id)
    entry = LedgerEntry.objects.filter(kind="USAGE")
    for rows, field, instant in (
        (hold, "expires_at", noon + HOUR),
        (hold, "resolved_at", noon),
        (entry, "created_at", noon),
    ):
        before, after = instant - timedelta.resolution, instant + timedelta.resolution
        assert rows.filter(**{field: instant, f"{field}__gt": before, f"{field}__lt": after}).exists()


# Ids of holds


def test_hold_id_is_a_version_7_uuid_that_sorts_by_time(now: datetime):
    ids = [services.new_hold_id() for _ in range(1000)]

    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", id_) for id_ in ids)
    assert len(set(ids)) == 1000
    assert [id_[:12] for id_ in ids] == sorted(id_[:12] for id_ in ids)
    made_at = datetime.fromtimestamp(int(ids[0][:12], 16) / 1000, UTC)
    assert abs(made_at - now) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("bits", "end"),
    [(0, "70008000000000000000"), (1 << 60, "70009000000000000000"), (2**74 - 1, "7fffbfffffffffffffff")],
)
def test_hold_id_has_74_random_bits(bits: int, end: str):
    with mock.patch("random.getrandbits", lambda count: bits & ((1 << count) - 1)):
        assert services.new_hold_id()[12:] == end


@pytest.mark.parametrize("amount", [1, -1])
def test_adjustment_of_one_unit_is_not_turned_round_under_its_reference(account: Account, amount: int, now: datetime):
    terms = {"account": account, "reference": "T-1", "memo": "A unit.", "actor": "system", "now": now}

    services.adjust(amount=amount, **terms)

    account.refresh_from_db()
    assert account.balance == credits(100) + amount
    with pytest.raises(SourceConflict):
        services.adjust(amount=-amount, **terms)
