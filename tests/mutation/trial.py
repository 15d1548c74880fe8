"""Every mistake tried by the tests that run its line, and what came of it."""

import gc
import json
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.mutation import known, warm
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.plans import MODULES, Plans, test_files, watch
from tests.mutation.swap import BROKEN, FAILED, PASSED, Child, Running, running, swap_in

EXCUSES = Path(__file__).parent / "survivors.toml"

GOAL = 95
#: As often as each so many mistakes, their tests run without one, and must pass.
CONTROLS = 100


class Trial:
    """One run over ``modules``."""

    def __init__(self, modules: Sequence[str], *, minutes: float, jobs: int, budget: float) -> None:
        self._until = time.monotonic() + 60 * minutes
        self._jobs = jobs
        self._plans = Plans(budget=budget)
        self.mutants = {mutant.key: mutant for module in modules or MODULES for mutant in mutants_of(module)}
        self._results: dict[str, dict[str, Any]] = known.read("results.json")
        self._excused = {
            (each["function"], change)
            for each in tomllib.loads(EXCUSES.read_text())["survivor"]
            for change in each["changes"]
        }
        for key, mutant in self.mutants.items():
            self._learn(mutant, self._results.get(key, {}).get("by"))

    def run(self, warm_tests: warm.Warm) -> None:
        """Learn what each test runs, then try what is not known yet."""
        for module in MODULES:
            __import__(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        from django.db import connections  # noqa: PLC0415 (settings are made when pytest begins)

        connections.close_all()
        self._watch(warm_tests)
        loaded = running(MODULES)
        gc.freeze()  # what is never looked at again, children need not copy
        self._try_all(warm_tests, loaded)

    # What the tests run.

    def tests_are_new(self) -> bool:
        return bool(self._plans.stale(test_files()))

    def _watch(self, warm_tests: warm.Warm) -> None:
        names: dict[str, list[str]] = defaultdict(list)
        for name in warm_tests.items:
            names[name.split("::")[0]].append(name)
        self._plans.forget_all_but(names)

        def begin(path: str) -> Child:
            return watch(warm_tests, names[path], known.PLACE / _slug(path))

        known.PLACE.mkdir(parents=True, exist_ok=True)
        for path, status, _ in self._side_by_side(self._plans.stale(names), begin):
            if status != PASSED:
                print(f"{path} could not be watched: {status}")
                continue
            self._plans.watched(path, json.loads((known.PLACE / _slug(path)).read_text()))
            (known.PLACE / _slug(path)).unlink()

    # Mistakes.

    def waiting(self) -> list[Mutant]:
        """
        What is to be tried: it is new, or lived and there are other tests now, or what found it is gone.

        Last comes what may live, which takes the longest and tells the least.
        """
        found = [mutant for key, mutant in self.mutants.items() if self._is_waiting(mutant, self._results.get(key))]
        return sorted(found, key=lambda mutant: (f"{mutant.module}:{mutant.function}", mutant.change) in self._excused)

    def _is_waiting(self, mutant: Mutant, result: dict[str, Any] | None) -> bool:
        if result is None or (result["by"] and not self._plans.has(result["by"])):
            return True
        return result["status"] in ("lives", "not tried") and result["digest"] != self._plans.plan(mutant)[1]

    def _try_all(self, warm_tests: warm.Warm, loaded: Running) -> None:
        seconds = self._plans.seconds
        plans: dict[str, tuple[list[str], str]] = {}
        waiting = {mutant.key: mutant for mutant in self.waiting()}
        found: dict[str, dict[str, Any]] = {}

        def begin(key: str) -> Child | None:
            plans[key] = names, _ = self._plans.plan(waiting[key])
            if not names:
                return None
            if len(plans) % CONTROLS == 1:
                self._control(warm_tests, names, seconds)

            def work() -> int:
                swap_in(waiting[key], loaded)
                return warm_tests.judge(names, seconds, known.PLACE / key)

            return Child(work, seconds=300)

        for key, status, seconds_spent in self._side_by_side(list(waiting), begin):
            mutant = waiting[key]
            names, digest = plans[key]
            by = (known.PLACE / key).read_text() if (known.PLACE / key).exists() else None
            (known.PLACE / key).unlink(missing_ok=True)
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
            self._learn(mutant, by)
            if verdict in ("lives", "not tried"):
                print(f"{verdict}: {mutant.module}:{mutant.line} {mutant.function}: {mutant.change}", flush=True)
            if len(found) % 10 == 0:
                known.write("results.json", known.read("results.json") | found)
        known.write("results.json", known.read("results.json") | found)

    def _control(self, warm_tests: warm.Warm, names: Sequence[str], seconds: dict[str, float]) -> None:
        """The same tests where nothing is mistaken."""
        killer = known.PLACE / "control"
        status = Child(lambda: warm_tests.judge(names, seconds, killer), seconds=300).wait()
        if status != PASSED:
            raise AssertionError(
                f"{killer.read_text() if status == FAILED else names} fails without any mistake: {status}"
            )

    def _learn(self, mutant: Mutant, killer: str | None) -> None:
        if killer:
            self._plans.learn(f"{mutant.module}:{mutant.function}", mutant.offset, killer)

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
        rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        missing = []
        for key, mutant in self.mutants.items():
            status = self._results.get(key, {"status": "not tried"})["status"]
            row = rows[mutant.module]
            row[0] += 1
            row[{"killed": 1, "stopped": 1, "lives": 2, "not tried": 3}[status]] += 1
            if status == "lives" and (f"{mutant.module}:{mutant.function}", mutant.change) not in self._excused:
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


def _slug(path: str) -> str:
    return path.replace("/", "-")
