"""One client's open connection, on which everything can go wrong that goes wrong on real ones."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import orjson
from starlette.types import Receive, Send

from ai.providers.simulator.faults import BEFORE_HEADERS, Faults

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"


#: Makes the body of a refusal of its status, its text and what else is known of it.
Refusal = Callable[[int, str, dict[str, Any]], dict[str, Any]]


def openrouters_error(status: int, message: str, metadata: dict[str, Any]) -> dict[str, Any]:
    error = {"code": status, "message": message, **({"metadata": metadata} if metadata else {})}
    return {"error": error, "user_id": "user_simulated"}


class HungUp(Exception):
    """The connection is gone: by the client, or by a fault that resets it."""


class Line:
    """
    An ASGI connection after its request is read. ``faults`` strike as bytes are sent.

    Must be left through ``hang_up``. Every method that waits raises ``HungUp`` when the client is gone.
    """

    def __init__(self, receive: Receive, send: Send, faults: Faults, *, refusal: Refusal) -> None:
        self.faults = faults
        self._refusal = refusal
        self._receive = receive
        self._send = send
        self._gone: asyncio.Future[Any] = asyncio.ensure_future(receive())
        self._sent = 0

    async def open(self, status: int, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send the headers; some are such as OpenRouter's front end adds, and are nobody's business behind us."""
        await self.strike(BEFORE_HEADERS)
        every = [
            ("Content-Type", content_type),
            ("Set-Cookie", "__cf_bm=simulated; Path=/; HttpOnly"),
            ("CF-Ray", "simulated-0"),
            *headers,
        ]
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in every]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, data: bytes) -> None:
        if self.faults.drip_ms is not None:
            for position in range(len(data)):
                await self._write(data[position : position + 1])
                await self.pause(self.faults.drip_ms)
        elif self.faults.split and len(data) > 1:
            await self._write(data[: len(data) // 2])
            await self.pause(5)
            await self._write(data[len(data) // 2 :])
        else:
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        limit = self.faults.reset_bytes
        if limit is not None and self._sent + len(data) >= limit:
            await self._send({"type": "http.response.body", "body": data[: limit - self._sent], "more_body": True})
            await self.pause(20)
            await self._reset()
        self._sent += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def pause(self, milliseconds: float | None) -> None:
        """Wait, for ever if None. Also notices a client that hung up meanwhile."""
        await asyncio.wait({self._gone}, timeout=None if milliseconds is None else milliseconds / 1000)
        if self._gone.done():
            raise HungUp

    async def strike(self, position: int) -> None:
        """Go silent, or reset the connection, if a fault wants it at ``position``."""
        if self.faults.stall == position:
            await self.pause(None)
        if self.faults.reset == position:
            await self.pause(20)  # what was sent before shall arrive before
            await self._reset()

    async def _reset(self) -> NoReturn:
        """Close the connection with RST. The server's transport is reached behind ASGI, which has no word for this."""
        transport = self._receive.__self__.transport  # type: ignore[attr-defined]
        behind = transport.get_extra_info("socket")
        if behind is not None and behind.fileno() >= 0:  # none inside one process, nor when the client was faster
            with socket.socket(fileno=os.dup(behind.fileno())) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        transport.abort()
        await asyncio.wait({self._gone})
        raise HungUp

    async def close(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    def hang_up(self) -> None:
        """Stop to watch the client."""
        self._gone.cancel()

    async def json(self, status: int, payload: Any, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Answer with the whole of ``payload``."""
        body = orjson.dumps(payload)
        await self.open(status, "application/json", headers)
        half = len(body) // 2
        for position, part in enumerate((body[:half], body[half:])):
            await self.strike(position)
            if self.faults.truncate == position:
                break
            await self.write(part)
        await self.close()

    async def error(self, status: int, message: str, **metadata: Any) -> None:
        """Refuse as OpenRouter does on this path."""
        retry_after = self.faults.retry_after
        headers = [] if retry_after is None else [("Retry-After", str(retry_after))]
        if 300 <= status < 400:
            headers.append(("Location", "/api/v1/models"))
        await self.json(status, self._refusal(status, message, metadata), headers)

    async def garbage(self) -> None:
        await self.open(200, "text/html; charset=utf-8")
        await self.write(PAGE)
        await self.close()
