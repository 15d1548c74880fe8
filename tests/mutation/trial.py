"""Every mistake tried by the tests that run its line, and what came of it."""

import gc
import hashlib
import json
import shutil
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.mutation import warm
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.swap import BROKEN, FAILED, PASSED, Child, Running, running, swap_in

ROOT = Path(__file__).resolve().parent.parent.parent
KNOWN = ROOT / "build/mutation"
EXCUSES = Path(__file__).parent / "survivors.toml"

GOAL = 95
#: What is meant to test a module, besides the tests of its name; these run before others that happen to.
PROOFS = ("tests/billing/test_check_ledger.py", "tests/credits/test_seals.py")
MOVEMENTS = (
    "tests/credits/test_services.py",
    "tests/credits/test_sessions.py",
    "tests/credits/test_reversals.py",
    "tests/simulation",
)
NEAR = {
    "credits/audit.py": PROOFS,
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
#: As often as each so many mistakes, their tests run without one, and must pass.
CONTROLS = 50

MODULES = sorted(
    str(path.relative_to(ROOT))
    for path in [*(ROOT / "credits").rglob("*.py"), ROOT / "billing/pricing.py", ROOT / "billing/admission.py"]
    if "migrations" not in path.parts
)


class Trial:
    """One run over ``modules``."""

    def __init__(self, modules: Sequence[str], *, minutes: float, jobs: int, budget: float) -> None:
        self._until = time.monotonic() + 60 * minutes
        self._jobs = jobs
        self._budget = budget
        self.mutants = {mutant.key: mutant for module in modules or MODULES for mutant in mutants_of(module)}
        self._tests: dict[str, dict[str, Any]] = _read("tests.json")
        self._results: dict[str, dict[str, Any]] = _read("results.json")
        self._killers: dict[str, list[str]] = defaultdict(list)
        for result in self._results.values():
            self._learn(result["function"], result.get("by"))

    def run(self, warm_tests: warm.Warm) -> None:
        """Learn what each test runs, then try what is not known yet."""
        for module in MODULES:
            __import__(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        from django.db import connections  # noqa: PLC0415 (settings are made when pytest begins)

        connections.close_all()
        self._trace(warm_tests)
        loaded = running(MODULES)
        gc.freeze()  # what is never looked at again, children need not copy
        self._try_all(warm_tests, loaded)

    # What the tests run.

    def tests_are_new(self) -> bool:
        return any(self._tests.get(path, {}).get("digest") != digest for path, digest in _test_files().items())

    def _trace(self, warm_tests: warm.Warm) -> None:
        names: dict[str, list[str]] = defaultdict(list)
        for name in warm_tests.items:
            names[name.split("::")[0]].append(name)
        digests = _test_files()
        self._tests = {path: known for path, known in self._tests.items() if path in names}
        stale = [path for path in names if self._tests.get(path, {}).get("digest") != digests[path]]

        def begin(path: str) -> Child:
            return Child(lambda: _traced(warm_tests, names[path], KNOWN / _slug(path)), seconds=600)

        for path, status, _ in self._side_by_side(stale, begin):
            if status != PASSED:
                print(f"{path} could not be traced: {status}")
                continue
            self._tests[path] = {"digest": digests[path], "tests": json.loads((KNOWN / _slug(path)).read_text())}
            (KNOWN / _slug(path)).unlink()
            _write("tests.json", _read("tests.json") | {path: self._tests[path]})

    # Mistakes.

    def waiting(self) -> list[Mutant]:
        """What is to be tried: it is new, or lived and there are other tests now."""
        new = [mutant for key, mutant in self.mutants.items() if key not in self._results]
        lived = [mutant for key, mutant in self.mutants.items() if self._results.get(key, {}).get("status") == "lives"]
        return new + [mutant for mutant in lived if self._results[mutant.key]["digest"] != self._plan(mutant)[1]]

    def _try_all(self, warm_tests: warm.Warm, loaded: Running) -> None:
        seconds = {name: test["seconds"] for file in self._tests.values() for name, test in file["tests"].items()}
        plans: dict[str, tuple[list[str], str]] = {}
        waiting = {mutant.key: mutant for mutant in self.waiting()}
        found: dict[str, dict[str, Any]] = {}

        def begin(key: str) -> Child | None:
            plans[key] = names, _ = self._plan(waiting[key])
            if not names:
                return None
            if len(plans) % CONTROLS == 1:
                self._control(warm_tests, names, seconds)

            def work() -> int:
                swap_in(waiting[key], loaded)
                return warm_tests.judge(names, seconds, KNOWN / key)

            return Child(work, seconds=300)

        for key, status, seconds_spent in self._side_by_side(list(waiting), begin):
            mutant = waiting[key]
            names, digest = plans[key]
            by = (KNOWN / key).read_text() if (KNOWN / key).exists() else None
            (KNOWN / key).unlink(missing_ok=True)
            verdict = {None: "lives", PASSED: "lives", FAILED: "killed", BROKEN: "not tried"}.get(status, "stopped")
            found[key] = self._results[key] = {
                "module": mutant.module,
                "function": f"{mutant.module}:{mutant.function}",
                "change": mutant.change,
                "status": verdict,
                "by": by,
                "tests": len(names),
                "seconds": round(seconds_spent, 2),
                "digest": digest,
            }
            self._learn(f"{mutant.module}:{mutant.function}", by)
            if verdict in ("lives", "not tried"):
                print(f"{verdict}: {mutant.module}:{mutant.line} {mutant.function}: {mutant.change}", flush=True)
            if len(found) % 50 == 0:
                _write("results.json", _read("results.json") | found)
        _write("results.json", _read("results.json") | found)

    def _control(self, warm_tests: warm.Warm, names: Sequence[str], seconds: dict[str, float]) -> None:
        """The same tests where nothing is mistaken."""
        killer = KNOWN / "control"
        status = Child(lambda: warm_tests.judge(names, seconds, killer), seconds=300).wait()
        if status != PASSED:
            raise AssertionError(
                f"{killer.read_text() if status == FAILED else names} fails without any mistake: {status}"
            )

    def _plan(self, mutant: Mutant) -> tuple[list[str], str]:
        """
        The tests to run, and a digest of all that could be.

        First come those that found much in this function, then those near, then the quickest.
        """
        name = f"{mutant.module}:{mutant.function}"
        running = {
            test: (about["seconds"], mutant.offset in about["lines"][name], file["digest"])
            for file in self._tests.values()
            for test, about in file["tests"].items()
            if name in about["lines"]
        }
        chosen = {test for test, (_, runs_line, _) in running.items() if runs_line} or set(running)
        count = Counter(self._killers[name])
        near = (f"tests/credits/test_{Path(mutant.module).stem}.py", *NEAR.get(mutant.module, ()))
        order = sorted(chosen, key=lambda test: (-count[test], not test.startswith(near), running[test][0], test))
        names: list[str] = []
        spent = 0.0
        for test in order:
            if spent + running[test][0] <= self._budget:
                names.append(test)
                spent += running[test][0]
        could = self._budget, near, sorted((test, running[test][2]) for test in chosen)
        digest = hashlib.sha256(repr(could).encode())
        return names, digest.hexdigest()[:16]

    def _learn(self, function: str, killer: str | None) -> None:
        if killer:
            self._killers[function].append(killer)

    def _side_by_side(self, things: Sequence[str], begin: Any) -> Iterator[tuple[str, int | None, float]]:
        """Begin something for each of ``things``, some at once, until the time is over, and yield how each ended."""
        todo = list(reversed(things))
        running: dict[str, Child] = {}
        while running or todo:
            if todo and time.monotonic() > self._until:
                print(f"{len(todo)} are left for another time.")
                todo.clear()
            while todo and len(running) < self._jobs:
                thing = todo.pop()
                child = begin(thing)
                if child is None:
                    yield thing, None, 0.0
                else:
                    running[thing] = child
            for thing, child in list(running.items()):
                if (status := child.status()) is not None:
                    del running[thing]
                    yield thing, status, child.seconds
            time.sleep(0.005)

    # What came of it.

    def report(self) -> int:
        """Print a table, and what lives. Returns 0 if enough was killed, and the rest is excused."""
        excused = {
            (each["function"], change)
            for each in tomllib.loads(EXCUSES.read_text())["survivor"]
            for change in each["changes"]
        }
        rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        missing = []
        for key, mutant in self.mutants.items():
            status = self._results.get(key, {"status": "not tried"})["status"]
            row = rows[mutant.module]
            row[0] += 1
            row[{"killed": 1, "stopped": 1, "lives": 2, "not tried": 3}[status]] += 1
            if status == "lives" and (f"{mutant.module}:{mutant.function}", mutant.change) not in excused:
                missing.append(f"{mutant.module}:{mutant.line} {mutant.function}: {mutant.change}")
        rows["together"] = [sum(row[n] for row in rows.values()) for n in range(4)]
        print("\n| module | mistakes | killed | alive | not tried | killed of those tried |\n|---|---|---|---|---|---|")
        for module, (count, killed, alive, untried) in rows.items():
            share = f"{100 * killed / (killed + alive):.1f} %" if killed + alive else ""
            print(f"| `{module}` | {count} | {killed} | {alive} | {untried} | {share} |")
        count, killed, _, untried = rows["together"]
        for mistake in missing:
            print(f"Nobody says why this may live: {mistake}", file=sys.stderr)
        return 0 if not missing and not untried and 100 * killed >= GOAL * count else 1


def _traced(warm_tests: warm.Warm, names: Sequence[str], target: Path) -> int:
    """Run tests, in a child, and write of each which lines it runs and how long it takes, if it passes."""
    warm.own_database()
    first_lines = {
        (function.__code__.co_filename, function.__code__.co_qualname): line
        for (_, _, line), found in running(MODULES).functions.items()
        for function in found
    }
    tracer = warm.Tracer({str(ROOT / module): module for module in MODULES})
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
    return str(ROOT / module), name


def _test_files() -> dict[str, str]:
    files = [
        path
        for test in warm.TESTS
        for path in ([ROOT / test] if test.endswith(".py") else (ROOT / test).rglob("test_*.py"))
    ]
    return {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}


def _slug(path: str) -> str:
    return path.replace("/", "-")


def _read(name: str) -> dict[str, Any]:
    return json.loads((KNOWN / name).read_text()) if (KNOWN / name).exists() else {}


def _write(name: str, known: dict[str, Any]) -> None:
    KNOWN.mkdir(parents=True, exist_ok=True)
    (KNOWN / f"{name}.new").write_text(json.dumps(known, indent=0))
    shutil.move(KNOWN / f"{name}.new", KNOWN / name)
