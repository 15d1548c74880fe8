from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import audit as usage
from credits import audit as ledger


class Command(BaseCommand):
    help = (
        "Prove every balance, in one snapshot: all sums, the whole chain of entries, what each call was charged, and "
        "the daily sums of usage. Fails on any difference."
    )

    def handle(self, **options: Any) -> None:
        differences = 0
        with ledger.snapshot():
            for finding in chain(ledger.findings(self._show_progress), usage.findings(), usage.findings_of_days()):
                differences += 1
                self.stderr.write(str(finding))
        if differences:
            raise CommandError(f"The ledger is NOT in balance: {differences} differences.")
        self.stdout.write("The ledger is in balance.")

    def _show_progress(self, entries: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"{entries:,} entries proved", ending="\r")
