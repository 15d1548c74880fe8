"""
The measurement: every round visits every server, each time in another order.

So the noise of the machine falls on all alike. What counts is the ratio to the base within
a round, and the CPU that the kernel accounts for; absolute figures of two runs say nothing.
"""

import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import kernel
from benchmarks.targets import BUILD, LOAD_CORE, Server, on_core, read_json


@dataclass(frozen=True)
class Scenario:
    """
    A number of callers and what they ask of the fake provider, whose answer the model's name steers.

    ``unit`` is what the CPU is divided by. Where each caller asks only ``once``, as many
    streams are held open, and the memory is read meanwhile.
    """

    callers: int
    model: str
    unit: str
    streams: bool = False
    once: bool = False


SCENARIOS = {
    "c1": Scenario(1, "mock", "request"),
    "c32": Scenario(32, "mock", "request"),
    "c256": Scenario(256, "mock", "request"),
    "stream": Scenario(100, "mock-c100-i20", "chunk", streams=True),
    "held": Scenario(1000, "mock-c12-i1000", "stream", streams=True, once=True),
}
#: In seconds: within a held stream's twelve, when all of them have opened.
ALL_HELD = 8
WARM_UP = (Scenario(32, "mock", "request"), Scenario(32, "mock-c10-i50", "chunk", streams=True))

Row = dict[str, float]


class Comparison:
    """
    Servers side by side before one fake provider.

    ``provider`` is its address, ``database_pid`` the process of the PostgreSQL server that
    those with a database share.
    """

    def __init__(self, servers: Sequence[Server], *, provider: str, database_pid: int, seconds: float) -> None:
        self.servers = servers
        self._provider = provider
        self._database_pid = database_pid
        self._seconds = seconds
        self.rows: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        self.wobble: list[float] = []

    def warm_up(self) -> None:
        """:raises SystemExit: if a server answers nothing well"""
        for server in self.servers:
            for scenario in WARM_UP:
                outcome = finish(start_load(server, scenario, seconds=2))
                if not outcome["ok"]:
                    raise SystemExit(f"{server.target.name} answers nothing well: {outcome}")

    def run(self, scenarios: Sequence[str], *, rounds: int) -> None:
        for number in range(rounds):
            first = number % len(self.servers)
            for scenario in scenarios:
                for server in (*self.servers[first:], *self.servers[:first]):
                    self.wobble.append(calibrate())
                    self.rows[scenario][server.target.name].append(self._measure(server, SCENARIOS[scenario]))
            print(f"round {number + 1} of {rounds} is done", file=sys.stderr, flush=True)

    def _measure(self, server: Server, scenario: Scenario) -> Row:
        before, memory = self._account(server), kernel.memory_kib(server.process.pid)
        load = start_load(server, scenario, seconds=self._seconds)
        held: Row = {}
        if scenario.once:
            time.sleep(ALL_HELD)
            held["kib"] = (kernel.memory_kib(server.process.pid) - memory) / scenario.callers
        outcome = finish(load)
        time.sleep(server.target.settle_seconds)
        spent = [after - earlier for after, earlier in zip(self._account(server), before, strict=True)]
        server_cpu, database_cpu, requests, chunks = spent
        count = {"request": requests, "chunk": chunks, "stream": scenario.callers}[scenario.unit]
        row = {
            **flat(outcome),
            **held,
            "errors": outcome["err"] + outcome["bad"] + outcome["hung"],
            "server_us": server_cpu / max(count, 1) * 1e6,
            "database_us": database_cpu / max(count, 1) * 1e6,
        }
        return {**row, "cpu_us": row["server_us"] + row["database_us"]}

    def _account(self, server: Server) -> tuple[float, float, int, int]:
        """CPU seconds of the server and of its database so far, and what the provider has answered."""
        database = kernel.cpu_seconds(self._database_pid) if server.target.uses_database else 0
        answered = read_json(f"{self._provider}/_stats")
        return kernel.cpu_seconds(server.process.pid), database, answered["completed"], answered["chunks"]


def start_load(server: Server, scenario: Scenario, *, seconds: float) -> "subprocess.Popen[str]":
    command = [str(BUILD / "load"), "-u", server.target.url, "-c", str(scenario.callers), "-d", str(seconds)]
    command += ["-m", f"vendor/{scenario.model}", "-H", f"Authorization: Bearer {server.key}"]
    for header in server.target.headers:
        command += ["-H", header]
    command += ["-s"] * scenario.streams + ["-o"] * scenario.once
    return subprocess.Popen(on_core(LOAD_CORE, command), stdout=subprocess.PIPE, text=True)


def finish(load: "subprocess.Popen[str]") -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(load.communicate()[0])
    return outcome


def flat(outcome: dict[str, Any]) -> Row:
    """The figures of a load, those of a series as ``first.p50`` and the like."""
    row = {name: value for name, value in outcome.items() if isinstance(value, int | float)}
    for series in ("whole", "first", "after"):
        row |= {f"{series}.{name}": value for name, value in outcome.get(series, {}).items()}
    return row


def calibrate() -> float:
    """The CPU milliseconds of a fixed piece of Python: how fast the machine is now."""
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began) * 1000


def median(rows: Sequence[Row], name: str) -> float | None:
    values = [row[name] for row in rows if name in row]
    return statistics.median(values) if values else None


def ratio(rows: Sequence[Row], base: Sequence[Row], name: str) -> float | None:
    """The median of the rounds' ratios."""
    ratios = [row[name] / other[name] for row, other in zip(rows, base, strict=True) if other.get(name)]
    return statistics.median(ratios) if ratios else None
