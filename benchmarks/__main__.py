"""
``python -m benchmarks compare`` and ``python -m benchmarks profile``; see README.md beside this file.

Everything is started here, on free ports, and stopped again: PostgreSQL, a fake provider, the gateways.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import databases, prepaid, sampling, tables
from benchmarks.compare import SCENARIOS, Comparison
from benchmarks.peers import litellm, portkey
from benchmarks.targets import BUILD, Target, process, running
from tests.postgres import Cluster, free_port

BASE = "bare aiohttp"


@dataclass(frozen=True)
class Stage:
    """What all servers under test share: a fake provider, and a PostgreSQL server."""

    provider: str
    server_url: str
    database_pid: int

    @property
    def provider_url(self) -> str:
        return f"{self.provider}/api/v1"


@contextmanager
def stage() -> Iterator[Stage]:
    cluster, port = Cluster(), free_port()
    try:
        server_url = cluster.start()
        assert cluster.server is not None, "it has just been started"
        with process("upstream", [str(BUILD / "upstream"), str(port)], {}):
            yield Stage(f"http://127.0.0.1:{port}", server_url, cluster.server.pid)
    finally:
        cluster.stop()


def base(stage: Stage) -> Target:
    port = free_port()
    command = [*prepaid.UVICORN, "--port", str(port), "benchmarks.floors.passthrough:application"]
    return Target(name=BASE, port=port, command=command, environment={"UPSTREAM_URL": stage.provider_url})


def compare(options: argparse.Namespace) -> None:
    with stage() as shared, ExitStack() as servers:
        ours = prepaid.prepare(server_url=shared.server_url, provider_url=shared.provider_url)
        targets = [base(shared), ours.target(free_port())]
        if options.peers:
            targets.append(litellm.target(provider_url=shared.provider_url, server_url=shared.server_url))
            targets.append(portkey.target(provider_url=shared.provider_url))
        print(f"{os.cpu_count()} cores, {databases.describe(shared.server_url)}\n", flush=True)
        started = [servers.enter_context(running(target)) for target in targets]
        comparison = Comparison(
            started, provider=shared.provider, database_pid=shared.database_pid, seconds=options.seconds
        )
        comparison.warm_up()
        comparison.run(options.scenarios, rounds=options.rounds)
        print(tables.report(comparison, options.scenarios, base=options.base))
        if options.json:
            options.json.write_text(json.dumps(tables.rows_of(comparison)))
        print("\nPrepaid's books after it:", prepaid.run(ours.environment, "manage", "check_ledger").strip())
        if tables.errors(comparison, ours.name):
            sys.exit("Prepaid has made errors: these figures do not count.")


def profile(options: argparse.Namespace) -> None:
    with stage() as shared:
        ours = prepaid.prepare(server_url=shared.server_url, provider_url=shared.provider_url)
        with running(ours.target(free_port())) as server:
            print(sampling.profile(server, seconds=options.seconds))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(required=True)
    comparing = commands.add_parser("compare", help="measure side by side and print the tables")
    comparing.set_defaults(command=compare)
    comparing.add_argument("--peers", action="store_true", help="with the gateways in build/peers")
    comparing.add_argument("--base", default=BASE, help="whom the ratios are to")
    comparing.add_argument("--rounds", type=int, default=5)
    comparing.add_argument("--seconds", type=float, default=4, help="of each measurement")
    comparing.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["c1", "c32", "c256", "stream"])
    comparing.add_argument("--json", type=Path, help="where to write every measurement")
    profiling = commands.add_parser("profile", help="sample Prepaid's stacks while 32 callers ask")
    profiling.set_defaults(command=profile)
    profiling.add_argument("--seconds", type=int, default=20)
    return parser.parse_args()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = parse()
    options.command(options)


if __name__ == "__main__":
    main()
