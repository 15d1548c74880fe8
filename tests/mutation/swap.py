"""A mistake in a running program: functions get other code, in a child process that nobody else sees."""

import functools
import gc
import os
import signal
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NoReturn

from tests.mutation.mutants import Mutant

Place = tuple[str, str, int]


@dataclass
class Running:
    """What of the modules is loaded: functions by module, name and first line, and what keeps their answers."""

    functions: dict[Place, list[FunctionType]]
    caches: list[Any]


PASSED, FAILED, BROKEN = 0, 1, 2


class NotSwapped(Exception):
    """No function that runs has the code in which the mistake is."""


def running(modules: Iterable[str]) -> Running:
    """What is loaded of ``modules``, however it is decorated or bound."""
    paths = {str(Path(module).resolve()): module for module in modules}
    gc.unfreeze()  # what is frozen is not listed
    found = Running(defaultdict(list), [])
    for thing in gc.get_objects():  # by their exact types: some are proxies of what is gone
        if type(thing) is FunctionType and thing.__code__.co_filename in paths:
            code = thing.__code__
            found.functions[paths[code.co_filename], code.co_qualname, code.co_firstlineno].append(thing)
        elif type(thing) is functools._lru_cache_wrapper:
            function = getattr(thing, "__wrapped__", None)
            if isinstance(function, FunctionType) and function.__code__.co_filename in paths:
                found.caches.append(thing)
    return found


def swap_in(mutant: Mutant, loaded: Running) -> None:
    """
    Give the functions in which ``mutant`` is its code, and forget what they have cached.

    :raises NotSwapped: if there is no such function
    """
    swapped = 0
    for code in _codes(mutant.compiled()):
        if code.co_qualname == mutant.function or code.co_qualname.startswith(f"{mutant.function}.<locals>"):
            for function in loaded.functions.get((mutant.module, code.co_qualname, code.co_firstlineno), ()):
                function.__code__ = code.replace(co_filename=function.__code__.co_filename)
                swapped += 1
    if not swapped:
        raise NotSwapped(f"{mutant.module}: {mutant.function}")
    for cache in loaded.caches:
        cache.cache_clear()


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


class Child:
    """``work`` in a forked process. Its status is what ``work`` returns, or BROKEN if it raises."""

    def __init__(self, work: Callable[[], int], *, seconds: float) -> None:
        self.seconds = 0.0
        self.started = time.monotonic()
        self._deadline = self.started + seconds
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, none of which the child needs
            self.pid = os.fork()
        if self.pid == 0:
            _end(work)

    def status(self) -> int | None:
        """How it ended, negative for a signal; None while it runs. Past its time it is killed."""
        if time.monotonic() > self._deadline:
            os.kill(self.pid, signal.SIGKILL)
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        self.seconds = usage.ru_utime + usage.ru_stime
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self) -> int:
        while (status := self.status()) is None:
            time.sleep(0.005)
        return status


def _end(work: Callable[[], int]) -> NoReturn:
    status = BROKEN
    try:
        status = work()
    finally:
        os._exit(status)
