from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Customer
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
            "--older-than",
            type=int,
            metavar="DAYS",
            help="Calls that began before so many days; not needed to erase a customer.",
        )
        parser.add_argument(
            "--customer", type=int, metavar="ID", help="Calls of this customer alone, such as of a person who left."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count what would be erased, and change nothing.")
        parser.add_argument(
            "--batch",
            type=int,
            default=RECORDS_A_BATCH,
            metavar="N",
            help="Records a transaction (default: %(default)s).",
        )

    def handle(
        self, *, older_than: int | None, customer: int | None, batch: int, dry_run: bool, **options: Any
    ) -> None:
        if older_than is None and customer is None:
            raise CommandError("Give --older-than, --customer, or both.")
        if older_than is not None and older_than < 1:
            raise CommandError("--older-than must be at least 1 day.")
        if not 1 <= batch <= MOST_RECORDS_A_BATCH:
            raise CommandError(f"--batch must be from 1 to {MOST_RECORDS_A_BATCH}.")
        whose = None if customer is None else Customer.objects.filter(pk=customer).first()
        if customer is not None and whose is None:
            raise CommandError(f"There is no customer {customer}.")
        try:
            before = timezone.now() - timedelta(days=older_than or 0)
        except OverflowError:
            raise CommandError("--older-than goes back further than the calendar.") from None
        if dry_run:
            self.stdout.write(
                f"{erasable(before, whose).count():,} records of before {before:%Y-%m-%d %H:%M} UTC to erase."
            )
            return
        total, since = 0, None
        while (erased := erase_details(before=before, limit=batch, since=since, customer=whose)).count:
            total, since = total + erased.count, erased.up_to
            if self.stderr.isatty():
                self.stderr.write(f"{total:,} records erased, up to {since:%Y-%m-%d %H:%M} UTC", ending="\r")
        self.stdout.write(f"{total:,} records of before {before:%Y-%m-%d %H:%M} UTC erased. Their sums stay.")
