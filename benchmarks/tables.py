"""What was measured, as Markdown."""

import statistics
from collections.abc import Sequence

from benchmarks.compare import SCENARIOS, Comparison, Row, Scenario, median, ratio

PLAIN = {
    "requests/s": ("rps", 0),
    "p50 ms": ("whole.p50", 2),
    "p99 ms": ("whole.p99", 2),
    "after the provider's answer, p50 ms": ("after.p50", 2),
}
STREAMED = {
    "chunks/s": ("chunks_s", 0),
    "first text p50 ms": ("first.p50", 2),
    "p99 ms": ("first.p99", 2),
    "delay of a chunk p50 ms": ("after.p50", 2),
    "p99 ms ": ("after.p99", 2),
}


def report(comparison: Comparison, scenarios: Sequence[str], *, base: str) -> str:
    parts = [startup(comparison)]
    for name in scenarios:
        parts += [f"### {title(name, SCENARIOS[name])}", scenario_table(comparison, name, base=base)]
    wobble = sorted(comparison.wobble)
    parts.append(
        f"A fixed loop took {statistics.median(wobble):.0f} ms of CPU in the median and {wobble[-1]:.0f} ms at most: "
        "so much the machine wavered."
    )
    return "\n\n".join(parts)


def startup(comparison: Comparison) -> str:
    head = ["", "first answer after s", "idle MiB"]
    lines = [
        [server.target.name, f"{server.start_seconds:.1f}", f"{server.idle_kib / 1024:.0f}"]
        for server in comparison.servers
    ]
    return markdown([head, *lines])


def title(name: str, scenario: Scenario) -> str:
    kind = "streams" if scenario.streams else "callers"
    return f"{name}: {scenario.callers:,} {kind} of {scenario.model}"


def scenario_table(comparison: Comparison, name: str, *, base: str) -> str:
    scenario, rows = SCENARIOS[name], comparison.rows[name]
    columns = dict(STREAMED if scenario.streams else PLAIN)
    if scenario.once:
        columns["KiB/stream"] = ("kib", 1)
    columns |= {
        f"server µs/{scenario.unit}": ("server_us", 0 if scenario.once else 1),
        f"database µs/{scenario.unit}": ("database_us", 0 if scenario.once else 1),
    }
    head = ["", *columns, f"CPU ÷ {base}", "errors"]
    lines = [
        [
            server.target.name,
            *(shown(median(rows[server.target.name], field), digits) for field, digits in columns.values()),
            shown(ratio(rows[server.target.name], rows[base], "cpu_us"), 2),
            str(errors(comparison, server.target.name, name)),
        ]
        for server in comparison.servers
    ]
    return markdown([head, *lines])


def errors(comparison: Comparison, server: str, *scenarios: str) -> int:
    """How many calls of ``server`` went wrong: a row with any does not count."""
    rows = (row for scenario in scenarios or comparison.rows for row in comparison.rows[scenario][server])
    return int(sum(row["errors"] for row in rows))


def shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table whose first line is its head; all but the first column to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    cells = [
        [
            line[0].strip().ljust(widths[0]),
            *(cell.strip().rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        for line in (lines[0], rule, *lines[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def rows_of(comparison: Comparison) -> dict[str, dict[str, list[Row]]]:
    """Every single measurement, by scenario and server."""
    return {scenario: dict(servers) for scenario, servers in comparison.rows.items()}
