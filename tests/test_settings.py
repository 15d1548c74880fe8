"""``.env.example`` is the list of settings: no more and no fewer than are read."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = (ROOT / ".env.example").read_text()


def test_every_variable_that_is_read_is_in_the_example():
    read = set(re.findall(r'\benv(?:\.\w+)?\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))
    listed = re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE)

    assert sorted(listed) == sorted(read)


def test_the_example_holds_no_secret():
    given = re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE)

    assert given == []
