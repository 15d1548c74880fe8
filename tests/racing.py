"""Many threads at one gate, for what must hold whoever comes first."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """
    Start ``calls`` at the same instant, each in a thread with a connection of its own.

    Returns what each returned or raised, in their order.
    """
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        connection.ensure_connection()
        gate.wait()
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def raised(outcomes: Sequence[Any]) -> list[Exception]:
    """Those of ``outcomes`` that were raised."""
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]
