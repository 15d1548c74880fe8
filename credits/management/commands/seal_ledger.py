from argparse import ArgumentParser
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from credits.seals import DayIsOpen, DayIsPast, SealIsBroken, seal_day, text_of


class Command(BaseCommand):
    help = (
        "Seal a closed UTC day: one digest for where every account's chain of entries stood. Safe to run twice and in "
        "parallel. Keep the digest, or the exported text, where nobody who can change the database can change it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="Such as 2026-11-20; yesterday if left out.")
        parser.add_argument(
            "--export", type=Path, metavar="FILE", help="Write the sealed text; sha256sum of it is the seal's digest."
        )

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        day = options["day"] or now.astimezone(UTC).date() - timedelta(days=1)
        try:
            seal = seal_day(day, now=now)
            if options["export"]:
                with options["export"].open("wb") as file:
                    file.writelines(text_of(seal))
        except (DayIsOpen, DayIsPast, SealIsBroken, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{seal}: {seal.digest} over {seal.entries} entries of {seal.accounts} accounts.")
