"""Read the provider's list of models and prices, and keep it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.errors import PrepaidError
from ai import providers
from billing.listing import keep


class Command(BaseCommand):
    help = (
        "Read the provider's list of models and prices and keep it in the database. Metered prices, and ceilings of "
        "fixed ones, are computed from it. Run it every hour; while the provider is away the last list counts."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refreshed = keep(providers.current().models(output_modalities="all"), now=timezone.now())
        except (PrepaidError, ValueError) as error:
            raise CommandError(f"The catalogue stays as it is: {error}") from error
        self.stdout.write(f"{refreshed.listed} models: {refreshed.new} new, {refreshed.gone} listed no more.")
