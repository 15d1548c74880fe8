import json
from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.calls import PICO
from billing.losses import Kind, Loss, losses
from credits.amounts import display

DAYS = 30


class Command(BaseCommand):
    help = (
        "List the calls that cost us what nobody pays for: those of which nobody will ever know what they used, those "
        "that were worth more than was held, and answers that were billed and not delivered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, default=DAYS, help="Calls that began in so many last days (default: %(default)s)."
        )
        parser.add_argument("--kind", choices=Kind.values, help="Losses of this kind alone.")
        parser.add_argument("--json", action="store_true", help="Write one JSON object a loss, and no sums.")

    def handle(self, *, days: int, kind: str | None, **options: Any) -> None:
        now = timezone.now()
        if days < 1:
            raise CommandError("--days must be at least 1.")
        try:
            since = now - timedelta(days=days)
        except OverflowError:
            raise CommandError("--days goes back further than the calendar.") from None
        counts: Counter[Kind] = Counter()
        picos: Counter[Kind] = Counter()
        for loss in losses([Kind(kind)] if kind else list(Kind), since=since, until=now):
            counts[loss.kind] += 1
            picos[loss.kind] += loss.call.provider_cost_picos or 0
            self.stdout.write(json.dumps(_row(loss)) if options["json"] else _line(loss))
        if not options["json"]:
            for each in [Kind(kind)] if kind else list(Kind):
                cost = f"{Decimal(picos[each]).scaleb(-PICO):f}"
                self.stdout.write(f"{counts[each]} {each.label}, of a known cost of ${cost}.")


def _row(loss: Loss) -> dict[str, Any]:
    call = loss.call
    return {
        "kind": loss.kind.value,
        "createdAt": call.created_at.isoformat(),
        "customerId": call.customer_id,
        "hold": str(call.hold_id),
        "generation": call.generation_id,
        "model": call.model,
        "reason": call.error_code,
        "held": display(call.held),
        "charged": display(call.charged),
        "shortfall": display(call.shortfall),
        "currency": call.currency,
        "providerCost": call.provider_cost,
    }


def _line(loss: Loss) -> str:
    call = loss.call
    cost = f"${call.provider_cost}" if call.provider_cost else "a cost that is not known"
    lacking = f", {display(call.shortfall)} {call.currency} above its hold" if call.shortfall else ""
    return (
        f"{call.created_at:%Y-%m-%d %H:%M:%S} {loss.kind.label}: {cost}{lacking}, {call.model} for customer "
        f"{call.customer_id}, hold {call.hold_id}"
        + (f", generation {call.generation_id}" if call.generation_id else "")
        + (f" ({call.error_code})" if call.error_code else "")
    )
