"""Publishing a price: a new row and its audit entry, in one transaction. No row is ever changed."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from billing.models import Price
from billing.publishing.drafts import Draft


@transaction.atomic
def publish(draft: Draft, *, actor: str, now: datetime) -> Price:
    """
    Publish ``draft``, which counts from its ``effective_at``, or from ``now``, on.

    :raises IntegrityError: if it has faults (``billing.publishing.drafts.faults``)
    """
    price = Price.objects.create(
        feature=draft.feature,
        currency=draft.currency,
        customer_id=draft.customer_id or None,
        pattern=draft.pattern,
        type=draft.type,
        amount=draft.amount,
        rate=draft.rate,
        markup=draft.markup,
        most_cost_picos=draft.most_cost_picos,
        actor=actor,
        effective_at=draft.effective_at or now,
        created_at=now,
    )
    audit.record(
        price.customer_id,
        "price.published",
        f"price:{price.pk}",
        actor=actor,
        now=now,
        feature=price.feature,
        currency=price.currency,
        pattern=price.pattern,
        type=price.type,
        amount=price.amount,
        rate=price.rate,
        markup=price.markup,
        mostCostPicos=price.most_cost_picos,
        effectiveAt=price.effective_at.isoformat(),
    )
    return price
