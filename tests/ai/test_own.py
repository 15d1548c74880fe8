"""What OpenRouter's clients ask of their own key, credits and calls, and what nobody else is told."""

from datetime import UTC, datetime

import pytest

from accounts.models import ApiKey
from ai.gateway import ROOTS
from billing.days import SUMS
from billing.models import UsageDay, UsageRecord
from billing.standing import Spent, had_and_used, spent_by
from credits.amounts import UNIT
from tests import factories
from tests.ai.prepaid import Prepaid, until

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)  # a Thursday
NOTHING = {name: 0 for name, _ in SUMS}


@pytest.mark.parametrize("root", ROOTS)
def test_what_is_ones_own_is_told_as_openrouter_tells_it(prepaid, account, api_key, root):
    ApiKey.objects.update(budget=5 * UNIT // 2, budget_period="WEEK", requests_per_minute=60)
    asked = prepaid.chat()
    until(UsageRecord.objects.exists)

    key = prepaid.get(f"{root}key").json()["data"]
    credits_ = prepaid.get(f"{root}credits").json()["data"]
    call = prepaid.get(f"{root}generation", params={"id": asked.headers["X-Generation-Id"]}).json()["data"]

    assert (key["label"], key["currency"]) == (ApiKey.objects.get().masked, "credits")
    assert (key["limit"], key["limit_remaining"], key["limit_reset"]) == (2.5, 1.5, "weekly")
    assert [key[name] for name in ("usage", "usage_daily", "usage_weekly", "usage_monthly")] == [1] * 4
    assert key["rate_limit"]["requests"] == 60
    assert credits_ == {"total_credits": 100, "total_usage": 1, "currency": "credits"}
    assert (call["id"], call["model"]) == (asked.headers["X-Generation-Id"], "openai/gpt-4o-mini")
    assert (call["total_cost"], call["usage"], call["currency"]) == (1, 1, "credits")
    assert call["tokens_completion"] == asked.json()["usage"]["completion_tokens"]
    assert (call["cancelled"], call["streamed"], call["request_id"]) == (False, False, asked.headers["X-Request-Id"])


def test_generation_of_another_is_that_of_nobody(prepaid, account):
    own = factories.usage(account, generation_id="gen-own")
    factories.usage(factories.account(factories.UserFactory().personal_customer, "5"), generation_id="gen-theirs")
    test = Prepaid(prepaid.url, factories.api_key(account.customer, mode="test"))

    found = [prepaid.get("/v1/generation", params={"id": id_}) for id_ in ("gen-own", "gen-theirs", "gen-nobodys")]
    in_test = test.get("/v1/generation", params={"id": own.generation_id})
    unnamed, unnameable = prepaid.get("/v1/generation"), prepaid.get("/v1/generation", params={"id": "gén"})

    assert [answer.status_code for answer in (*found, in_test, unnamed, unnameable)] == [200, 404, 404, 404, 400, 400]
    assert found[1].json() == found[2].json() == in_test.json()
    assert unnamed.json()["error"]["param"] == "query.id"
    assert test.get("/v1/credits").json()["data"] == {"total_credits": 0, "total_usage": 0, "currency": "test"}


def test_key_without_the_scope_reads_nothing_but_itself(prepaid, account):
    narrow = Prepaid(prepaid.url, factories.api_key(account.customer, scopes=["ai"]))

    answers = [narrow.get(f"/v1/{path}") for path in ("key", "credits", "generation?id=x")]

    assert [answer.status_code for answer in answers] == [200, 403, 403]
    assert answers[0].json()["data"]["limit"] is None


@pytest.mark.books_are_cooked
def test_periods_begin_where_the_customer_is(customer, account, api_key):
    customer.time_zone = "Pacific/Auckland"  # where it is Friday, an hour past midnight
    key = ApiKey.objects.get()
    for day, charged in [("2026-11-27", 1), ("2026-11-26", 2), ("2026-11-22", 4), ("2026-10-31", 8)]:
        of_day = {**NOTHING, "day": day, "currency": "credits", "feature": "f", "model": "m", "charged": charged}
        UsageDay.objects.create(customer=customer, key_id=key.pk, **of_day)
        UsageDay.objects.create(customer=customer, key_id=0, **of_day)
        UsageDay.objects.create(customer=customer, key_id=key.pk, **{**of_day, "currency": "usdc"})

    assert spent_by(key, customer, now=NOON) == Spent(ever=15, today=1, this_week=3, this_month=7)
    assert [spent_by(key, customer, now=NOON).of(period) for period in ("DAY", "WEEK", "MONTH")] == [1, 3, 7]
    assert spent_by(None, customer, now=NOON).ever == 15
    assert had_and_used(customer, mode="live", now=NOON) == (100 * UNIT + 30, 30)
