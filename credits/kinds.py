"""
The kinds of entries: which way each moves the balance, and the account that stands against it.

Every entry is one side of a double entry whose other side follows from its kind, so a
trial balance is a ``GROUP BY kind``, without a revenue row that every call would write to.
"""

from dataclasses import dataclass

ISSUED = "issued"
REVENUE = "revenue"
BREAKAGE = "breakage"
REFUNDS = "refunds"
ADJUSTMENTS = "adjustments"

#: In the order of a report. Against all of them stands what customers can still spend: the liability.
COUNTER_ACCOUNTS = (ISSUED, REVENUE, BREAKAGE, REFUNDS, ADJUSTMENTS)


@dataclass(frozen=True, slots=True)
class Kind:
    """``sign`` is 1 where it gives to the customer and -1 where it takes."""

    counter_account: str
    sign: int


KINDS = {
    "GRANT": Kind(ISSUED, 1),
    "USAGE": Kind(REVENUE, -1),
    "EXPIRY": Kind(BREAKAGE, -1),
    "ADJUSTMENT": Kind(ADJUSTMENTS, -1),
    "VOID": Kind(ISSUED, -1),
    "REFUND": Kind(REFUNDS, -1),
    "DISPUTE": Kind(REFUNDS, -1),
    "DEBT": Kind(REFUNDS, -1),
    "REINSTATE": Kind(REFUNDS, 1),
}
