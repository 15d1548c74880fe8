"""
What a call costs: pure arithmetic over whole units of 10⁻⁷ credit.

Nothing here knows Django, the clock or the database.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """A price as it was when the call was admitted; the same terms settle it."""

    price_id: int
    type: str
    amount: int


FIXED = "FIXED"
METERED = "METERED"


def ceiling(terms: Terms, quantity: int) -> int:
    """
    The most that ``quantity`` units of a feature can cost: what is held.

    :raises ValueError: if the price is of a type that this version cannot compute
    """
    if terms.type != FIXED:
        raise ValueError(f"A price of type {terms.type} has no ceiling here.")
    return terms.amount * quantity


def charge(terms: Terms, delivered: int) -> int:
    """
    What ``delivered`` units cost. A call that delivered nothing is free.

    :raises ValueError: if the price is of a type that this version cannot compute
    """
    return ceiling(terms, delivered)
