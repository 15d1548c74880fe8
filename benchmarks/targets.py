"""A gateway under test: how it is started, called and stopped."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError

from benchmarks import kernel

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
START_SECONDS = 150
STOP_SECONDS = 30
#: The load has one core to itself where there are several, and the servers another.
LOAD_CORE, SERVER_CORE = 0, 1


@dataclass(frozen=True)
class Target:
    """
    How to start a gateway and how to call it.

    ``sign_up`` fetches the key of the calls, once the server listens. What a server still does
    when its last answer has arrived is counted for ``settle_seconds``.
    """

    name: str
    port: int
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    key: str = "none"
    sign_up: Callable[[], str] | None = None
    headers: tuple[str, ...] = ()
    uses_database: bool = False
    settle_seconds: float = 0.3

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"


class Server:
    """A started target, ready to answer."""

    def __init__(self, target: Target, process: "subprocess.Popen[bytes]") -> None:
        self.target = target
        self.process = process
        self.key = target.key
        self.start_seconds = 0.0
        self.idle_kib = 0

    def wait(self) -> None:
        """Wait for the first right answer. :raises SystemExit: if none comes"""
        began = time.monotonic()
        while time.monotonic() - began < START_SECONDS and self.process.poll() is None:
            if self._answers():
                self.start_seconds = time.monotonic() - began
                return
            time.sleep(0.05)
        raise SystemExit(f"{self.target.name} does not answer. See {log_of(self.target.name)}")

    def _answers(self) -> bool:
        try:
            if self.target.sign_up and self.key == self.target.key:
                self.key = self.target.sign_up()
            body = {"model": "vendor/mock", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 16}
            headers = {"Authorization": f"Bearer {self.key}", **dict(one.split(": ", 1) for one in self.target.headers)}
            return "~" in post(self.target.url, body, headers)
        except OSError:
            return False


def post(url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> str:
    """Send JSON and return the answer's text. :raises OSError: if it is refused"""
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        error.close()
        raise


def read_json(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: dict[str, int] = json.load(answer)
    return found


@contextmanager
def running(target: Target) -> Iterator[Server]:
    """Start ``target`` on the servers' core, wait for its first right answer, and stop it at the end."""
    with process(target.name, on_core(SERVER_CORE, target.command), target.environment) as started:
        server = Server(target, started)
        server.wait()
        time.sleep(1)
        server.idle_kib = kernel.memory_kib(started.pid)
        yield server


@contextmanager
def process(name: str, command: list[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run ``command`` in the project's directory with nothing of this environment but PATH, logging to ``build/``."""
    environment = {"PATH": os.environ["PATH"], **environment}
    with log_of(name).open("wb") as log:
        # A session of its own: Ctrl-C is for the benchmark, which stops it in order.
        started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield started
    finally:
        stop(started)


def stop(started: "subprocess.Popen[bytes]") -> None:
    if started.poll() is None:
        started.terminate()
        try:
            started.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def on_core(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 else command


def log_of(name: str) -> Path:
    return BUILD / f"{name.replace(' ', '-')}.log"
