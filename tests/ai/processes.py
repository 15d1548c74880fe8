"""Server processes that can be killed, and a wire to the database that can be cut."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import requests
from django.conf import settings

PATIENCE_SECONDS = 30


class ServerProcess:
    """Prepaid, served by a process of its own as in production. Leaving the context kills it."""

    def __init__(
        self,
        database_url: str,
        provider_url: str,
        *,
        application: str = "config.asgi:application",
        drain_seconds: int = 10,
        **environment: str,
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._command = [
            *(sys.executable, "-m", "uvicorn", application, "--fd", str(self._listener.fileno()), "--lifespan", "on"),
            *("--no-proxy-headers", "--no-access-log", "--log-level", "warning"),
            *("--timeout-graceful-shutdown", str(drain_seconds)),
        ]
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "SECRET_KEY", "API_KEY_PEPPER")},
            "PREPAID_ENV_FILE": os.devnull,
            "DATABASE_URL": database_url,
            "OPENROUTER_BASE_URL": provider_url,
            "OPENROUTER_API_KEY": "simulated",
            "SHUTDOWN_NOTICE_SECONDS": "0",
            "SHUTDOWN_DRAIN_SECONDS": str(drain_seconds),
            **environment,
        }

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=settings.BASE_DIR, env=self._environment, pass_fds=[self._listener.fileno()]
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert self._process.poll() is None, "the server does not start"
            assert time.monotonic() < deadline, "the server is not ready in time"
            with suppress(requests.RequestException):
                requests.get(f"{self.url}/healthz", timeout=1).raise_for_status()
                return self
            time.sleep(0.02)

    def __exit__(self, *error: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: nothing that it has begun is ended."""
        self._process.kill()
        self._process.wait()
        self._listener.close()

    def terminate(self) -> None:
        """SIGTERM: it may end what it has begun. Does not wait."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it has gone by itself."""
        self._process.wait(PATIENCE_SECONDS)

    @property
    def memory(self) -> int:
        """Bytes that it has resident."""
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, check=True)
        return int(shown.stdout) * 1024


class Wire:
    """A TCP connection to ``url``'s server by way of a port of ours, that can be cut and mended."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        assert there.hostname
        assert there.port
        self._there = (there.hostname, there.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._is_cut = False
        self._lock = threading.Lock()
        login = there.netloc.rpartition("@")[0]
        self.url = urlunsplit(there._replace(netloc=f"{login}@127.0.0.1:{self._listener.getsockname()[1]}"))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection, and every new one at once."""
        with self._lock:
            self._is_cut = True
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._is_cut = False

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._there)
                self._connections += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    wire = Wire(url)
    try:
        yield wire
    finally:
        wire.close()
