"""Settings that are rows of the catalogue: a cost is a new price, a plan's credits are the plan's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.administration.settings.errors import MeteredCost
from billing.catalogue import Feature
from billing.models import Plan, Price
from billing.plans.services import create_plan, update_plan
from billing.pricing import FIXED
from billing.publishing.drafts import Draft
from billing.publishing.services import publish
from billing.services import prices_in_force
from credits.models import Currency


@transaction.atomic
def set_costs(costs: Mapping[str, int], *, actor: str, now: datetime) -> None:
    """
    Publish what a unit of each feature costs everybody, in units of credits, from ``now`` on.

    Features that are left out keep their price, and so does one whose price is the same. A ceiling on what a call
    may cost us stays.

    :raises MeteredCost: if a feature's price follows the provider's cost
    """
    in_force = prices_in_force(now)
    for feature, amount in costs.items():
        terms = in_force.of(feature, Currency.CREDITS)
        if terms is not None and terms.type != FIXED:
            raise MeteredCost(feature)
        if terms is not None and terms.amount == amount:
            continue
        before = Price.objects.get(pk=terms.price_id) if terms is not None else Price()
        draft = Draft(feature, Currency.CREDITS.value, FIXED, amount, most_cost_picos=before.most_cost_picos)
        publish(draft, actor=actor, now=now)


@transaction.atomic
def set_plans(plans: Mapping[str, Mapping[str, Any]], *, actor: str, now: datetime) -> None:
    """Set name and credits of plans by their ids at Clerk. One that is not known is added; others stay as they are."""
    known = dict(Plan.objects.filter(clerk_id__in=plans).values_list("clerk_id", "pk"))
    for clerk_id, terms in sorted(plans.items()):
        if clerk_id in known:
            update_plan(known[clerk_id], terms, actor=actor, now=now)
        else:
            create_plan({**terms, "clerk_id": clerk_id}, actor=actor, now=now)


def current_settings(now: datetime) -> dict[str, Any]:
    """The costs in force and the plans that are offered, as ``SettingsSerializer`` writes them."""
    in_force = prices_in_force(now)
    terms = {feature.value: in_force.of(feature, Currency.CREDITS) for feature in Feature}
    plans = list(Plan.objects.filter(is_active=True, clerk_id__isnull=False))
    return {
        "featureCosts": {name: each.amount for name, each in terms.items() if each and each.type == FIXED},
        "planCredits": {str(plan.clerk_id): plan.credits for plan in plans},
        "billingPlans": {str(plan.clerk_id): {"name": plan.name, "credits": plan.credits} for plan in plans},
    }
