"""
A pytest that has collected its tests, and runs some of them in forked children whenever it is asked.

Each child has a copy of the test database, which is SQLite. Left out are tests whose servers and
processes would run the code as it stands.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.mutation.swap import FAILED, PASSED

#: The tests near the modules: a mistake that only a far one sees is not well tested.
TESTS = (
    "tests/credits",
    "tests/billing",
    "tests/simulation",
    "tests/ai/test_demand.py",
    "tests/webhooks/test_stripe.py",
)
ENVIRONMENT = {"HYPOTHESIS_PROFILE": "mutation", "STEPS": "400", "SEED": "1", "EXAMPLES": "1000"}
#: How much longer than alone a test may take, in seconds of CPU, before a mistake is said to have stopped it.
PATIENCE = 5.0
#: And how long by the clock, for one that waits for what never comes. Other work on the machine is no mistake.
PATIENCE_OF_THE_CLOCK = 20.0

Lines = dict[str, set[int]]


class Root:
    """What comes after the last test of a child: something that keeps what the session has set up."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def listchain(self) -> list[Any]:
        return [self._session]


class Failures:
    """Tells of a failure at once, before pytest spends time on describing it."""

    def __init__(self, told: Callable[[str, bool, float], None]) -> None:
        self._told = told
        self.found = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            self.found = True
            self._told(item.nodeid, False, 0.0)


class Warm:
    """``work`` is called once, with this, when the tests are collected and the database is migrated."""

    def __init__(self, work: Callable[["Warm"], None]) -> None:
        self._work = work
        self.items: dict[str, pytest.Item] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        """What chance finds, it finds again: the same examples each time, and none made smaller."""
        from hypothesis import Phase, settings  # noqa: PLC0415 (pytest must be there first, to see its assertions)

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile(
            "mutation", deadline=None, max_examples=50, derandomize=True, database=None, phases=phases
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        found = [item for item in session.items if "database_url" not in getattr(item, "fixturenames", ())]
        self.items = {item.nodeid: item for item in found}
        first = next(item for item in found if "account" in getattr(item, "fixturenames", ()))
        first.ihook.pytest_runtest_protocol(item=first, nextitem=Root(session))
        self._work(self)
        return True

    def run(self, names: Iterable[str], told: Callable[[str, bool, float], None]) -> None:
        """Run tests, in a child. ``told`` hears of each its name, whether it passed, and its seconds of CPU."""
        items = [self.items[name] for name in names]
        failures = Failures(told)
        items[0].config.pluginmanager.register(failures)
        following: Sequence[Any] = [*items[1:], Root(items[0].session)]
        for item, nextitem in zip(items, following, strict=True):
            failures.found = False
            started = time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
            if not failures.found:
                told(item.nodeid, True, time.process_time() - started)

    def judge(self, names: Sequence[str], seconds: dict[str, float], killer: Path) -> int:
        """Run tests until one fails, in a child, and write its name to ``killer``: FAILED, PASSED, or a signal."""
        own_database()
        limits = iter([seconds[name] for name in names[1:]])

        def told(name: str, passed: bool, _: float) -> None:
            if not passed:
                killer.write_text(name)
                os._exit(FAILED)
            allow(next(limits, 0.0))

        allow(seconds[names[0]])
        self.run(names, told)
        return PASSED


def allow(seconds: float, *, patience: float = PATIENCE) -> None:
    """Let the next test take ten times as long as it takes alone; then the system ends the process."""
    signal.setitimer(signal.ITIMER_VIRTUAL, patience + 10 * seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_OF_THE_CLOCK + 20 * seconds)


def own_database() -> None:
    """Give this process a copy of the test database, silence, and no other's temporary files."""
    from django.db import connection  # noqa: PLC0415 (settings are made when pytest begins)

    directory = tempfile.mkdtemp(prefix="mutant-", dir=os.environ["MUTATION_DIRECTORY"])
    copy = f"{directory}/prepaid.sqlite3"
    shutil.copyfile(connection.settings_dict["NAME"], copy)
    connection.settings_dict["NAME"] = copy
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


class Tracer:
    """The lines of ``functions`` that run, as offsets from where their function begins."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files
        self._names: dict[CodeType, set[int] | None] = {}
        self.lines: Lines = {}

    def __enter__(self) -> "Tracer":
        threading.settrace(self._called)
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def restart(self) -> Lines:
        found = {name: lines for name, lines in self.lines.items() if lines}
        self.lines = {}
        self._names = {}
        return found

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code.co_filename not in self._files:
            return None
        if code not in self._names:
            module = self._files[code.co_filename]
            outermost = code.co_qualname.split(".<locals>")[0]
            self._names[code] = self.lines.setdefault(f"{module}:{outermost}", set())
        lines = self._names[code]
        assert lines is not None

        def ran(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                lines.add(frame.f_lineno)
            return ran

        return ran


def start(work: Callable[[Warm], None]) -> int:
    """Start pytest and let ``work`` have it."""
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
        os.environ["MUTATION_DIRECTORY"] = directory
        options = ["-s", "-q", "--no-header", "-o", "timeout=0", "-p", "no:cacheprovider", "-p", "no:xdist"]
        return pytest.main([*options, *TESTS], plugins=[Warm(work)])
