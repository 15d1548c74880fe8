from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import F, Q
from django.utils import timezone

from credits.amounts import display
from credits.models import Grant
from credits.services import bring_up_to_date

ACCOUNTS_A_TRANSACTION = 100


class Command(BaseCommand):
    help = (
        "Book what has fallen due: grants that expired and grants that took effect. Expiry counts at its instant "
        "whether or not this has run. Safe to run twice, in parallel, and to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what is due, and change nothing.")

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        due = Grant.objects.filter(
            Q(expires_at__lte=now, remaining__gt=F("held")) | Q(effective_at__lte=now, booked_at=None)
        ).order_by("account_id", "pk")
        if options["dry_run"]:
            for grant in due.select_related("account__customer").iterator():
                what = (
                    "takes effect"
                    if grant.booked_at is None
                    else f"expires with {display(grant.remaining - grant.held)}"
                )
                self.stdout.write(f"Grant {grant.pk} of {grant.account} {what}.")
            return
        accounts = list(due.values_list("account_id", flat=True).distinct().order_by("account_id"))
        booked = 0
        for start in range(0, len(accounts), ACCOUNTS_A_TRANSACTION):
            for entry in bring_up_to_date(accounts[start : start + ACCOUNTS_A_TRANSACTION], now=now):
                booked += 1
                self.stdout.write(f"{entry.account}: {entry.kind} {display(entry.amount)} of grant {entry.grant_id}")
        self.stdout.write(f"{booked} entries in {len(accounts)} accounts.")
