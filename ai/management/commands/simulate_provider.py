from argparse import ArgumentParser
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand

from ai.providers.simulator import create_app

KEEP_ALIVE_SECONDS = 75  # longer than our own pool keeps a connection, as a real provider's front end does


class Command(BaseCommand):
    help = "Serve a simulated model provider: answers, books and faults on demand, for free."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=9100)
        parser.add_argument("--pace-ms", type=int, default=20, help="Milliseconds between the chunks of an answer.")
        parser.add_argument(
            "--generation-ms", type=int, default=0, help="Milliseconds until GET /generation knows of an ended answer."
        )

    def handle(self, *args: Any, host: str, port: int, pace_ms: int, generation_ms: int, **options: Any) -> None:
        self.stdout.write(f"Simulated provider: OPENROUTER_BASE_URL=http://{host}:{port}/api/v1 (any key)")
        uvicorn.run(
            create_app(pace_ms=pace_ms, generation_ms=generation_ms),
            host=host,
            port=port,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
