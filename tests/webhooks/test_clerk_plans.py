"""Clerk's plans: looked at, and their prices kept; what they give is never Clerk's to say."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import AuditEntry
from billing.models import Plan
from credits.amounts import credits
from tests.administration import refusals
from tests.webhooks.clerk_server import KEY, FakeClerk, running_clerk

pytestmark = pytest.mark.django_db

LOOK, REFRESH = "/api/admin/clerk/plans", "/api/admin/plans/refresh-pricing"


def plan(id_: str = "cplan_pro", **more: Any) -> dict[str, Any]:
    money = {"amount": 2900, "amount_formatted": "29.00", "currency": "USD", "currency_symbol": "$"}
    named = {
        "id": id_,
        "name": "Pro",
        "slug": "pro",
        "description": None,
        "is_default": False,
        "publicly_visible": True,
    }
    return {"object": "commerce_plan", **named, "fee": money, "annual_fee": None, **more}


@pytest.fixture
def clerk(settings: Settings) -> Iterator[FakeClerk]:
    with running_clerk() as clerk:
        settings.CLERK_API_URL, settings.CLERK_SECRET_KEY = clerk.url, KEY
        clerk.plans = [plan()]
        yield clerk


def test_others_are_refused(administrator: APIClient, api: APIClient) -> None:
    assert refusals(("GET", LOOK, None), api=api) == [401, 403, 403]
    assert refusals(("POST", REFRESH, {}), api=api) == [401, 403, 403]


def test_clerks_plans_are_looked_at(administrator: APIClient, clerk: FakeClerk) -> None:
    assert administrator.get(LOOK).json() == {
        "plans": [
            {
                "clerkId": "cplan_pro", "name": "Pro", "slug": "pro", "description": "", "currency": "usd",
                "priceMonthlyCents": 2900, "priceYearlyCents": None, "isDefault": False, "isVisible": True,
            }
        ]
    }  # fmt: skip
    assert Plan.objects.count() == 0


def test_prices_are_refreshed_and_what_a_plan_gives_stays(administrator: APIClient, clerk: FakeClerk) -> None:
    Plan.objects.create(name="Ours", slug="pro", clerk_id="cplan_pro", credits=credits(500), price_monthly_cents=1)
    clerk.plans.append(plan("cplan_new", name="New", annual_fee={"amount": 100, "currency": "usd"}))

    first, again = administrator.post(REFRESH).json(), administrator.post(REFRESH).json()

    assert first == {"processed": 2, "updated": 1, "skipped": 0, "missingInDb": 1, "created": 1}
    assert again == {"processed": 2, "updated": 0, "skipped": 0, "missingInDb": 0, "created": 0}
    ours, new = Plan.objects.order_by("pk")
    assert (ours.name, ours.clerk_name, ours.credits, ours.price_monthly_cents) == ("Ours", "Pro", credits(500), 2900)
    assert (new.name, new.credits, new.price_yearly_cents, new.is_active) == ("New", 0, 100, False)
    assert [plan["name"] for plan in APIClient().get("/api/public/plans").json()["plans"]] == ["Ours"]
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["plan.changed", "plan.created"]


def test_what_cannot_be_used_is_skipped(administrator: APIClient, clerk: FakeClerk) -> None:
    clerk.plans = [
        plan("price_1"), plan("cplan_a", fee=29), plan("cplan_b", fee={"amount": 29.5, "currency": "usd"}),
        plan("cplan_c", fee={"amount": -1, "currency": "usd"}), plan("cplan_d", annual_fee={"amount": 1}),
        plan("cplan_free", fee=None, name="A\0b"), {"id": 7},
    ]  # fmt: skip

    assert administrator.post(REFRESH).json() == {
        "processed": 7, "updated": 0, "skipped": 6, "missingInDb": 1, "created": 1,
    }  # fmt: skip
    assert Plan.objects.values_list("name", "price_monthly_cents").get() == ("Ab", None)


def test_all_pages_are_read(administrator: APIClient, clerk: FakeClerk) -> None:
    clerk.plans = [plan(f"cplan_{number}") for number in range(101)]

    assert len(administrator.get(LOOK).json()["plans"]) == 101
    assert len(clerk.asked) == 2


def test_clerks_failures_are_not_ours(administrator: APIClient, clerk: FakeClerk, settings: Settings) -> None:
    clerk.faults = [500]
    broken = administrator.post(REFRESH)
    settings.CLERK_SECRET_KEY = ""
    missing = administrator.get(LOOK)

    assert (broken.status_code, broken.json()["error"]) == (502, "clerk_unreachable")
    assert (missing.status_code, missing.json()["error"]) == (501, "clerk_not_configured")
    assert administrator.post(f"{REFRESH}?x=1").status_code == 400
