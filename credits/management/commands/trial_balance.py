import json
from argparse import ArgumentParser
from datetime import UTC, date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.spreadsheets import lines
from credits.administration.serializers import TrialBalanceSerializer, csv_rows
from credits.amounts import display
from credits.models import Currency
from credits.trial_balance import TrialBalance, trial_balance


class Command(BaseCommand):
    help = (
        "What went in and out of all balances in a period, by kind of entry, and what customers had to spend before "
        "and after it: revenue, breakage, refunds, and deferred revenue. Days are UTC."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="start", type=date.fromisoformat, metavar="DAY", help="This month's first.")
        parser.add_argument("--to", dest="end", type=date.fromisoformat, metavar="DAY", help="Not included; tomorrow.")
        parser.add_argument("--currency", choices=Currency.values, default=Currency.CREDITS.value)
        written = parser.add_mutually_exclusive_group()
        written.add_argument("--json", action="store_true", help="As the API writes it.")
        written.add_argument("--csv", action="store_true", help="As a spreadsheet reads it.")

    def handle(self, **options: Any) -> None:
        today = timezone.now().astimezone(UTC).date()
        end = options["end"] or today + timedelta(days=1)
        start = options["start"] or min(today.replace(day=1), end - timedelta(days=1))
        if start >= end:
            raise CommandError(f"--from {start} must be earlier than --to {end}.")
        balance = trial_balance(options["currency"], start, end)
        if options["json"]:
            self.stdout.write(json.dumps(TrialBalanceSerializer(balance).data))
        elif options["csv"]:
            self.stdout.write(b"".join(lines(csv_rows(balance))).decode(), ending="")
        else:
            self._show(balance)

    def _show(self, balance: TrialBalance) -> None:
        self.stdout.write(f"{balance.currency} from {balance.start} up to, not including, {balance.end}\n\n")
        self.stdout.write(f"  {'opening liability':<32}{display(balance.opening):>20}")
        for line in balance.lines:
            name = f"{line.kind} ({line.counter_account})"
            self.stdout.write(f"  {name:<32}{display(line.amount):>20}  {line.entries} entries")
        self.stdout.write(f"  {'closing liability':<32}{display(balance.closing):>20}")
