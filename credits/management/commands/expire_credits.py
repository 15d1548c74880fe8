from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import F, Q
from django.utils import timezone

from credits.amounts import display
from credits.models import Grant, Hold
from credits.services import bring_up_to_date, expire_holds

AT_ONCE = 100


class Command(BaseCommand):
    help = (
        "Book what has fallen due: grants that expired, grants that took effect, holds whose time is over. Expiry "
        "counts at its instant whether or not this has run. Safe to run twice, in parallel, and to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what is due, and change nothing.")

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        due = Grant.objects.filter(
            Q(expires_at__lte=now, remaining__gt=F("held")) | Q(effective_at__lte=now, booked_at=None, voided_at=None)
        ).order_by("account_id", "pk")
        holds = Hold.objects.filter(status=Hold.Status.PENDING, lapse=Hold.Lapse.RELEASE, expires_at__lte=now).order_by(
            "account_id", "pk"
        )
        if options["dry_run"]:
            for grant in due.select_related("account__customer").iterator():
                what = (
                    "takes effect"
                    if grant.booked_at is None
                    else f"expires with {display(grant.remaining - grant.held)}"
                )
                self.stdout.write(f"Grant {grant.pk} of {grant.account} {what}.")
            for hold in holds.select_related("account__customer").iterator():
                self.stdout.write(f"Hold {hold.pk} of {hold.account} gives {display(hold.amount - hold.lent)} back.")
            return
        accounts = list(due.values_list("account_id", flat=True).distinct().order_by("account_id"))
        booked = 0
        for start in range(0, len(accounts), AT_ONCE):
            for entry in bring_up_to_date(accounts[start : start + AT_ONCE], now=now):
                booked += 1
                self.stdout.write(f"{entry.account}: {entry.kind} {display(entry.amount)} of grant {entry.grant_id}")
        lapsed = [id_.hex for id_ in holds.values_list("pk", flat=True)]
        for start in range(0, len(lapsed), AT_ONCE):
            expire_holds(lapsed[start : start + AT_ONCE], now=now)
        self.stdout.write(f"{booked} entries in {len(accounts)} accounts, {len(lapsed)} holds given back.")
