from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from billing.statements.explaining import Explanation, cause_of, explain
from billing.statements.reading import account_of
from credits.amounts import display
from credits.management.commands.adjust_credits import find_customer
from credits.models import Currency, LedgerEntry


class Command(BaseCommand):
    help = (
        "Explain a balance, now or at any past instant: what is left of each grant, what is held and for what, and "
        "every entry behind it; with --since also what has changed from then on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", help="A customer's id, or the e-mail or external id of its user.")
        parser.add_argument("--currency", choices=Currency.values, default=Currency.CREDITS.value)
        parser.add_argument("--at", type=instant, help="Such as 2026-11-20T12:00:00Z; now if left out.")
        parser.add_argument("--since", type=instant, help="Also what has changed after this instant.")
        parser.add_argument("--entries", type=natural, default=20, help="How many of the newest entries to list (20).")

    def handle(self, **options: Any) -> None:
        customer = find_customer(options["customer"])
        account = account_of(customer, options["currency"])
        if account is None:
            self.stdout.write(f"{customer} has no account in {options['currency']}: nothing was ever granted.")
            return
        now = timezone.now()
        at, since = options["at"] or now, options["since"]
        if at > now or (since is not None and since >= at):
            raise CommandError("--at must not be in the future, and --since must be earlier than --at.")
        explanation = explain(account, at=at, since=since)
        state = explanation.state
        owed = f", owed {display(account.owed)}" if options["at"] is None else ""
        self.stdout.write(
            f"{account} at {_written(at)}: balance {display(state.balance)}, held {display(state.held)}, "
            f"available {display(state.available)}{owed}"
        )
        self._difference(explanation)
        self._lots(explanation)
        self._due(explanation)
        self._holds(explanation)
        self._entries(explanation, options["entries"])

    def _difference(self, explanation: Explanation) -> None:
        difference = explanation.difference
        if difference is None:
            return
        opening, closing = difference.opening, difference.closing
        self.stdout.write(f"\nSince {_written(opening.at)}:\n  {'opening':<12}{display(opening.balance):>16}")
        for movement in difference.movements:
            self.stdout.write(
                f"  {movement.kind:<12}{display(movement.amount):>16}  {movement.entries} entries, "
                f"{movement.counter_account}"
            )
        self.stdout.write(f"  {'closing':<12}{display(closing.balance):>16}")

    def _lots(self, explanation: Explanation) -> None:
        booked = [each for each in explanation.lots if each.lot.booked_at is not None]
        waiting = [each for each in explanation.lots if each.lot.booked_at is None]
        self.stdout.write("\nWhat is left, in the order in which it is spent:")
        for each in booked:
            lot = each.lot
            held = f" ({display(lot.held)} of it held)" if lot.held else ""
            until = "" if lot.expires_at is None else f", expires {_minute(lot.expires_at)}"
            self.stdout.write(f"  {display(lot.remaining)} of {display(lot.amount)}{held}: {each.grant.source}{until}")
        if waiting:
            self.stdout.write("\nGranted, but not in effect before:")
        for each in waiting:
            self.stdout.write(
                f"  {display(each.lot.amount)} from {_minute(each.lot.effective_at)}: {each.grant.source}"
            )

    def _due(self, explanation: Explanation) -> None:
        if explanation.due:
            self.stdout.write("\nFallen due, and counted, but booked later:")
        for due in explanation.due:
            booked = f"as entry {due.booked.sequence}" if due.booked else "when the account is touched next"
            self.stdout.write(
                f"  {due.entry.kind} {display(due.entry.amount)} on {_minute(due.due_at)}, {booked}: {due.grant.source}"
            )

    def _holds(self, explanation: Explanation) -> None:
        if explanation.holds:
            self.stdout.write("\nHeld:")
        for hold in explanation.holds:
            self.stdout.write(f"  {display(hold.amount)} since {_written(hold.created_at)} {hold.reference}".rstrip())

    def _entries(self, explanation: Explanation, count: int) -> None:
        statement = explanation.entries()
        self.stdout.write(f"\nThe newest of {statement.up_to - statement.after} entries:")
        for entry in statement.page(statement.up_to + 1, count)[0] if count else []:
            sign = "+" if entry.amount > 0 else ""
            moved = f"{sign}{display(entry.amount):>12}  → {display(entry.balance_after):>12}"
            self.stdout.write(
                f"  {entry.sequence:>6}  {entry.created_at:%Y-%m-%d %H:%M:%S}  {entry.kind:<10} {moved}  "
                f"{_why(entry)} ({entry.actor})"
            )


def _why(entry: LedgerEntry) -> str:
    return cause_of(entry) or entry.memo or entry.grant.source


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def instant(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is not an instant with its zone, such as 2026-11-20T12:00:00Z")
    return moment


def natural(text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise ArgumentTypeError(f"{text!r} is not a number of entries")
    return int(text)
