import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from webhooks.clerk_sync.api import count_users
from webhooks.clerk_sync.services import USERS, Effect, Kind, Report, sync
from webhooks.errors import ClerkNotConfigured, ClerkUnreachable

PAGE, MOST_A_PAGE = 100, 500
WIDTH = 30


class Command(BaseCommand):
    help = (
        "Read people, organizations and memberships from Clerk's Backend API and keep them, as the webhooks do. Safe "
        "to run twice and to kill: the next run within a day goes on where it was. Nobody's credits are touched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say by id what would change, and change nothing.")
        parser.add_argument("--restart", action="store_true", help="Begin at the beginning, whatever was cut short.")
        parser.add_argument(
            "--page-size", type=int, default=PAGE, help=f"Objects a request, 1 to {MOST_A_PAGE} (default: %(default)s)."
        )

    def handle(self, *, dry_run: bool, restart: bool, page_size: int, **options: Any) -> None:
        if not 1 <= page_size <= MOST_A_PAGE:
            raise CommandError(f"--page-size must be 1 to {MOST_A_PAGE}.")
        totals: dict[str, Counter[Effect]] = {}
        try:
            users = count_users(wait=time.sleep)
            pages = sync(page_size=page_size, now=timezone.now(), dry_run=dry_run, restart=restart, wait=time.sleep)
            for kind, offset, report in pages:
                totals.setdefault(kind.name, Counter()).update(report.counts)
                self.tell(report, dry_run=dry_run)
                self.draw(kind, offset, users if kind is USERS else None)
        except ClerkNotConfigured as error:
            raise CommandError(str(error)) from error
        except ClerkUnreachable as error:
            raise CommandError(f"{error} What was read is kept; run it again to go on.") from error
        for name, counts in totals.items():
            told = ", ".join(f"{counts[effect]:,} {effect}" for effect in Effect)
            self.stdout.write(f"{name}: {counts.total():,} read: {told}.")
        if dry_run:
            self.stdout.write("Nothing was changed.")

    def tell(self, report: Report, *, dry_run: bool) -> None:
        """Name those that would change, and always those that cannot be kept. By id: names belong in no log."""
        for id_, effect in report.effects:
            if dry_run or effect is Effect.SKIPPED:
                self.stdout.write(f"{effect} {id_}")

    def draw(self, kind: Kind, done: int, total: int | None) -> None:
        """Draw how far it has come, on a terminal only."""
        if not self.stderr.isatty():
            return
        filled = min(WIDTH, WIDTH * done // total) if total else 0
        bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done:,} of {total:,}" if total else f"{done:,}"
        self.stderr.write(f"\r{kind.name}: {bar} ", ending="")
        self.stderr.flush()
