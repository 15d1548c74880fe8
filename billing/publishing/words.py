"""Prices as operators read them."""

from decimal import Decimal
from typing import Protocol

from billing.prices import WITHDRAWN
from billing.pricing import FIXED, MILLION
from credits.amounts import UNIT
from credits.console import in_words, name_of

FEMTO_PLACES, PICO_PLACES, MARKUP_PLACES = 15, 12, 6


class Priced(Protocol):
    """The columns that say what a price is: a row's, or a draft's."""

    @property
    def type(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def rate(self) -> int | None: ...
    @property
    def markup(self) -> int | None: ...
    @property
    def most_cost_picos(self) -> int | None: ...


def terms_in_words(price: Priced) -> str:
    """Such as ``cost × 1.2 at 100 credits a dollar, at least 0.001``."""
    if price.type == WITHDRAWN:
        return "withdrawn"
    amount = in_words(price.amount, price.currency)
    if price.type == FIXED:
        ceiling = price.most_cost_picos
        limit = "" if ceiling is None else f", if it costs us at most {dollars(ceiling, PICO_PLACES)}"
        name = name_of(price.currency).removesuffix("s") if price.amount == UNIT else name_of(price.currency)
        return f"{amount} {name} a unit{limit}"
    rate = in_words(price.rate or 0, price.currency)
    least = f", at least {amount}" if price.amount else ""
    times = decimal(price.markup or 0, MARKUP_PLACES)
    return f"cost × {times} at {rate} {name_of(price.currency)} a dollar{least}"


def per_dollar(price: Priced) -> str:
    """What a metered price brings for each dollar that the calls cost us, rate and markup in one number."""
    units = Decimal((price.rate or 0) * (price.markup or 0)) / (UNIT * MILLION)
    return f"{units.normalize():f}"


def dollars(amount: int, places: int = FEMTO_PLACES) -> str:
    return f"${decimal(amount, places)}"


def decimal(number: int, places: int) -> str:
    """Return a whole number of 10⁻ᵖˡᵃᶜᵉˢ as decimal text without trailing zeros."""
    return f"{Decimal(number).scaleb(-places).normalize():f}"
