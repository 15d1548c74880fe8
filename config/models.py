"""What the worker keeps: when each job is due, who is at it, and how it ended."""

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

#: How long a due job may wait for a worker before somebody should look.
PATIENCE = timedelta(minutes=10)


class Job(models.Model):
    """
    A job that is done again and again (``config.jobs``), by whichever worker leases it first.

    A worker renews its lease while it works. One that was killed leaves it to run out, and another begins again.
    """

    name = models.CharField(primary_key=True, max_length=50)
    due_at = models.DateTimeField(default=timezone.now, help_text="From when on a worker may begin it.")
    leased_by = models.CharField(max_length=200, blank=True, help_text="Who is at it: machine, process, and a number.")
    leased_until = models.DateTimeField(null=True, blank=True, help_text="Until when nobody else begins it.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row, since it last succeeded.")
    outcome = models.CharField(max_length=500, blank=True, help_text="What it said at its end.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def is_late(self, now: datetime) -> bool:
        """Whether it has been due for long, and nobody is at it."""
        return self.due_at <= now - PATIENCE and (self.leased_until is None or self.leased_until <= now)
