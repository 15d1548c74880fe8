from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.errors import PrepaidError
from accounts.models import Customer
from credits.amounts import display, parse
from credits.models import Currency
from credits.services import account_of, adjust

ACTOR = "command:adjust_credits"


class Command(BaseCommand):
    help = "Correct a balance by a signed amount, once per reference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", help="A customer's id, or the e-mail or external id of its user.")
        parser.add_argument("amount", help="Decimal text such as 100, -4 or 2.5.")
        parser.add_argument("--reference", required=True, help="Such as a ticket's number; the same one adjusts once.")
        parser.add_argument("--memo", required=True, help="Why. It stands on the statement.")
        parser.add_argument("--currency", choices=Currency.values, default=Currency.CREDITS.value)
        parser.add_argument("--dry-run", action="store_true", help="Try it, say what would be, and undo it.")

    def handle(self, **options: Any) -> None:
        customer = find_customer(options["customer"])
        now = timezone.now()
        try:
            with transaction.atomic():
                account = account_of(customer, options["currency"])
                entries = adjust(
                    account=account,
                    amount=parse(options["amount"]),
                    reference=options["reference"],
                    memo=options["memo"],
                    actor=ACTOR,
                    now=now,
                )
                account.refresh_from_db()
                transaction.set_rollback(options["dry_run"])
        except (PrepaidError, ValueError) as error:
            raise CommandError(str(error)) from error
        if entries[0].created_at != now:
            self.stdout.write(f"{account} was adjusted under this reference before: {display(account.balance)}.")
        else:
            done = "would go" if options["dry_run"] else "went"
            before = entries[0].balance_after - entries[0].amount
            self.stdout.write(f"{account} {done} from {display(before)} to {display(entries[-1].balance_after)}.")


def find_customer(name: str) -> Customer:
    """
    Return the customer that an operator means by ``name``.

    :raises CommandError: if there is none
    """
    by = [{"user__email": name.lower()}, {"user__external_id": name}, {"external_id": name}]
    if name.isdecimal() and name.isascii():
        by.insert(0, {"pk": name})
    for lookup in by:
        customer = Customer.objects.filter(**lookup).first()
        if customer is not None:
            return customer
    raise CommandError(f"There is no customer {name!r}: give an id, or the e-mail or external id of its user.")
