"""What is known of earlier runs, in ``build/mutation``."""

import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / "build/mutation"


def read(name: str) -> dict[str, Any]:
    return json.loads((PLACE / name).read_text()) if (PLACE / name).exists() else {}


def write(name: str, known: dict[str, Any]) -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / f"{name}.new").write_text(json.dumps(known, indent=0))
    shutil.move(PLACE / f"{name}.new", PLACE / name)
