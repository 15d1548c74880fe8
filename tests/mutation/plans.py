"""Which tests run which lines, and so which of them to try on a mistake, and in which order."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.mutation import known, warm
from tests.mutation.mutants import Mutant, texts_of
from tests.mutation.swap import PASSED, Child, running

#: What is meant to test a module, besides the tests of its name; these run before others that happen to.
PROOFS = ("tests/billing/test_check_ledger.py", "tests/credits/test_seals.py")
MOVEMENTS = (
    "tests/credits/test_services.py",
    "tests/credits/test_sessions.py",
    "tests/credits/test_reversals.py",
    "tests/simulation",
)
NEAR = {
    "credits/audit.py": (*PROOFS, "tests/credits/test_trial_balance.py::test_a_total"),
    "credits/chains.py": PROOFS,
    "credits/books.py": MOVEMENTS,
    "credits/ledger.py": MOVEMENTS,
    "credits/rows.py": MOVEMENTS,
    "credits/tables.py": MOVEMENTS,
    "credits/holding.py": MOVEMENTS,
    "credits/balances.py": ("tests/credits/test_views.py",),
    "credits/explanation.py": ("tests/billing/test_explaining.py",),
    "credits/console.py": ("tests/credits/test_commands.py", "tests/billing/test_explaining.py"),
}

#: How much of the time that the tests have that are meant for a module those have besides that happen to run it.
SHARE_OF_OTHERS = 0.3

MODULES = sorted(
    str(path.relative_to(known.ROOT))
    for path in [
        *(known.ROOT / "credits").rglob("*.py"),
        known.ROOT / "billing/pricing.py",
        known.ROOT / "billing/admission.py",
    ]
    if "migrations" not in path.parts
)


class Plans:
    """What each test was seen to run, and what has found mistakes so far."""

    def __init__(self, *, budget: float) -> None:
        self._budget = budget
        self._files: dict[str, dict[str, Any]] = known.read("tests.json")
        self._killers: dict[str, list[tuple[int, str]]] = defaultdict(list)

    @property
    def seconds(self) -> dict[str, float]:
        """How long each test takes."""
        return {name: test["seconds"] for file in self._files.values() for name, test in file["tests"].items()}

    def stale(self, paths: Iterable[str]) -> list[str]:
        """Which of these files of tests have changed since they were watched, or what they run."""
        return [path for path in paths if self._is_stale(self._files.get(path), test_files()[path])]

    @staticmethod
    def _is_stale(file: dict[str, Any] | None, digest: str) -> bool:
        if file is None or file["digest"] != digest:
            return True
        functions = {name for test in file["tests"].values() for name in test["lines"]}
        return any(digest_of(name) != file["functions"].get(name) for name in functions)

    def forget_all_but(self, paths: Iterable[str]) -> None:
        present = set(paths)
        self._files = {path: file for path, file in self._files.items() if path in present}

    def watched(self, path: str, tests: dict[str, Any]) -> None:
        functions = {name: digest_of(name) for test in tests.values() for name in test["lines"]}
        self._files[path] = {"digest": test_files()[path], "functions": functions, "tests": tests}
        known.write("tests.json", self._files)

    def has(self, test: str) -> bool:
        return any(test in file["tests"] for file in self._files.values())

    def learn(self, function: str, offset: int, killer: str) -> None:
        self._killers[function].append((offset, killer))

    def plan(self, mutant: Mutant) -> tuple[list[str], str]:
        """
        The tests to run, and a digest of all that could be.

        First come those that found much in this line, then in this function, then those near, then the quickest.
        """
        name = f"{mutant.module}:{mutant.function}"
        running = {
            test: (about["seconds"], mutant.offset in about["lines"][name], file["digest"])
            for file in self._files.values()
            for test, about in file["tests"].items()
            if name in about["lines"]
        }
        chosen = {test for test, (_, runs_line, _) in running.items() if runs_line} or set(running)
        here = Counter(test for offset, test in self._killers[name] if offset == mutant.offset)
        around = Counter(test for _, test in self._killers[name])
        near = (f"tests/credits/test_{Path(mutant.module).stem}.py", *NEAR.get(mutant.module, ()))
        order = sorted(
            chosen,
            key=lambda test: (-here[test], -around[test], not test.startswith(near), running[test][0], test),
        )
        names: list[str] = []
        left = {True: self._budget, False: self._budget * SHARE_OF_OTHERS}
        for test in order:
            if running[test][0] <= left[test.startswith(near)]:
                names.append(test)
                left[test.startswith(near)] -= running[test][0]
        could = self._budget, SHARE_OF_OTHERS, near, sorted((test, running[test][2]) for test in chosen)
        digest = hashlib.sha256(repr(could).encode())
        return names, digest.hexdigest()[:16]


def watch(warm_tests: warm.Warm, names: list[str], target: Path) -> Child:
    """Run tests, in a child, and write of each which lines it runs and how long it takes, if it passes."""
    return Child(lambda: _watched(warm_tests, names, target), seconds=900)


def _watched(warm_tests: warm.Warm, names: list[str], target: Path) -> int:
    warm.own_database()
    first_lines = {
        (function.__code__.co_filename, function.__code__.co_qualname): line
        for (_, _, line), found in running(MODULES).functions.items()
        for function in found
    }
    tracer = warm.Tracer({str(known.ROOT / module): module for module in MODULES})
    told: dict[str, Any] = {}

    def tell(name: str, passed: bool, seconds: float) -> None:
        lines = tracer.restart()
        if passed:
            told[name] = {
                "seconds": round(seconds, 3),
                "lines": {
                    function: sorted(line - first_lines.get(_split(function), 0) for line in found)
                    for function, found in lines.items()
                },
            }

    with tracer:
        warm_tests.run(names, tell)
    target.write_text(json.dumps(told))
    return PASSED


def _split(function: str) -> tuple[str, str]:
    module, name = function.split(":")
    return str(known.ROOT / module), name


def digest_of(function: str) -> str:
    """Of the text of a function, such as ``credits/ledger.py:chain``; empty for what is none, or is gone."""
    module, _, name = function.partition(":")
    return _digests(module).get(name, "")


@cache
def _digests(module: str) -> dict[str, str]:
    path = known.ROOT / module
    texts = texts_of(path.read_text()) if path.exists() else {}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items()}


@cache
def test_files() -> dict[str, str]:
    """The files of tests that are asked, and a digest of each."""
    return {str(path.relative_to(known.ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in _found()}


def _found() -> Iterator[Path]:
    for test in warm.TESTS:
        path = known.ROOT / test
        yield from [path] if test.endswith(".py") else path.rglob("test_*.py")
