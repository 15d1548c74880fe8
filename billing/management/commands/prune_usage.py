from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.retention import erasable, erase_details

RECORDS_A_BATCH = 1000
MOST_RECORDS_A_BATCH = 10_000


class Command(BaseCommand):
    help = (
        "Erase the details of old calls: their usage records, with models, request ids and generation ids. The ledger "
        "and the daily sums stay, and check_ledger proves them as before. Safe to run twice, in parallel, and to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than", type=int, required=True, metavar="DAYS", help="Calls that began before so many days."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count what would be erased, and change nothing.")
        parser.add_argument(
            "--batch",
            type=int,
            default=RECORDS_A_BATCH,
            metavar="N",
            help="Records a transaction (default: %(default)s).",
        )

    def handle(self, *, older_than: int, batch: int, dry_run: bool, **options: Any) -> None:
        if older_than < 1:
            raise CommandError("--older-than must be at least 1 day.")
        if not 1 <= batch <= MOST_RECORDS_A_BATCH:
            raise CommandError(f"--batch must be from 1 to {MOST_RECORDS_A_BATCH}.")
        try:
            before = timezone.now() - timedelta(days=older_than)
        except OverflowError:
            raise CommandError("--older-than goes back further than the calendar.") from None
        if dry_run:
            self.stdout.write(f"{erasable(before).count():,} records of before {before:%Y-%m-%d %H:%M} UTC to erase.")
            return
        total, since = 0, None
        while (erased := erase_details(before=before, limit=batch, since=since)).count:
            total, since = total + erased.count, erased.up_to
            if self.stderr.isatty():
                self.stderr.write(f"{total:,} records erased, up to {since:%Y-%m-%d %H:%M} UTC", ending="\r")
        self.stdout.write(f"{total:,} records of before {before:%Y-%m-%d %H:%M} UTC erased. Their sums stay.")
