"""What processes cost, from the kernel's own accounting in ``/proc``: nobody's own claims, and Linux only."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """The CPU time so far of a process and its descendants, with those that it has waited for."""
    table = _processes()
    return sum(table[member][1] for member in _family(pid, table)) / TICKS_A_SECOND


def thread_cpu_seconds(pid: int) -> dict[int, float]:
    """The CPU time so far of each thread of a process, by its id."""
    return {
        int(entry.parent.name): _ticks(_fields(entry)[11:13]) / TICKS_A_SECOND
        for entry in (PROC / str(pid) / "task").glob("[0-9]*/stat")
    }


def parent(pid: int) -> int:
    """The process that started a process."""
    return _processes()[pid][0]


def memory_kib(pid: int) -> int:
    """The memory of a process and its descendants; a page that several share counts a part for each."""
    return sum(_proportional_kib(member) for member in _family(pid, _processes()))


def _processes() -> dict[int, tuple[int, int]]:
    """The parent and the ticks of every process."""
    table = {}
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            fields = _fields(entry / "stat")
            table[int(entry.name)] = (int(fields[1]), _ticks(fields[11:15]))
    return table


def _fields(stat: Path) -> list[str]:
    """What follows the name, which may hold anything: the state, the parent, …, from the 12th on the ticks."""
    return stat.read_text().rsplit(")", 1)[1].split()


def _ticks(fields: list[str]) -> int:
    return sum(map(int, fields))


def _family(pid: int, table: dict[int, tuple[int, int]]) -> Iterator[int]:
    if pid in table:
        yield pid
        for child, (parent, _) in table.items():
            if parent == pid:
                yield from _family(child, table)


def _proportional_kib(pid: int) -> int:
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
