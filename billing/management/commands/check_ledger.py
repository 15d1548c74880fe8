from argparse import ArgumentParser
from datetime import date
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import audit as usage
from credits import audit as ledger
from credits.models import Seal


class Command(BaseCommand):
    help = (
        "Prove every balance, in one snapshot: all sums, the whole chain of entries, the seals, what each call was "
        "charged, the daily sums of usage, and the counters of limits. Fails on any difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since",
            type=date.fromisoformat,
            metavar="DAY",
            help="Walk only the entries made after this sealed day; its seal vouches for those before.",
        )

    def handle(self, **options: Any) -> None:
        day = options.get("since")
        since = None if day is None else Seal.objects.filter(day=day).first()
        if day is not None and since is None:
            raise CommandError(f"{day} is not sealed. Name a day that `seal_ledger` has sealed.")
        differences = 0
        with ledger.snapshot():
            proofs = chain(
                ledger.findings(self._show_progress, since=since),
                usage.findings(),
                usage.findings_of_days(),
                usage.findings_of_counters(),
            )
            for finding in proofs:
                differences += 1
                self.stderr.write(str(finding))
        if differences:
            raise CommandError(f"The ledger is NOT in balance: {differences} differences.")
        self.stdout.write("The ledger is in balance.")

    def _show_progress(self, entries: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"{entries:,} entries proved", ending="\r")
