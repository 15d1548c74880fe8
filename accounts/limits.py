"""The limits that a customer sets itself or a key, or an operator sets a customer."""

from django.db import models
from django.db.models import Q


class Limited(models.Model):
    """What may be asked of it at most. Empty is without a limit of its own."""

    class Period(models.TextChoices):
        DAY = "DAY"
        WEEK = "WEEK"
        MONTH = "MONTH"

    budget = models.BigIntegerField(
        null=True, blank=True, help_text="Units (10⁻⁷) of what it spends, that it may spend in each period."
    )
    budget_period = models.CharField(max_length=5, choices=Period, blank=True, default="")
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    concurrent_calls = models.PositiveIntegerField(null=True, blank=True)
    limited_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when its limits are what they are; empty: always."
    )

    class Meta:
        abstract = True


#: What a change of which makes the limits other ones.
LIMITS = ("budget", "budget_period", "requests_per_minute", "tokens_per_minute", "concurrent_calls")


def budget_of(name: str, field: str) -> models.CheckConstraint:
    """What the database checks of the budget ``field`` of what it calls ``name``."""
    period = f"{field}_period"
    return models.CheckConstraint(
        condition=Q(**{field: None, period: ""})
        | Q(**{f"{field}__isnull": False, f"{field}__gt": 0, f"{period}__in": Limited.Period.values}),
        name=f"{name}_budget_has_a_period",
    )


def limits_of(name: str) -> list[models.CheckConstraint]:
    """What the database checks of a ``Limited`` that it calls ``name``."""
    return [
        budget_of(name, "budget"),
        models.CheckConstraint(
            condition=(Q(requests_per_minute=None) | Q(requests_per_minute__gt=0))
            & (Q(tokens_per_minute=None) | Q(tokens_per_minute__gt=0))
            & (Q(concurrent_calls=None) | Q(concurrent_calls__gt=0)),
            name=f"{name}_limits_allow_something",
        ),
    ]
