"""What calls cost the operator and nobody pays for: never below the customer's zero, never unseen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, TextChoices

from billing.models import UsageRecord
from credits.models import Currency


class Kind(TextChoices):
    NEVER_KNOWN = "never_known", "never known"
    ABOVE_HOLD = "above_hold", "above what was held"
    NOT_DELIVERED = "not_delivered", "not delivered"


def condition(kind: Kind) -> Q:
    """
    Which usage records are losses of this kind. Calls of test keys cost nobody anything.

    NEVER_KNOWN: neither the answer nor the provider's record told what a call used, so its customer paid nothing.
    ABOVE_HOLD: it was worth more than was held (``shortfall``). NOT_DELIVERED: the provider billed us for an answer
    that its customer did not get.
    """
    real = ~Q(currency=Currency.TEST)
    match kind:
        case Kind.NEVER_KNOWN:
            return real & Q(status=UsageRecord.Status.UNKNOWN)
        case Kind.ABOVE_HOLD:
            return real & Q(shortfall__gt=0)
        case Kind.NOT_DELIVERED:
            return real & Q(status=UsageRecord.Status.FAILED, provider_cost_picos__gt=0)


@dataclass(frozen=True, slots=True)
class Loss:
    kind: Kind
    call: UsageRecord


def losses(kinds: Iterable[Kind] = tuple(Kind), *, since: datetime, until: datetime) -> Iterator[Loss]:
    """Yield the losses of calls that began from ``since`` to before ``until``, kind by kind, oldest first."""
    for kind in kinds:
        calls = UsageRecord.objects.filter(condition(kind), created_at__gte=since, created_at__lt=until)
        for call in calls.order_by("created_at", "pk").iterator():
            yield Loss(kind, call)
