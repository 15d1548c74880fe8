"""
Prepaid under test: one uvicorn process on PostgreSQL, with the provider's place taken by a fake one.

By itself it prepares a database and serves it, for a harness that expects a running server:

    python -m benchmarks.prepaid --port 8000 --provider http://127.0.0.1:9100/api/v1 \\
        --postgresql postgresql://postgres@127.0.0.1:5599/postgres --key-file build/prepaid.key
"""

import argparse
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import databases
from benchmarks.targets import BUILD, ROOT, Target

DATABASE = "prepaid_benchmark"
#: For this server and for the base alike. uvloop and httptools are what `make run` uses.
UVICORN = [
    *(sys.executable, "-W", "ignore", "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools"),
    *("--backlog", "4096", "--no-access-log", "--no-proxy-headers", "--log-level", "warning"),
]


@dataclass(frozen=True)
class Prepared:
    """A migrated database with a customer who can pay for everything."""

    environment: dict[str, str]
    key: str
    name = "prepaid"

    def target(self, port: int) -> Target:
        return Target(
            name=self.name,
            port=port,
            command=command(port),
            environment=self.environment,
            key=self.key,
            uses_database=True,
            settle_seconds=1,
        )


def prepare(*, server_url: str, provider_url: str) -> Prepared:
    """Make the database anew on the PostgreSQL at ``server_url``, and a customer and a key in it."""
    environment = {
        "PREPAID_ENV_FILE": os.devnull,
        "DATA_DIR": str(BUILD),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "API_KEY_PEPPER": secrets.token_urlsafe(50),
        "DATABASE_URL": databases.create(server_url, DATABASE),
        "OPENROUTER_BASE_URL": provider_url,
        "OPENROUTER_API_KEY": "fake",
    }
    key = run(environment, "benchmarks.customer").strip()
    return Prepared(environment, key)


def run(environment: dict[str, str], module: str, *arguments: str) -> str:
    """Run a module of Python in Prepaid's environment and return what it prints."""
    environment = {"PATH": os.environ["PATH"], **environment}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def command(port: int) -> list[str]:
    return [*UVICORN, "--port", str(port), "config.asgi:application"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare a database and serve it until stopped.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--provider", required=True, help="base URL of the fake provider")
    parser.add_argument("--postgresql", required=True, help=f"a server's URL; {DATABASE} is made anew on it")
    parser.add_argument("--key-file", type=Path, required=True, help="where to write the customer's key")
    options = parser.parse_args()
    prepared = prepare(server_url=options.postgresql, provider_url=options.provider)
    options.key_file.write_text(prepared.key)
    os.chdir(ROOT)
    os.execve(sys.executable, command(options.port), {"PATH": os.environ["PATH"], **prepared.environment})  # noqa: S606


if __name__ == "__main__":
    main()
