"""What becomes of the budgets of a customer's end users."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.models import Customer
from accounts.teams.customers import lock, name_of
from billing.errors import EndUserNotLimited
from billing.limits import Allowance, Budget, of_end_user
from billing.models import EndUser


@transaction.atomic
def limit_each(customer: Customer, *, budget: int | None, period: str, actor: str, now: datetime) -> Customer:
    """Set what each end user of ``customer`` may spend who has no budget of their own; None is without a limit."""
    locked = lock(customer)
    locked.end_user_budget, locked.end_user_budget_period, locked.end_users_limited_at = budget, period, now
    locked.save(update_fields=["end_user_budget", "end_user_budget_period", "end_users_limited_at"])
    audit.record(locked, "end_users.limited", name_of(locked), actor=actor, now=now)
    return locked


@transaction.atomic
def limit_one(customer: Customer, name: str, *, budget: int | None, period: str, actor: str, now: datetime) -> EndUser:
    """Set what one end user may spend, whatever each of the others may; None is without a limit."""
    locked = lock(customer)
    own, _ = EndUser.objects.update_or_create(
        customer=locked, name=name, defaults={"budget": budget, "budget_period": period, "limited_at": now}
    )
    if locked.end_users_limited_at is None:
        locked.end_users_limited_at = now
        locked.save(update_fields=["end_users_limited_at"])
    audit.record(locked, "end_user.limited", name_of(locked), actor=actor, now=now, endUser=own.pk)
    return own


@transaction.atomic
def limit_as_others(customer: Customer, name: str, *, actor: str, now: datetime) -> None:
    """
    Let one end user spend what each of the others may.

    :raises EndUserNotLimited: if they had no budget of their own
    """
    locked = lock(customer)
    own = EndUser.objects.filter(customer=locked, name=name).first()
    if own is None:
        raise EndUserNotLimited
    audit.record(locked, "end_user.limited", name_of(locked), actor=actor, now=now, endUser=own.pk)
    own.delete()
    # What they spent in between was not counted, so the others' limits are theirs since now.
    locked.end_users_limited_at = now
    locked.save(update_fields=["end_users_limited_at"])


def allowance_of(customer: Customer, name: str) -> Allowance:
    """What may be spent for an end user of ``customer``."""
    own = EndUser.objects.filter(customer=customer, name=name).first()
    if own is not None:
        budget = Budget(own.budget, own.budget_period, own.limited_at)
    else:
        budget = Budget(customer.end_user_budget, customer.end_user_budget_period, customer.created_at)
    return of_end_user(customer.pk, name, budget, customer.time_zone)
