"""The whole product, served on a real socket for the tests that talk to it as clients do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from django.test import override_settings

from ai import providers
from ai.desk import desk

#: Nothing listens there.
NOWHERE = "http://127.0.0.1:9/api/v1"


@contextmanager
def running_prepaid(*, provider_url: str = NOWHERE) -> Iterator[str]:
    """
    Serve Prepaid on a free port, in a thread, until the context ends; yield where.

    It has a ledger thread and a provider's pool of its own, so the test must be transactional.
    """
    from config.asgi import application  # noqa: PLC0415  (what it imports, tests without a server need not)

    desk.cache_clear()
    providers.current.cache_clear()
    provider = override_settings(OPENROUTER_BASE_URL=provider_url, OPENROUTER_API_KEY="simulated")
    with provider, socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application,
            lifespan="on",
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
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
