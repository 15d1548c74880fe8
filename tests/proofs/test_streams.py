"""
Streams on which clients, provider and server do what they should not, at random: each is charged what was booked.

Clients read, read slowly, hang up and reset at any byte; the provider refuses, resets, goes silent, ends too early,
errs, and tells its usage late, twice or never; the server is told to stop in the midst of the last. The price is the
provider's cost to the last digit, so its books say what each call must have been charged.
"""

import asyncio
import json
import os
import random
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection

from ai.providers.simulator.catalogue import MODELS
from billing.listing import keep
from billing.models import MOST_RATE, Price, UsageRecord
from credits.models import Hold
from tests import factories
from tests.ai.conftest import simulator, simulator_process
from tests.ai.prepaid import MODEL, QUESTION, pending
from tests.ai.processes import ServerProcess

__all__ = ["simulator", "simulator_process"]

STREAMS = int(os.environ.get("STREAMS") or 100)
SEED = int(os.environ.get("SEED") or random.getrandbits(32))
AT_ONCE = 60
#: So many are open when the server is told to stop.
LAST = 30
PATIENCE_SECONDS = 40
MOST_GROWN = 32 * 1024 * 1024
BILLED_WHOLE = "google/gemini-2.5-flash"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

#: What the provider does, and how often.
FAULTS = {
    "": 40,
    "interval_ms=20": 10,
    "usage=none": 5,
    "usage=none&generation_ms=300": 3,
    "usage=late": 3,
    "usage=repeated": 3,
    "split=1": 3,
    "crlf=1": 3,
    "drip_ms=0": 1,
    "empty=1": 2,
    "reset={}": 6,
    "reset_bytes={}00": 4,
    "truncate={}": 5,
    "error={}": 5,
    "error={}&bill=sent": 3,
    "error={}&error_code=402": 1,
    "stall={}": 3,
    "stall=headers": 1,
    "reset=headers": 2,
    "no_id=1": 3,
    "no_id=1&truncate={}": 1,
    "garbage=1": 1,
    "status=400": 2,
    "status=429": 1,
    "status=500": 1,
    "status=402": 1,
}

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(
        "connection.vendor != 'postgresql' and 'STREAMS' not in os.environ",
        reason="the same code; once is enough for its seconds",
    ),
]


class Wrong(AssertionError):
    """A call was not charged what the provider booked for it."""


def prove(booked: Mapping[str, Decimal], records: Iterable[UsageRecord]) -> int:
    """
    Check every call against the provider's ``booked`` costs, in dollars by generation; return how many were charged.

    :raises Wrong: for the first that differs
    """
    seen: set[str] = set()
    nameless = charged = 0
    for record in records:
        if not record.generation_id:
            nameless += 1
            continue
        if record.generation_id in seen:
            raise Wrong(f"{record.generation_id} is recorded twice")
        seen.add(record.generation_id)
        cost = booked[record.generation_id]
        if record.status == "UNKNOWN" or Decimal(record.provider_cost or 0) != cost:
            raise Wrong(
                f"{record.generation_id} cost {cost}, and {record.provider_cost!r} is recorded: {record.status}"
            )
        was_delivered = record.streamed and record.first_token_ms is not None
        if record.status == "FAILED" and cost and was_delivered:
            raise Wrong(f"{record.generation_id} was relayed, and is free")
        due = 0 if record.status == "FAILED" else int(cost * MOST_RATE)
        if record.charged != due:
            raise Wrong(f"{record.generation_id} was charged {record.charged} where {due} was due")
        charged += bool(due)
    missing = len(booked.keys() - seen)
    if missing > nameless:
        raise Wrong(f"{missing} generations are recorded nowhere, and only {nameless} calls have none")
    return charged


class Client:
    """One call, and what becomes of its connection."""

    def __init__(self, server: ServerProcess, api_key: str, chance: random.Random) -> None:
        self._address = urlsplit(server.url)
        self._api_key = api_key
        fault = chance.choices([*FAULTS], [*FAULTS.values()])[0].format(chance.randint(0, 6))
        told = f"chunks={chance.randint(1, 12)}&{fault}".strip("&")
        self._body = json.dumps(
            {
                "model": chance.choice((MODEL, MODEL, BILLED_WHOLE)),
                "messages": QUESTION,
                "stream": chance.random() < 0.9,
                "max_tokens": 100,
                "metadata": {"simulate": told},
            }
        ).encode()
        self._hangs_up_after = chance.choice([None, None, None, chance.randint(0, 4000)])
        self._resets = chance.random() < 0.5
        self._pauses = chance.choice([0, 0, 0, 0.02])

    async def call(self) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
                try:
                    await self._talk(reader, writer)
                finally:
                    writer.transport.abort() if self._resets else writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(self._body)}"
        )
        writer.write(f"{head}\r\nAuthorization: Bearer {self._api_key}\r\n\r\n".encode() + self._body)
        await writer.drain()
        if self._resets:
            behind = writer.get_extra_info("socket")
            behind.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        read = 0
        while self._hangs_up_after is None or read < self._hangs_up_after:
            piece = await reader.read(500 if self._pauses else 65536)
            if not piece:
                return
            read += len(piece)
            await asyncio.sleep(self._pauses)


async def drive(server: ServerProcess, api_key: str, chance: random.Random) -> tuple[int, int]:
    """Make ``STREAMS`` calls and stop the server in the last; return its memory after a tenth and at the end."""
    clients = [Client(server, api_key, chance) for _ in range(STREAMS)]
    tenth = STREAMS // 10
    await in_turns(clients[:tenth])
    early = server.memory
    await in_turns(clients[tenth:-LAST])
    late = server.memory
    last = [asyncio.ensure_future(client.call()) for client in clients[-LAST:]]
    await asyncio.sleep(0.3)
    server.terminate()
    await asyncio.gather(*last)
    return early, late


async def in_turns(clients: Sequence[Client]) -> None:
    """Let ``clients`` call, ``AT_ONCE`` at a time."""
    waiting = iter(clients)

    async def callers() -> None:
        for client in waiting:
            await client.call()

    await asyncio.gather(*(callers() for _ in range(AT_ONCE)))


@pytest.fixture
def at_cost(transactional_db, now):
    """A price that is the provider's cost: a unit for a 10⁻¹² dollar."""
    keep(MODELS, now=now)
    terms = {"type": "METERED", "amount": 0, "rate": MOST_RATE, "markup": 1_000_000}
    return Price.objects.create(feature="ai_text_chat", effective_at=now - timedelta(seconds=1), **terms)


def test_every_stream_is_charged_what_was_booked(database_url, simulator, account, api_key, at_cost, settings, capsys):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "simulated"
    factories.grant(account, str(100 * STREAMS))
    account.refresh_from_db()
    granted = account.balance
    impatient = {"PROVIDER_IDLE_TIMEOUT": "1", "PROVIDER_RETRY_SECONDS": "1", "LOG_LEVEL": "ERROR"}
    with ServerProcess(database_url, simulator.url, drain_seconds=2, **impatient) as server:
        early, late = asyncio.run(drive(server, api_key, random.Random(SEED)))
        server.wait()
    connection.close()
    left = len(pending())
    call_command("resolve_holds", older_than=0, wait=20, stdout=StringIO())

    booked = {entry["id"]: Decimal(entry["cost"]) for entry in simulator.ended_books()}
    records = list(UsageRecord.objects.all())
    charged = prove(booked, records)
    account.refresh_from_db()
    told = f"SEED={SEED}: {len(records)} calls, {len(booked)} booked, {charged} charged, {left} left to the worker"
    with capsys.disabled():
        print(f"\n{told}; the server grew by {(late - early) // 1024} KiB")
    assert pending() == []
    assert Hold.objects.count() == len(records)
    assert account.held == 0
    assert account.balance == granted - sum(record.charged for record in records)
    assert charged > STREAMS / 4, "most went well"
    assert STREAMS <= 1000 or late - early < MOST_GROWN
    assert_proof_can_fail(booked, records)


def assert_proof_can_fail(booked: Mapping[str, Decimal], records: list[UsageRecord]) -> None:
    """Each way in which a call could be charged wrongly is noticed."""
    paid = next(record for record in records if record.charged and record.generation_id)
    others = [record for record in records if record is not paid]
    with pytest.raises(Wrong, match="twice"):
        prove(booked, [*records, paid])
    with pytest.raises(Wrong, match="is recorded"):
        prove({**booked, paid.generation_id: booked[paid.generation_id] + 1}, records)
    with pytest.raises(Wrong, match="nowhere"):
        prove({**booked, **{f"gen-{number}": Decimal(1) for number in range(len(records))}}, records)
    due, paid.charged = paid.charged, paid.charged - 1
    with pytest.raises(Wrong, match="was due"):
        prove(booked, [*others, paid])
    paid.charged = due
