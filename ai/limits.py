"""What the provider is told of a call's limits, so that it cannot cost more than is held for it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ai.protocols.base import Wanted
from billing.pricing import Limits
from billing.rates import FEMTO, Rates

#: Prices of tokens are told by the million.
MILLION = 10**6


def held_back(wanted: Wanted) -> frozenset[str]:
    """The names of the fields that are written when it is known what may be held."""
    return frozenset(("user", *wanted.told, *wanted.limit_fields))


def last_fields(wanted: Wanted, limits: Limits | None, user: str) -> dict[str, Any]:
    """Return the fields that were held back, with ``limits`` in the place of what the caller asked for."""
    payload = wanted.payload
    fields = {name: payload[name] for name in (*wanted.told, *wanted.limit_fields) if name in payload}
    if limits is not None:
        if wanted.limit_fields:
            given = [name for name in wanted.limit_fields if fields.pop(name, None) is not None]
            fields[given[0] if given else wanted.limit_fields[-1]] = limits.max_tokens
        if "provider" in wanted.told:
            fields["provider"] = _at_most(fields.get("provider"), limits.rates)
    if "user" in wanted.told:
        fields["user"] = user
    return fields


def _at_most(provider: Any, rates: Rates) -> dict[str, Any]:
    """The caller's routing, but to nobody who asks more than the hold was computed from."""
    routing = dict(provider) if isinstance(provider, Mapping) else {}
    ours = {
        "prompt": Decimal(rates.prompt) * MILLION / FEMTO,
        "completion": Decimal(rates.completion) * MILLION / FEMTO,
        "request": Decimal(rates.request) / FEMTO,
        "image": Decimal(rates.image) / FEMTO,
    }
    theirs = routing.get("max_price")
    asked = theirs if isinstance(theirs, Mapping) else {}
    lowest = {name: min(price, _price(asked.get(name), price)) for name, price in ours.items()}
    routing["max_price"] = {**asked, **{name: _text(price) for name, price in lowest.items()}}
    return routing


def _price(value: Any, otherwise: Decimal) -> Decimal:
    if value is None or isinstance(value, bool):
        return otherwise
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return otherwise
    return price if price.is_finite() and price >= 0 else otherwise


def _text(price: Decimal) -> str:
    """A price as plain decimal text: as a number it would be a float on the way."""
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
