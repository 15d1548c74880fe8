"""Jobs in the admin: what the workers do, and how it went."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.console import EMPTY, ReadOnlyPage, clipped, instant, label
from config.jobs import JOBS
from config.models import Job


@admin.display(description="state")
def state(job: Any) -> SafeString:
    """Late is a job that no worker began in time: look whether one runs."""
    now = timezone.now()
    if job.name not in JOBS:
        return label("gone")
    if job.leased_until is not None and job.leased_until > now:
        return label("running", "info")
    if job.failures:
        return label("failed", "bad")
    return label("late", "warning") if job.is_late(now) else label("waiting", "good")


@admin.display(description="every")
def every(job: Job) -> str:
    return str(JOBS[job.name]) if job.name in JOBS else EMPTY


@admin.register(Job)
class JobAdmin(ReadOnlyPage):
    nothing_yet = "The first worker writes them down: manage.py worker."

    list_display = [
        "name",
        state,
        every,
        clipped("outcome"),
        "failures",
        instant("succeeded_at", "last succeeded"),
        instant("due_at", "due"),
    ]
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": [("name", state, every), "outcome"]}),
        ("When", {"fields": [("due_at", "started_at"), ("finished_at", "succeeded_at"), "failures"]}),
        ("Who", {"fields": [("leased_by", "leased_until")]}),
    ]
