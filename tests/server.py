"""The whole product, served on a real socket for the tests that talk to it as clients do."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import uvicorn
from django.conf import settings
from django.test import override_settings

from ai import providers
from ai.desk import desk

#: Nothing listens there.
NOWHERE = "http://127.0.0.1:9/api/v1"
PATIENCE_SECONDS = 20


class Server(uvicorn.Server):
    """One that notices at once when it is to stop: uvicorn's looks ten times a second."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 (so is uvicorn's: its signal handlers set a flag)
            await asyncio.sleep(0.01)


@contextmanager
def running_prepaid(*, provider_url: str = NOWHERE) -> Iterator[str]:
    """
    Serve Prepaid on a free port, in a thread, until the context ends; yield where.

    It has a ledger thread and a provider's pool of its own, so the test must be transactional.
    """
    # What these import, tests without a server need not.
    from config.asgi import application  # noqa: PLC0415
    from config.protocol import HttpProtocol  # noqa: PLC0415

    desk.cache_clear()
    providers.current.cache_clear()
    provider = override_settings(OPENROUTER_BASE_URL=provider_url, OPENROUTER_API_KEY="simulated")
    with provider, socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application,
            http=HttpProtocol,
            lifespan="on",
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server does not start"
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            desk.cache_clear()
            providers.current.cache_clear()


@contextmanager
def prepaid_process(
    *,
    database_url: str,
    provider_url: str = NOWHERE,
    application: str = "config.asgi:application",
    **environment: str,
) -> Iterator[str]:
    """Serve Prepaid on a free port, in a process of its own and with ``environment``; yield where."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    variables = {
        "PATH": os.environ["PATH"],
        "PREPAID_ENV_FILE": os.devnull,
        "SECRET_KEY": settings.SECRET_KEY,
        "API_KEY_PEPPER": settings.API_KEY_PEPPER,
        "DATABASE_URL": database_url,
        "OPENROUTER_BASE_URL": provider_url,
        "OPENROUTER_API_KEY": "simulated",
        "SHUTDOWN_NOTICE_SECONDS": "0",
        **environment,
    }
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([*command, application], cwd=settings.BASE_DIR, env=variables) as process:
        try:
            wait_until_ready(url, process)
            yield url
        finally:
            process.terminate()


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, "the server does not start"
        assert time.monotonic() < deadline, "the server is not ready in time"
        try:
            requests.get(f"{url}/readyz", timeout=PATIENCE_SECONDS).raise_for_status()
        except requests.RequestException:
            time.sleep(0.02)
        else:
            return
