"""
Amounts of money: whole numbers inside, decimal text outside.

One unit is 10⁻⁷ of a credit or of a USDC, so a 64-bit integer holds 9·10¹¹ credits.
Nothing here, and nothing that handles an amount, uses a float.
"""

import re

PLACES = 7
UNIT = 10**PLACES
MAXIMUM = 2**63 - 1

_DECIMAL = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,7}))?", re.ASCII)


def credits(whole: int) -> int:
    """Return ``whole`` credits in units."""
    return whole * UNIT


def parse(text: str) -> int:
    """
    Return the units that ``text`` (such as ``"12.5"``) stands for.

    :raises ValueError: if it is not a plain decimal with at most 7 places
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not an amount: write a decimal with at most {PLACES} places, such as 12.5.")
    sign, whole, places = match.groups()
    units = int(whole) * UNIT + int((places or "").ljust(PLACES, "0"))
    if units > MAXIMUM:
        raise ValueError(f"{text[:40]!r} is more than an account can hold.")
    return -units if sign else units


def display(units: int, *, least_places: int = 0) -> str:
    """
    Write ``units`` as decimal text: no trailing zeros, but at least ``least_places``.

    Credits are written with 0 (``"12"``, ``"12.5"``), USDC with 2 (``"0.00"``, ``"100.50"``).
    """
    whole, rest = divmod(abs(units), UNIT)
    places = f"{rest:0{PLACES}d}".rstrip("0").ljust(least_places, "0")
    return ("-" if units < 0 else "") + str(whole) + ("." + places if places else "")


def number(units: int) -> int | str:
    """What clients of whole credits read: a JSON number when it is whole, else decimal text."""
    whole, rest = divmod(units, UNIT)
    return display(units) if rest else whole


def share(amount: int, part: int, whole: int) -> int:
    """
    Return what of ``amount`` ``part`` of ``whole`` is, rounded down to a unit, and never more than all of it.

    For refunds: whatever currency was paid in, and however many decimals it has, its smallest
    units cancel out. Where tax was refunded on top of what was paid, all of the amount goes.

    :raises ValueError: if ``whole`` is not above 0, or ``part`` is below
    """
    if whole <= 0 or part < 0:
        raise ValueError("A share is a part of something.")
    return min(amount, amount * part // whole)
