import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ai.providers.simulator import create_app
from config import demo
from config.protocol import HttpProtocol
from config.worker import Worker

HOST = "127.0.0.1"
SIMULATOR_START_SECONDS = 10
WORKER_END_SECONDS = 5

WELCOME = """
Prepaid is ready at {url}   (Ctrl-C stops it)

Ask something. One credit pays for it:

  curl -N {url}/v1/chat/completions \\
    -H "Authorization: Bearer {api_key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Hello!"}}]}}'

See what is left, and why:

  curl {url}/api/credits/me -H "Authorization: Bearer {api_key}"
  curl {url}/api/credits/transactions -H "Authorization: Bearer {api_key}"

Operators   {url}/admin/       {admin_email}   {admin_password}
The API     {url}/api/docs
Provider    {provider}
These credentials are kept in {path}
"""


class Command(BaseCommand):
    help = "Serve a demonstration on this machine: migrate, make demo data, and listen on 127.0.0.1:PORT."

    def handle(self, *args: Any, **options: Any) -> None:
        url = f"http://{HOST}:{settings.PORT}"
        with closing(listen(settings.PORT)) as listener:
            settings.DATA_DIR.mkdir(mode=0o700, exist_ok=True)
            call_command("migrate", interactive=False, verbosity=0)
            path = settings.DATA_DIR / "demo.env"
            prepared = demo.prepare(path=path, url=url, now=timezone.now())
            provider = settings.OPENROUTER_BASE_URL if provider_is_given() else start_simulator()
            self.refresh_catalogue()
            server = gateway()
            server.welcome = WELCOME.format(
                **vars(prepared), model=settings.DEFAULT_CHAT_MODEL, provider=provider, path=relative(path)
            )
            with suppress(KeyboardInterrupt), working():
                server.run(sockets=[listener])
            self.stdout.write("Stopped.")

    def refresh_catalogue(self) -> None:
        """Read what models cost: what is metered is sold by that."""
        try:
            call_command("refresh_catalogue", stdout=StringIO())
        except CommandError as error:
            self.stderr.write(str(error))


@contextmanager
def working() -> Iterator[None]:
    """Have a worker do its jobs in a thread while the block runs: here one process is all there is."""
    stop = threading.Event()
    thread = threading.Thread(target=Worker(stop).run, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WORKER_END_SECONDS)


class Server(uvicorn.Server):
    """One that says what to do next, once it listens."""

    welcome = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.welcome, flush=True)


def listen(port: int) -> socket.socket:
    """
    Return a socket bound to ``port``: 0 binds any that is free.

    :raises CommandError: if the port is taken
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise CommandError(f"Cannot listen on {HOST}:{port}: {error.strerror}. Try PORT={port + 1} make run") from error
    return listener


def provider_is_given() -> bool:
    return any(os.environ.get(f"OPENROUTER_{name}") for name in ("API_KEY", "API_KEYS", "BASE_URL"))


def start_simulator() -> str:
    """Serve the simulated provider in a thread, point the settings at it, and say so."""
    listener = listen(0)
    # It outlives the gateway, so that streams can drain; the process takes it along.
    server = uvicorn.Server(uvicorn.Config(create_app(), log_config=None, log_level="warning", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True).start()
    deadline = time.monotonic() + SIMULATOR_START_SECONDS
    while not server.started:
        if time.monotonic() > deadline:
            raise CommandError("The simulated provider does not start.")
        time.sleep(0.01)
    settings.OPENROUTER_BASE_URL = f"http://{HOST}:{listener.getsockname()[1]}/api/v1"
    settings.OPENROUTER_API_KEY = "simulated"
    return "simulated, free of charge; set OPENROUTER_API_KEY in .env for real answers"


def gateway() -> Server:
    settings.WHITENOISE_USE_FINDERS = True  # nothing to collect, nothing stale
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    # A few small files for one person: reading them in a thread is good enough.
    warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")
    from config.asgi import application  # noqa: PLC0415  (it reads the settings made above)

    return Server(
        uvicorn.Config(
            application,
            loop="uvloop",
            http=HttpProtocol,
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=settings.SHUTDOWN_DRAIN_SECONDS,
        )
    )


def relative(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR)) if path.is_relative_to(settings.BASE_DIR) else str(path)
