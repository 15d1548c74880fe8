"""What the outside world told us, kept before anything is done about it."""

from django.db import models
from django.utils import timezone


class InboundEvent(models.Model):
    """A kept webhook: signed, stored once, then handled."""

    class Status(models.TextChoices):
        RECEIVED = "RECEIVED", "kept, not yet handled"
        HANDLED = "HANDLED"
        IGNORED = "IGNORED", "of a type we do not act on"
        FAILED = "FAILED", "its handling failed; it can be replayed"

    source = models.CharField(max_length=20)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    status = models.CharField(max_length=8, choices=Status, default=Status.RECEIVED)
    payload = models.TextField(help_text="The raw body, as it was signed.")
    payload_digest = models.CharField(max_length=64, help_text="SHA-256 of the raw body.")
    conflicting_digest = models.CharField(
        max_length=64, blank=True, help_text="Of another body that came under the same id. It should never happen."
    )
    error = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    received_at = models.DateTimeField(default=timezone.now)
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["status", "-id"], name="event_by_status")]
        constraints = [
            models.UniqueConstraint(fields=["source", "event_id"], name="event_kept_once_per_source"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.event_id}"


class SyncProgress(models.Model):
    """How far a run of ``manage.py sync_clerk`` has come with one of Clerk's lists; gone when the run has ended."""

    kind = models.CharField(max_length=20, unique=True)
    offset = models.PositiveIntegerField()
    started_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} up to {self.offset}"
