"""Clerk's plans, read from its Backend API: their names and prices. What they give in credits is said here alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.models import Plan
from billing.plans.serializers import CLERK_ID, CURRENCY, MOST_CENTS
from billing.plans.services import create_plan, update_plan
from webhooks.clerk_sync.api import read_page
from webhooks.sources.base import Payload

PATH = "/billing/plans"
PAGE = 100
MOST_PLANS = 1000


@dataclass(frozen=True, slots=True)
class ClerkPlan:
    """What Clerk says of a plan. Prices are in cents, and None where there is none."""

    clerk_id: str
    name: str
    slug: str
    description: str
    currency: str
    price_monthly_cents: int | None
    price_yearly_cents: int | None
    is_default: bool
    is_visible: bool


@dataclass(frozen=True, slots=True)
class Refreshed:
    processed: int
    updated: int
    skipped: int
    created: int


def clerk_plans() -> tuple[list[ClerkPlan], int]:
    """
    Return Clerk's plans, and how many more cannot be used, for want of a usable id or of a price that can be read.

    :raises ClerkUnreachable: if Clerk fails
    """
    found: list[Payload] = []
    while len(found) < MOST_PLANS:
        page = read_page(PATH, offset=len(found), limit=PAGE, order_by="")
        found += page
        if len(page) < PAGE:
            break
    plans = [plan for item in found if (plan := _read(item)) is not None]
    # A list that changes while it is read may tell of one twice.
    return list({plan.clerk_id: plan for plan in plans}.values()), len(found) - len(plans)


@transaction.atomic
def refresh_prices(plans: list[ClerkPlan], *, skipped: int, actor: str, now: datetime) -> Refreshed:
    """
    Set name at Clerk and prices of the plans that are known by their ids there, and add those that are not.

    One that is new gives nothing and is not offered until an administrator has said what it gives.
    """
    known = {plan.clerk_id: plan for plan in Plan.objects.filter(clerk_id__in=[each.clerk_id for each in plans])}
    updated = created = 0
    for each in plans:
        terms = {
            "clerk_name": each.name,
            "currency": each.currency,
            "price_monthly_cents": each.price_monthly_cents,
            "price_yearly_cents": each.price_yearly_cents,
        }
        plan = known.get(each.clerk_id)
        if plan is None:
            new = {"name": each.name, "description": each.description, "clerk_id": each.clerk_id, "is_active": False}
            create_plan({**terms, **new}, actor=actor, now=now)
            created += 1
        elif any(getattr(plan, name) != value for name, value in terms.items()):
            update_plan(plan.pk, terms, actor=actor, now=now)
            updated += 1
    return Refreshed(len(plans) + skipped, updated, skipped, created)


def _read(item: Payload) -> ClerkPlan | None:
    clerk_id = item.get("id")
    if not isinstance(clerk_id, str) or CLERK_ID.fullmatch(clerk_id) is None:
        return None
    try:
        (monthly, currency), (yearly, other) = _money(item.get("fee")), _money(item.get("annual_fee"))
    except ValueError:
        return None
    return ClerkPlan(
        clerk_id=clerk_id,
        name=_text(item.get("name"), 200) or clerk_id[:200],
        slug=_text(item.get("slug"), 100),
        description=_text(item.get("description"), 5000),
        currency=currency or other,
        price_monthly_cents=monthly,
        price_yearly_cents=yearly,
        is_default=item.get("is_default") is True,
        is_visible=item.get("publicly_visible") is True,
    )


def _money(fee: Any) -> tuple[int | None, str]:
    """:raises ValueError: if it is neither missing nor an amount in cents of a currency"""
    if fee is None:
        return None, ""
    amount, currency = (fee.get("amount"), fee.get("currency")) if isinstance(fee, dict) else (None, None)
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount <= MOST_CENTS:
        raise ValueError("no amount")
    if not isinstance(currency, str) or CURRENCY.fullmatch(currency) is None:
        raise ValueError("no currency")
    return amount, currency.lower()


def _text(value: Any, length: int) -> str:
    return "".join(filter(str.isprintable, value)).strip()[:length] if isinstance(value, str) else ""
