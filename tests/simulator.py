"""The simulated provider, served on a real socket for the tests that call one."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import uvicorn

from ai.providers.simulator import create_app

PATIENCE_SECONDS = 5


class RunningSimulator:
    """A simulator at ``url``, which is a provider's base URL. It answers at once, unless a fault slows it down."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.url = f"{origin}/api/v1"

    def faults(
        self, *, times: int | None = None, model: str | None = None, path: str = "chat/completions", **faults: Any
    ) -> None:
        """Set ``faults``, as in ``ai.providers.simulator.faults``, for the next ``times`` requests or for all."""
        rule = {"faults": faults, "times": times, "model": model, "path": path}
        response = requests.post(f"{self.origin}/_simulator/faults", json=rule, timeout=PATIENCE_SECONDS)
        assert response.status_code == 204, response.text

    def books(self) -> list[dict[str, Any]]:
        """What it has charged for, oldest first."""
        return self._get("books")

    def ended_books(self) -> list[dict[str, Any]]:
        """The books, once no answer is under way any more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(entry["status"] == "RUNNING" for entry in self.books()):
            assert time.monotonic() < deadline, "an answer is still under way"
            time.sleep(0.01)
        return self.books()

    def requests(self) -> list[dict[str, Any]]:
        """What it has received, oldest first."""
        return self._get("requests")

    def reset(self) -> None:
        """Forget books, faults and requests."""
        requests.post(f"{self.origin}/_simulator/reset", timeout=PATIENCE_SECONDS).raise_for_status()

    def _get(self, what: str) -> list[dict[str, Any]]:
        return requests.get(f"{self.origin}/_simulator/{what}", timeout=PATIENCE_SECONDS).json()


@contextmanager
def running_simulator() -> Iterator[RunningSimulator]:
    """Serve a simulator on a free port of this machine, in a thread, until the context ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            create_app(pace_ms=0),
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield RunningSimulator(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()
