import json
import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from ai.resolution import Resolved, overdue, resolve
from credits.amounts import display


class Command(BaseCommand):
    help = (
        "Settle the holds that a dead process left, from the provider's own record of each generation. "
        "Safe to run twice, in parallel, and to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            metavar="SECONDS",
            help="Take every pending hold of this age, not only those past their time. Only while no gateway runs.",
        )
        parser.add_argument(
            "--wait", type=int, default=0, metavar="SECONDS",
            help="Ask again for this long about generations that the provider has no record of yet.",
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="Say which holds would be resolved, and stop.")
        parser.add_argument("--json", action="store_true", help="Write one JSON object a hold.")

    def handle(self, **options: Any) -> None:
        age = options["older_than"]
        older_than = None if age is None else timedelta(seconds=age)
        if options["dry_run"]:
            for hold in overdue(now=timezone.now(), older_than=older_than):
                self.stdout.write(f"{hold.pk} of {hold.account}: {display(hold.amount)} held since {hold.created_at}")
            return
        give_up_at = time.monotonic() + options["wait"]
        settled = lost = 0
        while True:
            waiting = 0
            for hold in overdue(now=timezone.now(), older_than=older_than):
                resolved = resolve(hold, now=timezone.now(), is_abandoned=age is not None)
                self._report(resolved, as_json=options["json"])
                waiting += resolved.receipt is None
                settled += resolved.receipt is not None and not resolved.is_lost
                lost += resolved.is_lost
            if not waiting or time.monotonic() >= give_up_at:
                break
            time.sleep(1)
        if not options["json"]:
            self.stdout.write(
                f"{settled} resolved, {lost} booked as our loss, {waiting} still waiting for the provider."
            )

    def _report(self, resolved: Resolved, *, as_json: bool) -> None:
        hold, receipt = resolved.hold, resolved.receipt
        charged = None if receipt is None else display(receipt.charged)
        if as_json:
            row = {"hold": str(hold.pk), "generation": hold.reference, "charged": charged, "reason": resolved.reason}
            self.stdout.write(json.dumps(row))
        elif charged is None:
            self.stdout.write(f"{hold.pk}: left, {resolved.reason}")
        else:
            self.stdout.write(f"{hold.pk}: charged {charged}, {resolved.reason}")
