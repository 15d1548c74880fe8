"""What billing can be asked: the prices in force."""

from datetime import datetime

from billing.pricing import Terms
from credits import rows

PRICES_IN_FORCE = """
    SELECT price.feature, price.currency, price.id, price.type, price.amount
    FROM billing_price price, {rows}
    WHERE price.effective_at <= rows.instant AND NOT EXISTS (
        SELECT 1 FROM billing_price newer
        WHERE newer.feature = price.feature AND newer.currency = price.currency
          AND newer.effective_at <= rows.instant
          AND (newer.effective_at, newer.id) > (price.effective_at, price.id)
    )
"""
AT = (("instant", rows.INSTANT),)


#: The prices in force by feature and currency.
Prices = dict[tuple[str, str], Terms]


def current_prices(now: datetime) -> Prices:
    """Return the newest price of each feature that has taken effect, in each currency that it has one in."""
    return terms_of(rows.select(PRICES_IN_FORCE, AT, [{"instant": now}]))


def terms_of(found: rows.Found) -> Prices:
    return {(feature, currency): Terms(price_id, type_, amount) for feature, currency, price_id, type_, amount in found}
