"""Portkey's gateway: a proxy that keeps no accounts."""

from pathlib import Path

from benchmarks.targets import BUILD, Target
from tests.postgres import free_port

PEERS = BUILD / "peers"
FIX = Path(__file__).with_name("portkey-fix.mjs")


def target(*, provider_url: str) -> Target:
    port = free_port()
    server = PEERS / "node" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return Target(
        name="portkey",
        port=port,
        command=["node", "--import", str(FIX), str(server), f"--port={port}", "--headless"],
        environment={"NODE_ENV": "production"},
        headers=("x-portkey-provider: openai", f"x-portkey-custom-host: {provider_url}"),
        settle_seconds=1,
    )
