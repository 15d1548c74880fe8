"""
Which of the prices in force is a call's: pure, total and deterministic.

The customer's own price comes before everybody's, a price of fewer models before one of more, and of one customer,
pattern, feature and currency the newest that has taken effect. One that is withdrawn is as if it had never been.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from billing.pricing import Terms

#: The pattern of all models.
EVERY = "*"
#: The customer of a price that is everybody's.
EVERYBODY = 0
WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class Listed:
    """A price in force: whose it is, of what, for which models, and its terms."""

    customer_id: int
    feature: str
    currency: str
    pattern: str
    terms: Terms

    @property
    def rank(self) -> tuple[bool, int, bool, str]:
        """Prices are asked in the order of their ranks; the first one that fits is the call's."""
        literal = len(self.pattern.replace("*", ""))
        return self.customer_id == EVERYBODY, -literal, "*" in self.pattern, self.pattern


class PriceList:
    """The prices in force at an instant."""

    def __init__(self, listed: Iterable[Listed] = ()) -> None:
        self._by_feature: dict[tuple[str, str], list[Listed]] = defaultdict(list)
        for each in listed:
            if each.terms.type != WITHDRAWN:
                self._by_feature[each.feature, each.currency].append(each)
        for several in self._by_feature.values():
            several.sort(key=lambda each: each.rank)

    def of(self, feature: str, currency: str, *, customer_id: int = EVERYBODY, model: str = "") -> Terms | None:
        """Return what ``customer_id`` pays for ``feature`` of ``model`` in ``currency``, if it is sold in that."""
        for each in self._by_feature.get((feature, currency), ()):
            if each.customer_id in (EVERYBODY, customer_id) and is_for(each.pattern, model):
                return each.terms
        return None


def is_for(pattern: str, model: str) -> bool:
    """Whether a price with ``pattern`` is for ``model``, in any case; ``*`` stands for any text."""
    return pattern == EVERY or _matches(pattern, model)


@lru_cache(maxsize=4096)
def _matches(pattern: str, model: str) -> bool:
    return fnmatchcase(model.casefold(), pattern.casefold())
