"""Usage summed up for its customer, in days where they are, and the forecast that is drawn from it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer
from billing.catalogue import Feature
from billing.models import UsageRecord
from billing.usage.reports import FAR, Forecast, forecast
from credits.amounts import credits
from credits.models import Account
from tests import factories

SUMMARY = "/api/credits/usage/summary"
FORECAST = "/api/credits/forecast"
NOVEMBER = {"from": "2026-11-01", "to": "2026-12-01"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NO_CALL = {
    "calls": 0,
    "failedCalls": 0,
    "charged": "0",
    "promptTokens": 0,
    "completionTokens": 0,
    "cachedTokens": 0,
    "reasoningTokens": 0,
}
NAMELESS = {"day": None, "feature": None, "model": None, "keyId": None, "keyName": None}


def faults(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400
    return [(fault["field"], fault["code"]) for fault in response.json()["details"]]


def move(customer: Customer, time_zone: str) -> None:
    customer.time_zone = time_zone
    customer.save()


def groups(api: APIClient, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(SUMMARY, {**NOVEMBER, **parameters}).json()["groups"]
    return found


def test_summary_tells_what_a_period_came_to(api: APIClient, account: Account):
    tokens = {"prompt_tokens": 12, "completion_tokens": 34, "cached_tokens": 5, "reasoning_tokens": 6}
    factories.usage(account, "1.5", created_at=NOON, **tokens)
    factories.usage(account, "0", created_at=NOON, status=UsageRecord.Status.FAILED)

    response = api.get(SUMMARY, {"from": "2026-11-20", "to": "2026-11-21"})

    totals = {
        "calls": 2,
        "failedCalls": 1,
        "charged": "1.5",
        "promptTokens": 12,
        "completionTokens": 34,
        "cachedTokens": 5,
        "reasoningTokens": 6,
    }
    assert response.status_code == 200
    assert response.json() == {
        "timeZone": "UTC",
        "from": "2026-11-20",
        "to": "2026-11-21",
        "currency": "credits",
        "groupBy": "day",
        "totals": totals,
        "groups": [{**NAMELESS, "day": "2026-11-20", **totals}],
        "pagination": {"page": 1, "pageSize": 50, "total": 1, "pages": 1},
    }


def test_summary_by_day_has_every_day_of_the_period(api: APIClient, account: Account):
    factories.usage(account, created_at=NOON)

    found = groups(api, **{"from": "2026-11-19", "to": "2026-11-22"})

    assert [(group["day"], group["calls"]) for group in found] == [
        ("2026-11-19", 0), ("2026-11-20", 1), ("2026-11-21", 0),
    ]  # fmt: skip
    assert found[0] == {**NAMELESS, "day": "2026-11-19", **NO_CALL}


def test_summary_by_anything_else_has_the_dearest_first(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    factories.usage(account, "1", created_at=NOON)
    factories.usage(account, "5", created_at=NOON, model="b", feature=Feature.AI_IMAGE_GENERATION, api_key=key)
    factories.usage(account, "1", created_at=NOON, model="a")
    factories.usage(account, "1", created_at=NOON, model="a")

    def told(by: str, *names: str) -> list[tuple[Any, ...]]:
        return [(*(group[name] for name in names), group["charged"]) for group in groups(api, groupBy=by)]

    assert told("model", "model") == [("b", "5"), ("a", "2"), ("openai/gpt-4o-mini", "1")]
    assert told("feature", "feature") == [("ai_image_generation", "5"), ("ai_text_chat", "3")]
    assert told("key", "keyId", "keyName") == [(key.pk, key.name, "5"), (None, None, "3")]
    assert groups(api, groupBy="model")[0]["feature"] is None


def test_of_what_cost_the_same_the_busiest_comes_first(api: APIClient, account: Account):
    factories.usage(account, "2", created_at=NOON, model="a")
    factories.usage(account, "1", created_at=NOON, model="b")
    factories.usage(account, "1", created_at=NOON, model="b")
    factories.usage(account, "2", created_at=NOON, model="c")

    assert [group["model"] for group in groups(api, groupBy="model")] == ["b", "a", "c"]


def test_summary_can_be_narrowed(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    factories.usage(account, "1", created_at=NOON)
    factories.usage(account, "2", created_at=NOON, model="b")
    factories.usage(account, "4", created_at=NOON, feature=Feature.AI_IMAGE_GENERATION)
    factories.usage(account, "8", created_at=NOON, api_key=key)

    def charged(**parameters: Any) -> str:
        total: str = api.get(SUMMARY, {**NOVEMBER, **parameters}).json()["totals"]["charged"]
        return total

    assert charged() == "15"
    assert charged(model="b") == "2"
    assert charged(feature="AI_IMAGE_GENERATION") == "4"
    assert charged(key=str(key.pk)) == "8"
    assert charged(to="2026-11-20") == "0"


def test_summary_comes_in_pages_with_totals_of_all(api: APIClient, account: Account):
    for number, model in enumerate("abcde", start=1):
        factories.usage(account, str(number), created_at=NOON, model=model)

    page = api.get(SUMMARY, {**NOVEMBER, "groupBy": "model", "pageSize": 2, "page": 2}).json()

    assert [group["model"] for group in page["groups"]] == ["c", "b"]
    assert page["totals"]["charged"] == "15"
    assert page["pagination"] == {"page": 2, "pageSize": 2, "total": 5, "pages": 3}
    assert groups(api, groupBy="model", page=9) == groups(api, page=9) == []


def test_days_come_in_pages_too(api: APIClient, account: Account):
    factories.usage(account, created_at=NOON)

    page = groups(api, pageSize=10, page=2)

    assert [group["day"][-2:] for group in page] == [str(day) for day in range(11, 21)]
    assert page[-1]["calls"] == 1


@pytest.mark.parametrize("by", ["day", "feature", "model", "key"])
def test_summary_costs_the_same_however_much_was_used(api: APIClient, account: Account, by: str):
    for number in range(10):
        factories.usage(account, created_at=NOON - timedelta(days=number), model=str(number))
    api.get(SUMMARY)

    with CaptureQueriesContext(connection) as queries:
        groups(api, groupBy=by)

    assert len(queries) == (3 if by == "key" else 2)


def test_summary_is_the_callers_alone(api: APIClient, account: Account):
    factories.usage(factories.account(balance="5"), created_at=NOON)

    assert api.get(SUMMARY, NOVEMBER).json()["totals"] == NO_CALL


def test_summary_without_a_period_is_of_the_last_thirty_days(api: APIClient, account: Account, now: datetime):
    factories.usage(account, "1", created_at=now)
    factories.usage(account, "2", created_at=now - timedelta(days=29))
    factories.usage(account, "4", created_at=now - timedelta(days=30))

    summary = api.get(SUMMARY).json()

    assert summary["totals"]["charged"] == "3"
    assert (summary["from"], summary["to"]) == (
        (now.date() - timedelta(days=29)).isoformat(),
        (now.date() + timedelta(days=1)).isoformat(),
    )
    assert summary["pagination"]["total"] == 30


def test_one_end_of_a_period_gives_the_other(api: APIClient, customer: Customer, now: datetime):
    tomorrow = now.date() + timedelta(days=1)

    def period(**parameters: str) -> tuple[str, str]:
        summary = api.get(SUMMARY, parameters).json()
        return summary["from"], summary["to"]

    assert period(to="2026-03-31") == ("2026-03-01", "2026-03-31")
    assert period(**{"from": str(now.date())}) == (str(now.date()), str(tomorrow))
    assert period(**{"from": "2999-12-31"}) == ("2999-12-31", "3000-01-01")


# Where the customer is


@pytest.mark.parametrize(
    ("time_zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Asia/Kolkata", date(2026, 11, 1), 24),
    ],
)
def test_day_has_the_hours_that_it_has_where_the_customer_is(
    api: APIClient, account: Account, customer: Customer, time_zone: str, day: date, hours: int
):
    move(customer, time_zone)
    account.refresh_from_db()
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    for hour in range(-30, 31):
        factories.usage(account, "0.1", created_at=noon + timedelta(hours=hour))

    found = groups(api, **{"from": str(day - timedelta(days=1)), "to": str(day + timedelta(days=2))})

    assert found[1]["calls"] == hours


def test_today_is_the_day_where_the_customer_is(api: APIClient, account: Account, customer: Customer):
    for time_zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        move(customer, time_zone)
        summary = api.get(SUMMARY).json()
        shift = timedelta(hours={"Pacific/Kiritimati": 14, "Pacific/Niue": -11}[time_zone])
        today = (timezone.now() + shift).date()
        assert (summary["timeZone"], summary["to"]) == (time_zone, str(today + timedelta(days=1)))


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"groupBy": "customer"}, ("query.groupBy", "INVALID_CHOICE")),
        ({"from": "2026-11-01T00:00:00Z"}, ("query.from", "INVALID")),
        ({"from": "2026-02-30"}, ("query.from", "INVALID")),
        ({"from": "20261101"}, ("query.from", "INVALID")),
        ({"to": "0001-01-01"}, ("query.to", "INVALID")),
        ({"to": "9999-12-31"}, ("query.to", "INVALID")),
        ({"from": "2026-11-02", "to": "2026-11-02"}, ("query.to", "INVALID")),
        ({"from": "2025-11-01", "to": "2026-11-03"}, ("query.to", "MAX_VALUE")),
        ({"key": "0"}, ("query.key", "MIN_VALUE")),
        ({"pageSize": "101"}, ("query.pageSize", "OUT_OF_RANGE")),
        ({"page": "0"}, ("query.page", "OUT_OF_RANGE")),
        ({"status": "FAILED"}, ("query", "UNRECOGNIZED_KEYS")),
    ],
)
def test_wrong_parameter_of_the_summary_is_named(api: APIClient, parameters: dict[str, str], fault: tuple[str, str]):
    assert faults(api.get(SUMMARY, parameters)) == [fault]


def test_a_period_may_have_a_year_and_a_leap_day(api: APIClient, customer: Customer):
    assert api.get(SUMMARY, {"from": "2028-01-01", "to": "2029-01-01"}).json()["pagination"]["total"] == 366


# The forecast


def test_forecast_divides_what_there_is_by_what_a_day_costs(api: APIClient, account: Account, now: datetime):
    factories.usage(account, "30", created_at=now - timedelta(days=10))
    factories.usage(account, "10", created_at=now - timedelta(days=1))
    factories.usage(account, "20", created_at=now)

    response = api.get(FORECAST, {"days": "5"})

    assert response.status_code == 200
    assert response.json() == {
        "timeZone": "UTC",
        "currency": "credits",
        "available": "40",
        "days": 5,
        "charged": "10",
        "perDay": "2",
        "daysLeft": 20,
        "runsOutOn": (now.date() + timedelta(days=20)).isoformat(),
    }
    assert api.get(FORECAST).json()["days"] == 10


def test_forecast_for_who_used_nothing_is_open(api: APIClient, account: Account):
    assert api.get(FORECAST).json() == {
        "timeZone": "UTC",
        "currency": "credits",
        "available": "100",
        "days": 0,
        "charged": "0",
        "perDay": "0",
        "daysLeft": None,
        "runsOutOn": None,
    }


def test_forecast_for_who_never_had_anything_is_open(api: APIClient):
    body = api.get(FORECAST).json()

    assert (body["available"], body["runsOutOn"]) == ("0", None)


TODAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("available", "charged", "days", "left", "per_day"),
    [
        (credits(96), credits(28), 7, 24, credits(4)),
        (credits(96) - 1, credits(28), 7, 23, credits(4)),
        (1, 3, 2, 0, 1),
        (0, 1, 1, 0, 1),
        (-5, 1, 1, 0, 1),
        (FAR, 1, 1, FAR, 1),
        (FAR + 1, 1, 1, None, 1),
        (2**63 - 1, 1, 366, None, 0),
        (100, 0, 7, None, 0),
        (100, 0, 0, None, 0),
    ],
)
def test_forecast_is_exact(available: int, charged: int, days: int, left: int | None, per_day: int):
    runs_out_on = None if left is None else TODAY + timedelta(days=left)

    assert forecast(available=available, charged=charged, days=days, today=TODAY) == Forecast(
        available, days, charged, per_day, left, runs_out_on
    )


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"days": "0"}, ("query.days", "MIN_VALUE")),
        ({"days": "367"}, ("query.days", "MAX_VALUE")),
        ({"day": "7"}, ("query", "UNRECOGNIZED_KEYS")),
    ],
)
def test_wrong_parameter_of_the_forecast_is_named(api: APIClient, parameters: dict[str, str], fault: tuple[str, str]):
    assert faults(api.get(FORECAST, parameters)) == [fault]


# Both


@pytest.mark.parametrize("path", [SUMMARY, FORECAST])
def test_reading_needs_a_credential_with_the_scope_read(anonymous: APIClient, customer: Customer, path: str):
    reader = APIClient(headers={"authorization": f"Bearer {factories.api_key(customer, scopes=['ai'])}"})

    assert (anonymous.get(path).status_code, reader.get(path).status_code) == (401, 403)


@pytest.mark.parametrize("path", [SUMMARY, FORECAST])
def test_answer_is_304_until_something_changes(api: APIClient, account: Account, path: str):
    first = api.get(path)
    same = api.get(path, headers={"if-none-match": first["ETag"]})
    factories.usage(account)
    changed = api.get(path, headers={"if-none-match": first["ETag"]})

    assert (same.status_code, changed.status_code) == (304, 200)


# Currencies


def test_amounts_of_two_currencies_are_not_added_up(api: APIClient, account: Account):
    usdc = factories.account(account.customer, "5", currency="usdc")
    factories.usage(account, "1.5", created_at=NOON)
    factories.usage(usdc, "0.25", created_at=NOON)
    period = {"from": "2026-11-20", "to": "2026-11-21", "groupBy": "feature"}

    sums = {
        currency: api.get(SUMMARY, period | ({"currency": currency} if currency else {})).json()
        for currency in ("", "credits", "usdc", "test")
    }

    assert [(body["currency"], body["totals"]["calls"], body["totals"]["charged"]) for body in sums.values()] == [
        ("credits", 1, "1.5"),
        ("credits", 1, "1.5"),
        ("usdc", 1, "0.25"),
        ("test", 0, "0"),
    ]
    assert [group["charged"] for group in sums["usdc"]["groups"]] == ["0.25"]


def test_forecast_is_of_one_currency(api: APIClient, account: Account, now: datetime):
    usdc = factories.account(account.customer, "5", currency="usdc")
    factories.usage(account, "30", created_at=now - timedelta(days=1))
    factories.usage(usdc, "1", created_at=now - timedelta(days=1))

    body = api.get(FORECAST, {"currency": "usdc"}).json()

    assert (body["currency"], body["available"], body["charged"], body["daysLeft"]) == ("usdc", "4", "1", 4)
