from typing import Any

from django.core.management.base import BaseCommand, CommandError

from credits.audit import findings, snapshot


class Command(BaseCommand):
    help = "Prove every balance: all sums and the whole chain of entries, in one snapshot. Fails on any difference."

    def handle(self, **options: Any) -> None:
        differences = 0
        with snapshot():
            for finding in findings(self._show_progress):
                differences += 1
                self.stderr.write(str(finding))
        if differences:
            raise CommandError(f"The ledger is NOT in balance: {differences} differences.")
        self.stdout.write("The ledger is in balance.")

    def _show_progress(self, entries: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"{entries:,} entries proved", ending="\r")
