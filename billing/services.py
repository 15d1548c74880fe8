"""What billing can be asked: the prices in force, and what models cost at the provider."""

from collections.abc import Collection
from datetime import datetime

from billing.prices import EVERYBODY, Listed, PriceList
from billing.pricing import Terms
from credits import rows

FEMTOS_A_PICO = 1000

PRICES_IN_FORCE = """
    SELECT rows.customer_id, price.feature, price.currency, price.pattern,
           price.id, price.type, price.amount, price.rate, price.markup, price.most_cost_picos
    FROM {rows}
    JOIN billing_price price ON price.customer_id = rows.customer_id
         OR (rows.customer_id = 0 AND price.customer_id IS NULL)
    WHERE price.effective_at <= rows.instant AND NOT EXISTS (
        SELECT 1 FROM billing_price newer
        WHERE (newer.customer_id = price.customer_id OR (newer.customer_id IS NULL AND price.customer_id IS NULL))
          AND newer.feature = price.feature AND newer.currency = price.currency AND newer.pattern = price.pattern
          AND newer.effective_at <= rows.instant
          AND (newer.effective_at, newer.id) > (price.effective_at, price.id)
    )
"""
OF_CUSTOMERS = (("customer_id", rows.BIGINT), ("instant", rows.INSTANT))

RATES = """
    SELECT model.id, model.rates FROM billing_listedmodel model
    WHERE model.id IN (SELECT id FROM {rows})
"""
MODEL = (("id", rows.TEXT),)


def prices_in_force(now: datetime, customer_ids: Collection[int] = ()) -> PriceList:
    """Return the prices that have taken effect: everybody's, and those of the customers."""
    return PriceList(listed_in_force(now, customer_ids))


def listed_in_force(now: datetime, customer_ids: Collection[int] = ()) -> list[Listed]:
    """Return the same one by one, those that are withdrawn among them."""
    asked = [{"customer_id": id_, "instant": now} for id_ in sorted({EVERYBODY, *customer_ids})]
    return [_listed(*row) for row in rows.select(PRICES_IN_FORCE, OF_CUSTOMERS, asked)]


def rates_listed(models: Collection[str]) -> dict[str, str]:
    """Return what the catalogue knows of the costs of ``models``, as ``billing.rates`` reads it. Others are missing."""
    return dict(rows.select(RATES, MODEL, [{"id": model} for model in sorted(models)])) if models else {}


def _listed(
    customer_id: int,
    feature: str,
    currency: str,
    pattern: str,
    price_id: int,
    type_: str,
    amount: int,
    rate: int | None,
    markup: int | None,
    most_cost_picos: int | None,
) -> Listed:
    most_cost = None if most_cost_picos is None else most_cost_picos * FEMTOS_A_PICO
    terms = Terms(price_id, type_, amount, rate or 0, markup or 0, most_cost)
    return Listed(customer_id, feature, currency, pattern, terms)
