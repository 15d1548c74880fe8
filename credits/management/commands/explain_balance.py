from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from credits.amounts import display
from credits.management.commands.adjust_credits import find_customer
from credits.models import Account, Currency, Grant, Hold


class Command(BaseCommand):
    help = "Explain a balance: what is left of each grant, what is held and for what, and every entry behind it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", help="A customer's id, or the e-mail or external id of its user.")
        parser.add_argument("--currency", choices=Currency.values, default=Currency.CREDITS.value)
        parser.add_argument("--entries", type=natural, default=20, help="How many of the newest entries to list (20).")

    def handle(self, **options: Any) -> None:
        customer = find_customer(options["customer"])
        account = Account.objects.filter(customer=customer, currency=options["currency"]).first()
        if account is None:
            self.stdout.write(f"{customer} has no account in {options['currency']}: nothing was ever granted.")
            return
        self.stdout.write(
            f"{account}: balance {display(account.balance)}, held {display(account.held)}, "
            f"available {display(account.available)}, owed {display(account.owed)}"
        )
        self._lots(account, timezone.now())
        self._holds(account)
        self._entries(account, options["entries"])

    def _lots(self, account: Account, now: datetime) -> None:
        self.stdout.write("\nWhat is left, in the order in which it is spent:")
        for grant in Grant.objects.live_of(account):
            held = f" ({display(grant.held)} of it held)" if grant.held else ""
            self.stdout.write(
                f"  {display(grant.remaining)} of {display(grant.amount)}{held}: {grant.source}{_until(grant, now)}"
            )
        waiting = Grant.objects.filter(account=account, booked_at=None).order_by("effective_at", "pk")
        if waiting:
            self.stdout.write("\nGranted, but not in effect before:")
        for grant in waiting:
            self.stdout.write(f"  {display(grant.amount)} from {grant.effective_at:%Y-%m-%d %H:%M} UTC: {grant.source}")

    def _holds(self, account: Account) -> None:
        pending = Hold.objects.filter(account=account, status=Hold.Status.PENDING).order_by("created_at")
        if pending:
            self.stdout.write("\nHeld:")
        for hold in pending:
            self.stdout.write(
                f"  {display(hold.amount)} since {hold.created_at:%Y-%m-%d %H:%M:%S} UTC {hold.reference}"
            )

    def _entries(self, account: Account, count: int) -> None:
        self.stdout.write(f"\nThe newest of {account.entry_count} entries:")
        for entry in account.entries.select_related("hold", "grant").order_by("-sequence")[:count]:
            sign = "+" if entry.amount > 0 else ""
            what = entry.hold.reference or f"hold {entry.hold_id}" if entry.hold else entry.memo or entry.grant.source
            self.stdout.write(
                f"  {entry.sequence:>6}  {entry.created_at:%Y-%m-%d %H:%M:%S}  {entry.kind:<10} "
                f"{sign}{display(entry.amount):>12}  → {display(entry.balance_after):>12}  {what} ({entry.actor})"
            )


def natural(text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise ArgumentTypeError(f"{text!r} is not a number of entries")
    return int(text)


def _until(grant: Grant, now: datetime) -> str:
    """Expiry counts at its instant; the entry follows when the account is touched next."""
    if grant.expires_at is None:
        return ""
    expired = " (it has, and what is not held no longer counts)" if grant.expires_at <= now else ""
    return f", expires {grant.expires_at:%Y-%m-%d %H:%M} UTC{expired}"
