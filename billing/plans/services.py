"""What happens to plans: they are made, changed and removed, each time written down."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from accounts import audit
from billing.errors import PlanExists, PlanNotFound
from billing.models import Plan

LONGEST_SLUG = 100


@transaction.atomic
def create_plan(terms: Mapping[str, Any], *, actor: str, now: datetime) -> Plan:
    """
    Return a new plan. Without a slug it is called as its name is, with a number where that is taken.

    :raises PlanExists: if another has its id at Clerk, or its slug
    """
    plan = Plan(**{"created_at": now, **terms})
    plan.slug = plan.slug or _free_slug(plan.name)
    _save(plan)
    audit.record(None, "plan.created", f"plan:{plan.pk}", actor=actor, now=now)
    return plan


@transaction.atomic
def update_plan(plan_id: int, changes: Mapping[str, Any], *, actor: str, now: datetime) -> Plan:
    """
    Set ``changes`` of a plan. What it gives counts for periods that begin from now on.

    :raises PlanNotFound: if it is gone
    :raises PlanExists: if another has its new id at Clerk, or its new slug
    """
    plan = _locked(plan_id)
    changed = sorted(name for name, value in changes.items() if getattr(plan, name) != value)
    for name in changed:
        setattr(plan, name, changes[name])
    if changed:
        _save(plan)
        audit.record(None, "plan.changed", f"plan:{plan.pk}", actor=actor, now=now, fields=changed)
    return plan


@transaction.atomic
def delete_plan(plan_id: int, *, actor: str, now: datetime) -> None:
    """
    Remove a plan. What it gave stays.

    :raises PlanNotFound: if it is gone
    """
    plan = _locked(plan_id)
    audit.record(None, "plan.deleted", f"plan:{plan.pk}", actor=actor, now=now, slug=plan.slug)
    plan.delete()


def plan_known_as(name: str) -> Plan:
    """
    Return the plan whose id, here or at Clerk, is ``name``.

    :raises PlanNotFound: if there is none
    """
    if not name.isprintable():
        raise PlanNotFound
    is_ours = name.isascii() and name.isdecimal() and len(name) <= 18
    plan = Plan.objects.filter(pk=int(name)).first() if is_ours else Plan.objects.filter(clerk_id=name).first()
    if plan is None:
        raise PlanNotFound
    return plan


def credits_by_plan() -> dict[str, int]:
    """What each plan of Clerk's that is offered gives in a period, in units."""
    offered = Plan.objects.filter(is_active=True, clerk_id__isnull=False)
    return {str(clerk_id): units for clerk_id, units in offered.values_list("clerk_id", "credits")}


def _locked(plan_id: int) -> Plan:
    plan = Plan.objects.select_for_update().filter(pk=plan_id).first()
    if plan is None:
        raise PlanNotFound
    return plan


def _save(plan: Plan) -> None:
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError as error:
        others = Plan.objects.exclude(pk=plan.pk)
        is_taken = others.filter(slug=plan.slug) | others.filter(clerk_id=plan.clerk_id, clerk_id__isnull=False)
        if is_taken.exists():
            raise PlanExists from error
        raise


def _free_slug(name: str) -> str:
    wanted = slugify(name)[: LONGEST_SLUG - 10].strip("-") or "plan"
    taken = set(Plan.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(slug for slug in numbered if slug not in taken)
