"""Limits as the batch counts them: of keys and customers, exact however many ask at once, and proved afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey, Customer
from accounts.services import update_key
from billing import audit
from billing.calls import Call, Ending, Report
from billing.counters import GRACE
from billing.errors import BudgetExceeded, BudgetInUse, RateLimited, TooManyCalls
from billing.models import Counter, UsageDay
from billing.operations import Admit, Conclude
from billing.pricing import Demand
from credits.amounts import credits
from credits.models import Account, Hold
from tests import factories
from tests.billing.test_batch import COMPLETED, FAILED, admit, commit, digest
from tests.racing import at_once, raised

pytestmark = pytest.mark.django_db

__all__ = ["admit"]

#: In the middle of a day, a week and a month.
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def limit(**limits: Any) -> None:
    """Limit the only key that there is."""
    ApiKey.objects.update(**limits)


def counter() -> tuple[int, int, int]:
    """What the only counter has of calls that run, of what is held and what is spent, in credits."""
    kept = Counter.objects.get()
    return kept.open_calls, kept.held // credits(1), kept.spent // credits(1)


def kinds(outcomes: list[Any]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


# Budgets


def test_budget_is_spent_to_its_last_unit_and_not_one_further(account: Account, admit: partial[Admit]):
    limit(budget=credits(10), budget_period="DAY")

    first, second, refused = commit(admit(quantity=4), admit(quantity=6), admit(), now=NOON)
    commit(Conclude(first, replace(COMPLETED, delivered=4)), Conclude(second, FAILED), now=NOON)
    outcomes = commit(admit(quantity=7), admit(quantity=6), admit(), now=NOON)

    assert kinds([first, second, refused]) == [Call, Call, BudgetInUse]
    assert kinds(outcomes) == [BudgetExceeded, Call, BudgetInUse]
    assert counter() == (1, 6, 4)


def test_budget_is_there_again_with_the_next_period_of_its_customer(account: Account, admit: partial[Admit]):
    limit(budget=credits(5), budget_period="DAY")
    Customer.objects.update(time_zone="Asia/Tokyo")  # its day ends at 15:00 UTC
    [call] = commit(admit(quantity=5), now=NOON)
    commit(Conclude(call, replace(COMPLETED, delivered=5)), now=NOON)

    before = commit(admit(), now=NOON + timedelta(hours=2, minutes=59))
    after = commit(admit(quantity=5), now=NOON + timedelta(hours=3))

    assert kinds(before + after) == [BudgetExceeded, Call]
    assert counter() == (1, 5, 0)


def test_call_that_ends_in_the_next_period_counts_where_it_was_admitted(account: Account, admit: partial[Admit]):
    limit(budget=credits(5), budget_period="DAY")
    [call] = commit(admit(quantity=5), now=NOON)
    tomorrow = NOON + timedelta(days=1)
    [other] = commit(admit(quantity=5), now=tomorrow)

    commit(Conclude(call, replace(COMPLETED, delivered=5)), now=tomorrow)

    assert isinstance(other, Call)
    assert counter() == (1, 5, 0)


def test_budget_of_a_customer_is_spent_by_all_its_keys_and_people(account: Account, admit: partial[Admit]):
    Customer.objects.update(budget=credits(3), budget_period="WEEK")
    user = account.customer.user
    assert user is not None
    user.external_id = "user_2abc"
    user.save()
    other = admit(key_digest=digest(factories.api_key(account.customer)))
    person = admit(key_digest="", external_id="user_2abc")

    outcomes = commit(admit(), other, person, admit(), now=NOON)

    assert kinds(outcomes) == [Call, Call, Call, BudgetInUse]
    assert outcomes[3].extra["limitOf"] == "customer"
    assert counter() == (3, 3, 0)


def test_what_was_spent_before_the_budget_was_set_counts(account: Account, admit: partial[Admit]):
    earlier, today = NOON - timedelta(days=1), NOON
    for instant, quantity in ((earlier, 50), (today, 4)):
        [call] = commit(admit(quantity=quantity), now=instant)
        commit(Conclude(call, replace(COMPLETED, delivered=quantity)), now=instant)
    [running] = commit(admit(quantity=3), now=NOON)

    key = update_key(ApiKey.objects.get(), {"budget": credits(10), "budget_period": "DAY"}, actor="system", now=NOON)
    refused, admitted = commit(admit(quantity=4), admit(quantity=2), now=NOON)

    assert key.limited_at == NOON
    assert kinds([refused, admitted]) == [BudgetInUse, Call]
    assert counter() == (2, 5, 4)
    # What ran uncounted when the budget was set is counted anew until it has ended.
    commit(Conclude(running, replace(COMPLETED, delivered=1)), now=NOON)
    [last] = commit(admit(quantity=3), now=NOON)
    assert isinstance(last, Call)
    assert counter() == (2, 5, 5)
    assert not Counter.objects.get().is_complete
    commit(admit(quantity=9), now=NOON + GRACE)
    assert Counter.objects.get().is_complete


def test_budget_that_was_lifted_and_set_again_has_forgotten_nothing(account: Account, admit: partial[Admit]):
    def change(**changes: Any) -> None:
        update_key(ApiKey.objects.get(), changes, actor="system", now=NOON)

    change(budget=credits(10), budget_period="MONTH")
    for quantity in (3, 5):
        [call] = commit(admit(quantity=quantity), now=NOON)
        commit(Conclude(call, replace(COMPLETED, delivered=quantity)), now=NOON)
        change(budget=None, budget_period="")
    change(budget=credits(10), budget_period="MONTH")

    outcomes = commit(admit(quantity=3), admit(quantity=2), now=NOON + MINUTE)

    assert kinds(outcomes) == [BudgetExceeded, Call]


def test_shorter_answer_than_the_budget_affords_is_not_needed_for_whoever_has_enough(
    account: Account, admit: partial[Admit]
):
    limit(budget=credits(100), budget_period="DAY")

    [call] = commit(admit(), now=NOON)

    assert (call.held, call.pace) == (credits(1), {})


# Calls at the same time


def test_call_that_is_over_makes_room_for_another_however_it_ended(account: Account, admit: partial[Admit]):
    limit(concurrent_calls=2)

    first, second, refused = commit(admit(), admit(), admit(), now=NOON)
    one, two, three = commit(Conclude(first, FAILED), Conclude(second, COMPLETED), admit(), admit(), admit(), now=NOON)[
        2:
    ]

    assert kinds([first, second, refused, one, two, three]) == [Call, Call, TooManyCalls, Call, Call, TooManyCalls]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")


def test_call_that_is_concluded_twice_frees_one_place(account: Account, admit: partial[Admit]):
    limit(concurrent_calls=2)
    first, _ = commit(admit(), admit(), now=NOON)

    commit(Conclude(first, COMPLETED), now=NOON)
    commit(Conclude(first, FAILED), now=NOON)

    assert kinds(commit(admit(), admit(), now=NOON)) == [Call, TooManyCalls]


def test_call_whose_process_died_frees_its_place_when_it_is_resolved(account: Account, admit: partial[Admit]):
    limit(concurrent_calls=1)
    commit(admit(), now=NOON)

    kept = Call.from_context(Hold.objects.get().context)
    lost = Report(Ending.UNKNOWN, error_code="unresolved")
    refused, _ = commit(admit(), now=NOON), commit(Conclude(kept, lost), now=NOON)

    assert kinds(refused) == [TooManyCalls]
    assert kinds(commit(admit(), now=NOON)) == [Call]


# Requests and tokens a minute


def test_requests_of_one_batch_see_each_other_and_so_do_those_of_the_next(account: Account, admit: partial[Admit]):
    limit(requests_per_minute=3)

    outcomes = commit(*[admit() for _ in range(4)], now=NOON)
    later = commit(admit(), now=NOON + timedelta(seconds=19)) + commit(
        admit(), admit(), now=NOON + timedelta(seconds=20)
    )

    assert kinds(outcomes) == [Call, Call, Call, RateLimited]
    assert [outcome.pace["x-ratelimit-remaining-requests"] for outcome in outcomes[:3]] == ["2", "1", "0"]
    assert outcomes[3].headers == {
        "Retry-After": "20",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert kinds(later) == [RateLimited, Call, RateLimited]


def test_request_that_is_refused_for_another_reason_is_not_counted(account: Account, admit: partial[Admit]):
    limit(requests_per_minute=1)

    refused, admitted = commit(admit(quantity=101), admit(), now=NOON)

    assert (refused.code, type(admitted)) == ("insufficient_credits", Call)


def test_tokens_are_reserved_and_counted_as_they_were_used(account: Account, admit: partial[Admit]):
    limit(tokens_per_minute=1000)
    demand = Demand(prompt_tokens=300, completion_tokens=500)

    call, refused = commit(admit(demand=demand), admit(demand=demand), now=NOON)
    used = replace(COMPLETED, prompt_tokens=80, completion_tokens=20)
    commit(Conclude(call, used), now=NOON)
    outcomes = commit(admit(demand=demand), admit(demand=demand), now=NOON)

    assert kinds([call, refused, *outcomes]) == [Call, RateLimited, Call, RateLimited]
    assert (refused.extra["unit"], refused.extra["used"]) == ("tokens", 800)
    assert outcomes[0].pace["x-ratelimit-remaining-tokens"] == "100"


def test_limits_of_the_key_and_of_its_customer_both_count(account: Account, admit: partial[Admit]):
    limit(requests_per_minute=5)
    Customer.objects.update(concurrent_calls=1)

    call, refused = commit(admit(), admit(), now=NOON)

    assert kinds([call, refused]) == [Call, TooManyCalls]
    assert call.counted_as == {f"key:{call.key_id}": 0, f"customer:{call.customer_id}": 0}
    assert Call.from_context(Hold.objects.get().context) == call


def test_limit_counts_from_the_next_batch(account: Account, admit: partial[Admit]):
    before = commit(admit(), admit(), now=NOON)
    limit(concurrent_calls=2)
    after = commit(admit(), now=NOON)
    limit(concurrent_calls=3)

    assert kinds([*before, *after, *commit(admit(), now=NOON)]) == [Call, Call, TooManyCalls, Call]


# What it costs


def statements(*operations: Any) -> list[str]:
    """The statements of a batch, without what begins and ends it."""
    with CaptureQueriesContext(connection) as caught:
        outcomes = commit(*operations, now=NOON)
    statements.outcomes = outcomes  # type: ignore[attr-defined]
    return [query["sql"] for query in caught]


@pytest.mark.usefixtures("one_database")  # PostgreSQL's go past Django's cursor
def test_whoever_has_no_limits_costs_no_statement_more(account: Account, admit: partial[Admit]):
    commit(admit(), now=NOON)
    free = statements(admit(), admit())
    ends = statements(Conclude(statements.outcomes[0], COMPLETED))  # type: ignore[attr-defined]
    assert not any("billing_counter" in sql for sql in free + ends)

    limit(requests_per_minute=100, budget=credits(50), budget_period="DAY", concurrent_calls=50)
    commit(admit(), now=NOON + GRACE)
    limited = statements(admit(), admit())
    concluded = statements(Conclude(statements.outcomes[0], COMPLETED))  # type: ignore[attr-defined]

    # The first call made the counter; two were running uncounted, and are counted anew until they have ended.
    assert len(limited) >= len(free) + 2
    assert next(sql for sql in concluded if "billing_counter" in sql).lstrip().startswith("SELECT counter.id")
    assert len(concluded) == len(ends) + 2


# Many at once


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_no_number_of_racing_callers_spends_more_than_the_budget_and_none_less(account: Account, admit: partial[Admit]):
    limit(budget=credits(50), budget_period="MONTH", concurrent_calls=1000)
    Customer.objects.update(budget=credits(45), budget_period="DAY")

    def work() -> list[Any]:
        outcomes: list[Any] = []
        for _ in range(4):
            [outcome] = commit(admit(), now=NOON)
            if isinstance(outcome, Call):
                commit(Conclude(outcome, COMPLETED if len(outcomes) % 2 else FAILED), now=NOON)
            outcomes.append(outcome)
        return outcomes

    each = at_once(*[work] * 64)
    while isinstance(commit(admit(), now=NOON)[0], Call):
        pass

    assert raised(each) == []
    spent = sum(UsageDay.objects.values_list("charged", flat=True)) // credits(1)
    held = sum(Hold.objects.filter(status="PENDING").values_list("amount", flat=True)) // credits(1)
    assert spent + held == 45
    for kept in Counter.objects.all():
        assert (kept.spent // credits(1), kept.held // credits(1), kept.open_calls) == (spent, held, held)
    assert [*audit.findings_of_counters()] == []


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_racing_callers_are_no_more_than_may_run_whichever_accounts_they_spend(account: Account, admit: partial[Admit]):
    """A live key and a test key lock no account together; what is counted for their customer is one counter's."""
    Customer.objects.update(concurrent_calls=9, requests_per_minute=20)
    factories.account(account.customer, "100", currency="test")
    keys = [admit().key_digest, digest(factories.api_key(account.customer, mode="test"))]

    def hold(number: int) -> Any:
        return commit(admit(key_digest=keys[number % 2]), now=NOON)[0]

    def race() -> list[Call]:
        outcomes = at_once(*[partial(hold, number) for number in range(24)])
        assert {type(each) for each in outcomes} <= {Call, TooManyCalls, RateLimited}
        return [each for each in outcomes if isinstance(each, Call)]

    admitted = []
    for _ in range(3):
        running = race()
        admitted.append(len(running))
        commit(*[Conclude(call, FAILED) for call in running], now=NOON)

    assert admitted == [9, 9, 2]
    assert counter() == (0, 0, 0)


# The proof


def test_counters_are_proved(account: Account, admit: partial[Admit]):
    limit(budget=credits(50), budget_period="MONTH")
    Customer.objects.update(concurrent_calls=10)
    first, _ = commit(admit(quantity=3), admit(quantity=2), now=NOON)
    commit(Conclude(first, replace(COMPLETED, delivered=3)), now=NOON)

    assert [*audit.findings_of_counters()] == []


@pytest.mark.books_are_cooked
@pytest.mark.parametrize("name", ["spent", "held", "open_calls"])
def test_counter_that_has_drifted_is_found(account: Account, admit: partial[Admit], name: str):
    limit(budget=credits(50), budget_period="MONTH")
    commit(admit(), now=NOON)
    commit(admit(), now=NOON)
    kept = Counter.objects.get()
    Counter.objects.update(**{name: getattr(kept, name) + 1})

    [finding] = audit.findings_of_counters()

    assert (finding.subject, finding.rule) == (f"counter of {kept.subject}", name.replace("_", " "))
    assert finding.kept == str(getattr(kept, name) + 1)
    assert finding.proved.endswith(f"{getattr(kept, name)},")
