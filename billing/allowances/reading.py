"""What a key or a customer is limited to, and what of it is used."""

from datetime import datetime
from typing import Any

from accounts.limits import Limited
from accounts.models import ApiKey, Customer
from billing.counters import used_of
from billing.limits import Allowance
from credits.amounts import display
from credits.models import Currency, currency_of


def allowance_of(limited: ApiKey | Customer) -> Allowance:
    """The limits of a key or of a customer, whether it has any or not."""
    if isinstance(limited, ApiKey):
        customer, currency = limited.customer, currency_of(limited.mode)
        subject, key_id = f"key:{limited.pk}", limited.pk
    else:
        customer, currency = limited, Currency.CREDITS.value
        subject, key_id = f"customer:{limited.pk}", None
    return Allowance(
        subject=subject,
        customer_id=customer.pk,
        key_id=key_id,
        currency=currency,
        time_zone=customer.time_zone,
        limited_at=limited.limited_at,
        budget=limited.budget,
        period=limited.budget_period,
        requests=limited.requests_per_minute,
        tokens=limited.tokens_per_minute,
        calls=limited.concurrent_calls,
    )


def shown(limited: ApiKey | Customer, *, now: datetime) -> dict[str, Any]:
    """The limits as JSON, and what of them is used."""
    allowance, budget = allowance_of(limited), None
    if allowance.budget is not None:
        amount = display(allowance.budget)
        budget = {"amount": amount, "period": allowance.period, "currency": allowance.currency}
    return {"budget": budget, "limits": limits_of(limited), "used": used_as_json(allowance, now=now)}


def used_as_json(allowance: Allowance, *, now: datetime) -> dict[str, Any]:
    """What of an allowance is used; of the budget only where there is one."""
    used = used_of(allowance, now)
    running = {"concurrentCalls": used.open_calls}
    if allowance.budget is None:
        return running
    return running | {
        "spent": display(used.spent),
        "held": display(used.held),
        "left": display(max(0, allowance.budget - used.spent - used.held)),
        "resetsAt": allowance.period_ends(now),
    }


def limits_of(limited: Limited) -> dict[str, int | None]:
    return {
        "requestsPerMinute": limited.requests_per_minute,
        "tokensPerMinute": limited.tokens_per_minute,
        "concurrentCalls": limited.concurrent_calls,
    }
