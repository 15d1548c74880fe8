from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from webhooks.errors import WebhookNotHandled
from webhooks.models import InboundEvent
from webhooks.services import handle, replay
from webhooks.sources import SOURCES

Status = InboundEvent.Status


class Command(BaseCommand):
    help = "Handle kept webhooks again: those that failed or were cut short, or the named ones whatever became of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event_ids", nargs="*", help="Ids of events, such as msg_… or evt_…")
        parser.add_argument("--source", choices=SOURCES, help="Only events of this sender.")
        parser.add_argument("--dry-run", action="store_true", help="Try it, say what would be done, and undo it.")

    def handle(self, **options: Any) -> None:
        failed = 0
        for event in self.chosen(options).defer("payload"):
            try:
                outcome = self.run_again(event, named=bool(options["event_ids"]), dry_run=options["dry_run"])
            except WebhookNotHandled as error:
                failed += 1
                outcome = f"failed: {type(error.__cause__).__name__}"
            self.stdout.write(f"{event} {event.type}: {outcome}")
        if failed:
            raise CommandError(f"{failed} could not be handled; the log says why.")

    def run_again(self, event: InboundEvent, *, named: bool, dry_run: bool) -> str:
        if named or dry_run:
            return replay(event, now=timezone.now(), dry_run=dry_run)
        # A delivery may be handling it at this moment; then there is nothing left to do.
        return handle(event, now=timezone.now())

    def chosen(self, options: dict[str, Any]) -> QuerySet[InboundEvent]:
        """
        Return the events that are meant, oldest first.

        :raises CommandError: if one is named that is not kept
        """
        events = InboundEvent.objects.order_by("pk")
        if options["source"]:
            events = events.filter(source=options["source"])
        wanted = set(options["event_ids"])
        if not wanted:
            return events.filter(status__in=(Status.FAILED, Status.RECEIVED))
        events = events.filter(event_id__in=wanted)
        if missing := sorted(wanted - set(events.values_list("event_id", flat=True))):
            raise CommandError(f"Not kept: {', '.join(missing)}")
        return events
