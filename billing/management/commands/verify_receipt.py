import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.receipts.signing import KeySet, NotAReceipt, key_set, read_key_set, verify


class Command(BaseCommand):
    help = (
        "Check a receipt: a file with what GET /api/credits/receipts/{id} answered, or with its jws alone. Needs no "
        "database and no network. Prints what was signed; fails if it was not signed here, or was changed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--keys",
            type=Path,
            metavar="FILE",
            help="A kept /.well-known/jwks.json, instead of this installation's keys.",
        )

    def handle(self, **options: Any) -> None:
        keys = _keys(options["keys"])
        jws, shown = _read(options["file"])
        try:
            signed = verify(jws, keys)
        except NotAReceipt as error:
            raise CommandError(str(error)) from error
        changed = [
            name for name in signed.keys() | (shown or {}).keys() if shown and shown.get(name) != signed.get(name)
        ]
        if changed:
            raise CommandError(f"Beside the signed receipt other things are said of: {', '.join(sorted(changed))}.")
        self.stdout.write(json.dumps(signed, indent=2, ensure_ascii=False))
        self.stderr.write(f"Signed by {signed['issuer']}, and unchanged.")


def _keys(path: Path | None) -> KeySet:
    try:
        return key_set() if path is None else read_key_set(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"The keys cannot be read: {error}") from error


def _read(path: Path) -> tuple[str, dict[str, Any] | None]:
    """The signed text in a file, and what stands beside it to be read."""
    try:
        text = path.read_text().strip()
        if not text.startswith("{"):
            return text, None
        answer = json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"The receipt cannot be read: {error}") from error
    jws, shown = answer.get("jws"), answer.get("receipt", {})
    if not isinstance(jws, str) or not isinstance(shown, dict):
        raise CommandError("The receipt cannot be read: it has no jws, or no receipt beside it.")
    return jws, shown
