from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from credits.amounts import display
from credits.management.commands.adjust_credits import find_customer
from credits.models import Account, Currency, Grant, Hold


class Command(BaseCommand):
    help = "Explain a balance: what is left of each grant, what is held and for what, and every entry behind it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", help="A customer's id, or the e-mail or external id of its user.")
        parser.add_argument("--currency", choices=Currency.values, default=Currency.CREDITS.value)
        parser.add_argument("--entries", type=int, default=20, help="How many of the newest entries to list (20).")

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
        self._lots(account)
        self._holds(account)
        self._entries(account, options["entries"])

    def _lots(self, account: Account) -> None:
        self.stdout.write("\nWhat is left, in the order in which it is spent:")
        for grant in Grant.objects.live_of(account):
            until = f", expires {grant.expires_at:%Y-%m-%d %H:%M} UTC" if grant.expires_at else ""
            held = f" ({display(grant.held)} of it held)" if grant.held else ""
            self.stdout.write(f"  {display(grant.remaining)} of {display(grant.amount)}{held}: {grant.source}{until}")

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
