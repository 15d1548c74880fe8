from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.idempotency import prune

DAYS = 30
ANSWERS_A_BATCH = 1000


class Command(BaseCommand):
    help = (
        "Forget the answers that are kept for old idempotency keys, in small transactions. "
        "Safe to run twice, in parallel, and to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=DAYS,
            metavar="DAYS",
            help="Answers given before so many days (default: %(default)s).",
        )

    def handle(self, *, older_than: int, **options: Any) -> None:
        if older_than < 1:
            raise CommandError("--older-than must be at least 1 day.")
        try:
            before = timezone.now() - timedelta(days=older_than)
        except OverflowError:
            raise CommandError("--older-than goes back further than the calendar.") from None
        total = 0
        while forgotten := prune(before=before, limit=ANSWERS_A_BATCH):
            total += forgotten
        self.stdout.write(f"{total:,} answers of before {before:%Y-%m-%d %H:%M} UTC forgotten.")
