"""One transaction for whatever has queued: who is admitted, what is held, how it ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Model

from accounts import keys
from accounts.errors import InvalidApiKey, PermissionDenied, Suspended
from accounts.models import ApiKey, Customer, User
from billing import batch
from billing.batch import UnknownPerson
from billing.calls import Call, Ending, Receipt, Report
from billing.errors import UnknownPrice
from billing.models import Price, UsageDay, UsageRecord
from billing.operations import Admit, Conclude, Identify, Operation
from billing.pricing import Terms
from billing.services import OF_CUSTOMERS, PRICES_IN_FORCE, prices_in_force
from credits import rows, services
from credits.amounts import credits, parse
from credits.books import Books, HoldRequest
from credits.errors import HoldNotFound, InsufficientCredits
from credits.models import Account, Hold, LedgerEntry
from tests import factories
from tests.racing import at_once, raised

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
COMPLETED = Report(Ending.COMPLETED, delivered=1, generation_id="gen-1", cost="0.00013")
FAILED = Report(Ending.FAILED, error_code="provider_error")


def digest(api_key: str) -> str:
    return keys.digest(api_key, pepper=settings.API_KEY_PEPPER)


@pytest.fixture
def admit(account: Account, api_key: str) -> partial[Admit]:
    """Makes an ``Admit`` of a chat by a key of ``account``'s customer; ``hold_id`` is its own each time."""

    def make(**fields: Any) -> Admit:
        return Admit(
            **{
                "hold_id": services.new_hold_id(),
                "key_digest": digest(api_key),
                "external_id": "",
                "impersonated": False,
                "request_id": "req-1",
                "feature": "ai_text_chat",
                "quantity": 1,
                "provider": "openrouter",
                "model": "openai/gpt-4o-mini",
                "streamed": True,
                "lifetime": HOUR,
                **fields,
            },
        )

    return partial(make)


def commit(*operations: Operation, now: datetime, again: bool = False) -> list[Any]:
    return batch.commit(operations, again=again, now=now)


def sums(account: Account) -> tuple[int, int]:
    account.refresh_from_db()
    return account.balance, account.held


def all_rows() -> list[list[tuple[Any, ...]]]:
    models: Sequence[type[Model]] = (Account, Hold, LedgerEntry, UsageRecord)
    return [list(model._default_manager.order_by("pk").values_list()) for model in models]


# Admission


def test_call_is_admitted_and_what_it_may_cost_is_held(account: Account, admit: partial[Admit], now: datetime):
    admission = admit(feature="ai_image_generation", quantity=3)

    [call] = commit(admission, now=now)

    key = ApiKey.objects.get()
    price = Price.objects.get(feature="ai_image_generation")
    assert call == Call(
        hold_id=admission.hold_id,
        account_id=account.pk,
        customer_id=account.customer_id,
        key_id=key.pk,
        actor=f"key:{key.pk}",
        request_id="req-1",
        feature="ai_image_generation",
        quantity=3,
        terms=Terms(price.pk, "FIXED", credits(5)),
        held=credits(15),
        provider="openrouter",
        model="openai/gpt-4o-mini",
        streamed=True,
        admitted_at=now,
    )
    hold = Hold.objects.get()
    assert (hold.pk.hex, hold.amount, hold.status, hold.key) == (call.hold_id, credits(15), "PENDING", None)
    assert (hold.expires_at, hold.created_at, hold.reference) == (now + HOUR, now, "")
    assert Call.from_context(hold.context) == call
    assert sums(account) == (credits(100), credits(15))


def test_person_is_admitted_by_the_identity_providers_id(admit: partial[Admit], user: User, now: datetime):
    user.external_id = "user_2abc"
    user.save()

    [call] = commit(admit(key_digest="", external_id="user_2abc"), now=now)

    assert (call.customer_id, call.key_id, call.actor) == (user.personal_customer.pk, None, f"user:{user.pk}")


def test_teams_key_spends_the_teams_credits(account: Account, admit: partial[Admit], now: datetime):
    team = factories.TeamFactory.create()
    factories.account(team, "7")

    [call] = commit(admit(key_digest=digest(factories.api_key(team))), now=now)

    assert call.customer_id == team.pk
    assert sums(account) == (credits(100), 0)


@pytest.mark.parametrize("streamed", [True, False])
def test_texts_of_the_call_are_kept_as_they_are(admit: partial[Admit], streamed: bool, now: datetime):
    model = "\"'\\{}%s $1 :x ünï 😀"

    [call] = commit(admit(model=model, streamed=streamed), now=now)
    commit(Conclude(call, COMPLETED), now=now)

    record = UsageRecord.objects.get()
    assert Call.from_context(Hold.objects.get().context).model == record.model == model
    assert record.streamed is streamed


REFUSALS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "a key that nobody has": ({"key_digest": "0" * 64}, InvalidApiKey),
    "a person whom nobody knows": ({"key_digest": "", "external_id": "user_nobody"}, UnknownPerson),
    "in another's name": ({"impersonated": True}, PermissionDenied),
    "an unknown feature": ({"feature": "ai_poetry"}, UnknownPrice),
    "more than there is": ({"quantity": 101}, InsufficientCredits),
}


@pytest.mark.parametrize(("fields", "refusal"), REFUSALS.values(), ids=REFUSALS)
def test_refused_call_changes_nothing(
    account: Account, admit: partial[Admit], fields: dict[str, Any], refusal: type[Exception], now: datetime
):
    before = all_rows()

    [outcome] = commit(admit(**fields), now=now)

    assert type(outcome) is refusal
    assert all_rows() == before


def test_each_outcome_stands_in_its_operations_place(account: Account, admit: partial[Admit], now: datetime):
    kinds = [{}, *(fields for fields, _ in REFUSALS.values()), {"quantity": 99}, {"quantity": 1}]

    outcomes = commit(*[admit(**fields) for fields in kinds], now=now)

    expected = [Call, *(refusal for _, refusal in REFUSALS.values()), Call, InsufficientCredits]
    assert [type(outcome) for outcome in outcomes] == expected
    assert sums(account) == (credits(100), credits(100))


def test_empty_batch_is_no_work(db: None, now: datetime):
    assert commit(now=now) == []


def test_batch_of_strangers_is_refused_without_books(account: Account, admit: partial[Admit], now: datetime):
    outcomes = commit(admit(key_digest="0" * 64), admit(key_digest="1" * 64), now=now)

    assert [type(outcome) for outcome in outcomes] == [InvalidApiKey, InvalidApiKey]


def test_balance_is_spent_in_the_order_of_asking(account: Account, admit: partial[Admit], now: datetime):
    admissions = [admit(quantity=quantity) for quantity in (60, 50, 40, 1)]

    outcomes = commit(*admissions, now=now)

    assert [outcome.quantity if isinstance(outcome, Call) else None for outcome in outcomes] == [60, None, 40, None]
    assert sums(account) == (credits(100), credits(100))


def test_customer_without_an_account_gets_an_empty_one(admit: partial[Admit], now: datetime):
    strangers = [factories.UserFactory.create().personal_customer for _ in range(3)]

    outcomes = commit(*[admit(key_digest=digest(factories.api_key(each))) for each in strangers], now=now)

    assert [type(outcome) for outcome in outcomes] == [InsufficientCredits] * 3
    assert [(each.accounts.get().balance, each.accounts.get().currency) for each in strangers] == [(0, "credits")] * 3


def test_only_credits_are_spent(admit: partial[Admit], now: datetime):
    stranger = factories.UserFactory.create().personal_customer
    usdc = factories.account(stranger, "100", currency="usdc")

    [outcome] = commit(admit(key_digest=digest(factories.api_key(stranger))), now=now)

    assert isinstance(outcome, InsufficientCredits)
    assert sums(usdc) == (credits(100), 0)


@pytest.fixture
def priced_in_usdc(now: datetime) -> Price:
    """A chat costs 0.10 USDC as well."""
    return Price.objects.create(feature="ai_text_chat", currency="usdc", amount=parse("0.1"), effective_at=now - HOUR)


def test_credits_are_spent_to_their_end_and_then_usdc(
    account: Account, admit: partial[Admit], priced_in_usdc: Price, now: datetime
):
    usdc = factories.account(account.customer, "1", currency="usdc")

    calls = commit(admit(quantity=99), admit(quantity=2), admit(), admit(quantity=9), now=now)

    assert [call.currency for call in calls[:3]] == ["credits", "usdc", "credits"]
    assert (calls[3].extra["required"], calls[3].extra["available"]) == (9, 0)
    assert (sums(account), sums(usdc)) == ((credits(100), credits(100)), (parse("1"), parse("0.2")))


def test_call_paid_in_usdc_is_recorded_and_summed_up_in_usdc(
    account: Account, admit: partial[Admit], priced_in_usdc: Price, now: datetime
):
    usdc = factories.account(account.customer, "1", currency="usdc")
    paid_in_credits, paid_in_usdc = commit(admit(quantity=100), admit(), now=now)

    done = Report(Ending.COMPLETED, delivered=100)
    receipts = commit(Conclude(paid_in_credits, done), Conclude(paid_in_usdc, COMPLETED), now=now)

    assert [(receipt.currency, receipt.charged, receipt.available) for receipt in receipts] == [
        ("credits", credits(100), 0),
        ("usdc", parse("0.1"), parse("0.9")),
    ]
    records = UsageRecord.objects.order_by("pk").values_list("currency", "charged", "price")
    assert list(records)[1] == ("usdc", parse("0.1"), priced_in_usdc.pk)
    days = UsageDay.objects.order_by("currency").values_list("currency", "calls", "charged")
    assert list(days) == [("credits", 1, credits(100)), ("usdc", 1, parse("0.1"))]
    assert sums(usdc) == (parse("0.9"), 0)


def test_session_hold_is_drawn_on_in_its_accounts_currency(
    account: Account, admit: partial[Admit], priced_in_usdc: Price, now: datetime
):
    usdc = factories.account(account.customer, "1", currency="usdc")
    requests = [HoldRequest(services.new_hold_id(), each.pk, None, parse("1"), now + HOUR) for each in (account, usdc)]
    services.place_holds(requests, now=now)

    calls = commit(*[admit(session_id=request.id) for request in requests], now=now)

    assert [(call.currency, call.held) for call in calls] == [("credits", credits(1)), ("usdc", parse("0.1"))]


def test_session_hold_without_a_price_in_its_currency_pays_for_nothing(
    account: Account, admit: partial[Admit], now: datetime
):
    usdc = factories.account(account.customer, "1", currency="usdc")
    request = HoldRequest(services.new_hold_id(), usdc.pk, None, parse("1"), now + HOUR)
    services.place_holds([request], now=now)

    [outcome] = commit(admit(session_id=request.id), now=now)

    assert isinstance(outcome, HoldNotFound)


def test_account_in_usdc_is_left_alone_where_nothing_is_priced_in_it(
    account: Account, admit: partial[Admit], now: datetime
):
    usdc = factories.account(account.customer, "1", currency="usdc")
    locked: list[int] = []
    plainly = Books.open.__func__  # type: ignore[attr-defined]

    def note(cls: type[Books], account_ids: Any, *rest: Any, **named: Any) -> Books:
        locked.extend(account_ids)
        return plainly(cls, account_ids, *rest, **named)

    with mock.patch.object(Books, "open", classmethod(note)):
        commit(admit(), now=now)

    assert (account.pk in locked, usdc.pk in locked) == (True, False)


def test_price_of_nothing_needs_no_credits(admit: partial[Admit], now: datetime):
    Price.objects.create(feature="free", amount=0, effective_at=now - HOUR)
    stranger = factories.UserFactory.create().personal_customer

    [call] = commit(admit(key_digest=digest(factories.api_key(stranger)), feature="free"), now=now)
    [receipt] = commit(Conclude(call, COMPLETED), now=now)

    assert receipt == Receipt(charged=0, held=0, shortfall=0, available=0, first=True)
    assert Hold.objects.get().status == "SETTLED"


def test_price_that_cannot_be_computed_is_not_sold(admit: partial[Admit], now: datetime):
    """No catalogue says what the model costs."""
    Price.objects.create(
        feature="ai_text_chat", type="METERED", amount=1, rate=10**9, markup=10**6, effective_at=now - HOUR
    )

    [outcome] = commit(admit(), now=now)

    assert isinstance(outcome, UnknownPrice)


# What counts from the next batch


CHANGES: dict[str, tuple[Any, type[Exception]]] = {
    "a revoked key": (lambda account, now: ApiKey.objects.update(revoked_at=now), InvalidApiKey),
    "an expired key": (
        lambda account, now: ApiKey.objects.update(created_at=now - HOUR, expires_at=now),
        InvalidApiKey,
    ),
    "lost scopes": (lambda account, now: ApiKey.objects.update(scopes="read"), PermissionDenied),
    "a suspended customer": (lambda account, now: Customer.objects.update(suspended_at=now), Suspended),
    "a person who left": (lambda account, now: User.objects.update(is_active=False), Suspended),
    "a new price": (
        lambda account, now: Price.objects.create(feature="ai_text_chat", amount=credits(101), effective_at=now),
        InsufficientCredits,
    ),
    "a spent balance": (
        lambda account, now: services.adjust(
            account=account, amount=credits(-100) + 1, reference="T", memo="m", actor="system", now=now
        ),
        InsufficientCredits,
    ),
}


@pytest.mark.parametrize(("change", "refusal"), CHANGES.values(), ids=CHANGES)
def test_change_counts_from_the_next_batch(
    account: Account, admit: partial[Admit], change: Any, refusal: type[Exception], now: datetime
):
    [before] = commit(admit(), now=now)
    commit(Conclude(before, FAILED), now=now)

    change(account, now)
    [after] = commit(admit(), now=now)

    assert isinstance(before, Call)
    assert type(after) is refusal


def test_team_key_dies_with_whoever_made_it(admit: partial[Admit], now: datetime):
    team, maker = factories.TeamFactory.create(), factories.UserFactory.create()
    factories.account(team, "7")
    key = digest(factories.api_key(team, created_by=maker))

    [before] = commit(admit(key_digest=key), now=now)
    User.objects.filter(pk=maker.pk).update(is_active=False)
    [after] = commit(admit(key_digest=key), now=now)

    assert isinstance(before, Call)
    assert isinstance(after, Suspended)


def test_call_is_settled_by_the_price_at_which_it_was_admitted(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)
    Price.objects.create(feature="ai_text_chat", amount=credits(2), effective_at=now)

    [receipt] = commit(Conclude(call, COMPLETED), now=now)

    assert receipt.charged == credits(1)
    assert UsageRecord.objects.get().price_id == call.terms.price_id


@pytest.mark.parametrize(
    ("prices", "in_force"),
    [
        ([(-3, 1), (-2, 2), (-1, 3), (1, 4)], 3),
        ([(-1, 1), (-1, 2)], 2),
        ([(0, 1)], 1),
        ([(1, 1)], None),
    ],
    ids=["the newest that has taken effect", "the later row of one instant", "from its instant on", "not before"],
)
def test_price_in_force(prices: list[tuple[int, int]], in_force: int | None, now: datetime):
    for hours, amount in prices:
        Price.objects.create(feature="new", amount=amount, effective_at=now + hours * HOUR)

    new = prices_in_force(now).of("new", "credits")

    assert (new.amount if new else None) == in_force
    found = rows.select(PRICES_IN_FORCE, OF_CUSTOMERS, [{"customer_id": 0, "instant": now}])
    assert {row[1] for row in found} - {"new"} == {"ai_text_chat", "ai_image_generation", "ai_embedding"}
    assert len(found) == len({row[1] for row in found})


# When the key was last used


def test_use_of_a_key_is_noted_at_most_once_a_minute(admit: partial[Admit], now: datetime):
    seen = []
    for seconds in (0, 1, 59, 60, 61, 121):
        commit(admit(), now=now + timedelta(seconds=seconds))
        seen.append(ApiKey.objects.get().last_used_at)

    assert [(instant - now).total_seconds() for instant in seen if instant] == [0, 0, 0, 60, 60, 121]


def test_keys_that_were_not_used_are_not_noted(admit: partial[Admit], now: datetime):
    factories.api_key()

    commit(admit(), now=now)

    assert [key.last_used_at for key in ApiKey.objects.order_by("pk")] == [now, None]


# The generation's id


def test_generation_is_kept_on_the_hold(admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)

    assert commit(Identify(call, "gen-7"), now=now) == [None]

    assert Hold.objects.get().reference == "gen-7"


def test_generation_that_was_kept_stays_when_the_conclusion_knows_none(admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)
    commit(Identify(call, "gen-7"), now=now)

    commit(Conclude(call, FAILED), now=now)

    assert Hold.objects.get().reference == "gen-7"


@pytest.mark.parametrize("together", [True, False])
def test_generation_of_a_resolved_hold_is_not_touched(admit: partial[Admit], together: bool, now: datetime):
    [call] = commit(admit(), now=now)
    conclude, identify = Conclude(call, COMPLETED), Identify(call, "gen-late")

    if together:
        commit(identify, conclude, now=now)
    else:
        commit(conclude, now=now)
        commit(identify, now=now)

    assert Hold.objects.get().reference == "gen-1"


# Conclusions


@pytest.mark.parametrize(
    ("report", "status", "charged"),
    [
        (COMPLETED, "SETTLED", 5),
        (replace(COMPLETED, delivered=3), "SETTLED", 15),
        (replace(COMPLETED, delivered=0), "SETTLED", 0),
        (Report(Ending.CANCELLED, delivered=2), "SETTLED", 10),
        (Report(Ending.CANCELLED, delivered=0), "SETTLED", 0),
        (FAILED, "RELEASED", 0),
        (replace(FAILED, delivered=3), "RELEASED", 0),
        (Report(Ending.UNKNOWN, error_code="unresolved"), "RELEASED", 0),
    ],
    ids=lambda value: f"{value.ending} {value.delivered}" if isinstance(value, Report) else None,
)
def test_call_ends(account: Account, admit: partial[Admit], report: Report, status: str, charged: int, now: datetime):
    [call] = commit(admit(feature="ai_image_generation", quantity=3), now=now)

    [receipt] = commit(Conclude(call, report), now=now + HOUR)

    hold, record = Hold.objects.get(), UsageRecord.objects.get()
    assert receipt == Receipt(credits(charged), credits(15), 0, credits(100 - charged), first=True)
    assert (hold.status, hold.settled, hold.resolved_at) == (status, credits(charged), now + HOUR)
    assert (record.status, record.held, record.charged, record.shortfall) == (
        report.ending.value,
        credits(15),
        credits(charged),
        0,
    )
    assert record.error_code == report.error_code
    assert sums(account) == (credits(100 - charged), 0)
    assert [entry.actor for entry in LedgerEntry.objects.filter(kind="USAGE")] == [call.actor] * bool(charged)


def test_more_than_was_held_is_our_loss(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(feature="ai_image_generation", quantity=2), now=now)

    [receipt] = commit(Conclude(call, replace(COMPLETED, delivered=3)), now=now)

    record = UsageRecord.objects.get()
    assert receipt == Receipt(credits(10), credits(10), credits(5), credits(90), first=True)
    assert (record.charged, record.held, record.shortfall, record.quantity) == (credits(10), credits(10), credits(5), 3)


def test_usage_record_says_all_that_is_known(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)
    report = Report(
        Ending.COMPLETED,
        delivered=1,
        generation_id="gen-9",
        model="openai/gpt-4o-mini-2024",
        cost="0.00013",
        prompt_tokens=10,
        completion_tokens=2**40,
        cached_tokens=0,
        reasoning_tokens=None,
        latency_ms=1234,
        first_token_ms=56,
    )

    commit(Conclude(call, report), now=now + HOUR)

    record = UsageRecord.objects.get()
    assert {field.attname: getattr(record, field.attname) for field in UsageRecord._meta.concrete_fields} == {
        "id": record.pk,
        "hold_id": Hold.objects.get().pk,
        "customer_id": account.customer_id,
        "api_key_id": call.key_id,
        "request_id": "req-1",
        "feature": "ai_text_chat",
        "quantity": 1,
        "price_id": call.terms.price_id,
        "status": "COMPLETED",
        "error_code": "",
        "currency": "credits",
        "held": credits(1),
        "charged": credits(1),
        "shortfall": 0,
        "provider_cost": "0.00013",
        "provider_cost_picos": 130_000_000,
        "cost_report": "",
        "provider": "openrouter",
        "model": "openai/gpt-4o-mini-2024",
        "generation_id": "gen-9",
        "prompt_tokens": 10,
        "completion_tokens": 2**40,
        "cached_tokens": 0,
        "reasoning_tokens": None,
        "streamed": True,
        "latency_ms": 1234,
        "first_token_ms": 56,
        "created_at": now,
        "day": now.date(),
        "attempts": None,
        "end_user": "",
        "notes": None,
    }


def test_usage_record_falls_back_on_what_was_asked(admit: partial[Admit], now: datetime):
    [call] = commit(admit(feature="ai_image_generation", quantity=3), now=now)

    commit(Conclude(call, FAILED), now=now)

    record = UsageRecord.objects.get()
    assert (record.quantity, record.model, record.generation_id) == (3, "openai/gpt-4o-mini", "")
    assert (record.provider_cost, record.provider_cost_picos) == ("", None)


def test_texts_of_a_provider_that_are_too_long_are_cut(admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)

    commit(
        Conclude(call, replace(COMPLETED, model="m" * 1000, generation_id="g" * 255, cost="0." + "1" * 100)), now=now
    )

    record = UsageRecord.objects.get()
    assert (len(record.model), len(record.generation_id), len(record.provider_cost)) == (200, 255, 40)


@pytest.mark.parametrize("second", [COMPLETED, FAILED, replace(COMPLETED, delivered=9)])
def test_conclusion_that_comes_second_gets_the_first_result(
    account: Account, admit: partial[Admit], second: Report, now: datetime
):
    [call] = commit(admit(), now=now)
    commit(Conclude(call, COMPLETED), now=now)
    before = all_rows()

    [receipt] = commit(Conclude(call, second), now=now + HOUR)

    assert receipt == Receipt(credits(1), credits(1), 0, credits(99), first=False)
    assert all_rows() == before


def test_conclusion_twice_in_a_batch_is_one_usage_record(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)

    first, second = commit(Conclude(call, COMPLETED), Conclude(call, FAILED), now=now)

    assert (first.charged, first.first, second.charged, second.first) == (credits(1), True, credits(1), False)
    assert UsageRecord.objects.get().status == "COMPLETED"


def test_unknown_hold_cannot_be_concluded(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(), now=now)
    before = all_rows()

    with pytest.raises(HoldNotFound):
        commit(Conclude(call, COMPLETED), Conclude(replace(call, hold_id="0" * 32), COMPLETED), now=now)

    assert all_rows() == before


def test_what_conclusions_free_can_be_held_in_the_same_batch(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(quantity=100), now=now)
    admission = admit(quantity=100)

    refused, _ = commit(admission, Identify(call, "gen-1"), now=now)
    admitted, _, receipt = commit(admission, Identify(call, "gen-2"), Conclude(call, FAILED), now=now)

    assert isinstance(refused, InsufficientCredits)
    assert isinstance(admitted, Call)
    assert receipt.first
    assert sums(account) == (credits(100), credits(100))


def test_batch_is_a_handful_of_statements(now: datetime, admit: partial[Admit], django_assert_max_num_queries):
    accounts = [factories.account(balance="10") for _ in range(20)]
    admissions = [admit(key_digest=digest(factories.api_key(each.customer))) for each in accounts for _ in range(3)]

    with django_assert_max_num_queries(14):
        calls = commit(*admissions, now=now)
    with django_assert_max_num_queries(14):
        commit(*[Conclude(call, COMPLETED) for call in calls], now=now)

    assert [sums(each) for each in accounts] == [(credits(7), 0)] * 20


# Once more, when nobody knows whether the first try was committed


def test_batch_that_was_committed_happens_once(account: Account, admit: partial[Admit], now: datetime):
    [begun] = commit(admit(), now=now)
    operations = admit(), admit(quantity=1000), Identify(begun, "gen-1"), Conclude(begun, COMPLETED)
    first = commit(*operations, now=now)
    before = all_rows()

    again = commit(*operations, now=now + HOUR, again=True)

    assert again[0] == first[0]
    assert [type(outcome) for outcome in again] == [Call, InsufficientCredits, type(None), Receipt]
    assert again[3] == replace(first[3], first=False, available=credits(98))
    assert all_rows() == before


def test_batch_that_was_not_committed_happens_when_tried_again(account: Account, admit: partial[Admit], now: datetime):
    admission = admit()

    [call] = commit(admission, now=now, again=True)

    assert call.hold_id == admission.hold_id
    assert sums(account) == (credits(100), credits(1))


def test_admitted_call_is_returned_though_the_key_was_revoked_since(
    account: Account, admit: partial[Admit], now: datetime
):
    admission = admit()
    [first] = commit(admission, now=now)
    ApiKey.objects.update(revoked_at=now)

    assert commit(admission, now=now, again=True) == [first]


def test_same_hold_twice_without_again_is_an_error_and_changes_nothing(
    account: Account, admit: partial[Admit], now: datetime
):
    admission = admit()
    commit(admission, now=now)
    before = all_rows()

    with pytest.raises(DatabaseError):
        commit(admission, admit(), now=now)

    assert all_rows() == before


# Many at once


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_calls_are_admitted_until_the_balance_is_spent_and_not_once_more(
    account: Account, admit: partial[Admit], now: datetime
):
    def work() -> list[Any]:
        return [outcome for _ in range(4) for outcome in commit(admit(), admit(), admit(), admit(), now=now)]

    outcomes = at_once(*[work] * 16)

    assert raised(outcomes) == []
    flat = [type(outcome) for each in outcomes for outcome in each]
    assert (flat.count(Call), flat.count(InsufficientCredits)) == (100, 156)
    assert sums(account) == (credits(100), credits(100))


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_call_is_concluded_once(account: Account, admit: partial[Admit], now: datetime):
    [call] = commit(admit(quantity=10), now=now)
    reports = [replace(COMPLETED, delivered=delivered) for delivered in range(1, 9)] + [FAILED] * 8

    outcomes = at_once(*[partial(commit, Conclude(call, report), now=now) for report in reports])

    assert raised(outcomes) == []
    receipts = [receipt for [receipt] in outcomes]
    [first] = [receipt for receipt in receipts if receipt.first]
    assert {receipt.charged for receipt in receipts} == {first.charged}
    assert UsageRecord.objects.get().charged == first.charged == Hold.objects.get().settled


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_accounts_are_opened_once_whatever_the_order_of_asking(admit: partial[Admit], now: datetime):
    strangers = [factories.UserFactory.create().personal_customer for _ in range(8)]
    admissions = [admit(key_digest=digest(factories.api_key(each))) for each in strangers]

    outcomes = at_once(*[partial(commit, *admissions[::order], now=now) for order in (1, -1)] * 4)

    assert raised(outcomes) == []
    assert Account.objects.filter(customer__in=strangers).count() == 8
