"""What the documentation says about the code is true."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from django.core.management import get_commands

from accounts.errors import PrepaidError
from config.api import CODES

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    path.relative_to(ROOT): path.read_text()
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
}
FLOORS = ("accounts", "credits", "billing", "ai", "webhooks", "config")
ERROR_ROW = re.compile(r"^\| `([a-z_]+)` \| (\d{3}) \|", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def errors_of(base: type[PrepaidError]) -> Iterator[type[PrepaidError]]:
    yield base
    for error in base.__subclasses__():
        yield from errors_of(error)


def anchors(text: str) -> set[str]:
    """The names under which GitHub finds the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_error_code_is_documented_with_its_status():
    for floor in FLOORS:
        package = import_module(floor)
        for module in pkgutil.walk_packages(package.__path__, f"{floor}."):
            if ".migrations" not in module.name and ".management" not in module.name:
                import_module(module.name)
    raised = {(error.code, error.status) for error in errors_of(PrepaidError) if error.__module__.startswith(FLOORS)}
    raised |= {(code, int(status)) for status, code in CODES.items()}

    documented = {(code, int(status)) for code, status in ERROR_ROW.findall(PAGES[Path("docs/api.md")])}

    assert documented == raised


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (str(page), name)
        for page, text in PAGES.items()
        for name in re.findall(r"(?:`|^|\$ )make ([a-z-]+)", text, re.M)
    }

    assert {(page, name) for page, name in named if name not in targets} == set()


def test_every_command_that_a_page_names_exists():
    named = {(str(page), name) for page, text in PAGES.items() for name in re.findall(r"manage\.py ([a-z_]+)", text)}

    assert {(page, name) for page, name in named if name not in get_commands()} == set()


def test_every_link_inside_the_documentation_leads_somewhere():
    lost = []
    for page, text in PAGES.items():
        for link in LINK.findall(FENCE.sub("", text)):
            if re.match(r"https?:|mailto:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
                lost.append(f"{page}: {link}")
    assert lost == []


def test_every_test_that_the_documentation_names_exists():
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = {(str(page), name) for page, text in PAGES.items() for name in re.findall(r"`(test_\w+)`", text)}

    assert {(page, name) for page, name in named if name not in tests} == set()
