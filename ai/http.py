"""
The little of HTTP that the gateway's hot path needs, on ASGI as it is.

Starlette routes to these endpoints; its request and response objects are left out because
they cost more than all else that the gateway does to a call (``docs/performance.md``).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from django.conf import settings
from django.utils.http import parse_header_parameters

from accounts.errors import BodyTooLarge, MalformedJson, UnsupportedMedia, ValidationFailed
from accounts.requests import Patience

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = "application/json"
JSON = (b"content-type", JSON_TYPE.encode())
EVENT_STREAM = (b"content-type", b"text/event-stream")
NOT_CACHED = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class ClientGone(Exception):
    """The client hung up, or does not read. Nobody is left to answer."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the request's headers by lower-case name; of a repeated one, all values with commas between."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


async def read_json(headers: Mapping[str, str], receive: Receive) -> dict[str, Any]:
    """
    Read the body as a JSON object.

    :raises UnsupportedMedia: if it says that it is something else than JSON in UTF-8, or is compressed
    :raises BodyTooLarge: if it is longer than ``GATEWAY_MAX_BODY_BYTES``
    :raises MalformedJson: if it is not JSON, or has a key twice in one object
    :raises ValidationFailed: if it is not an object
    :raises RequestTimeout: if it does not arrive in time
    :raises ClientGone: if it ends half-way
    """
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedMedia  # never inflated: nobody knows how long it becomes
    kind = headers.get("content-type", JSON_TYPE)
    if kind != JSON_TYPE and not _is_json(kind):
        raise UnsupportedMedia
    body = await _read(headers, receive, settings.GATEWAY_MAX_BODY_BYTES)
    try:
        payload = orjson.loads(body)
    except ValueError as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from error
    if not isinstance(payload, dict):
        raise invalid("body", "The body must be a JSON object.", "invalid_type")
    if has_a_key_twice(body, payload):
        raise MalformedJson("The body has the same key twice in one object.")
    return payload


def _is_json(content_type: str) -> bool:
    kind, parameters = parse_header_parameters(content_type)
    return kind == JSON_TYPE and parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")


def has_a_key_twice(body: bytes, value: Any) -> bool:
    """
    Whether an object in ``body``, which is valid JSON and was read as ``value``, has a key twice.

    The reader keeps the last of them. What it drops takes a colon along, and nothing else can be lost or won: so the
    colons are counted, there and in what comes of writing the value down again, at some millionths of a second.

    :raises MalformedJson: if it is nested more deeply than can be written
    """
    colons = body.count(b":")
    if b"\\u003" in body:  # a colon in disguise, unless its backslash is itself behind one
        disguised = body.replace(b"\\\\", b"")
        colons += disguised.count(b"\\u003a") + disguised.count(b"\\u003A")
    try:
        return colons != orjson.dumps(value).count(b":")
    except TypeError as error:
        raise MalformedJson("The body is nested too deeply.") from error


async def _read(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > limit:
        raise BodyTooLarge(f"The body is longer than {limit} bytes. Send less, or pass files by URL.")
    patient = Patience(receive, idle=settings.BODY_IDLE_TIMEOUT, total=settings.BODY_TOTAL_TIMEOUT)
    pieces, size, more = [], 0, True
    while more:
        message = await patient()
        if message["type"] != "http.request":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise BodyTooLarge(f"The body is longer than {limit} bytes. Send less, or pass files by URL.")
        more = message.get("more_body", False)
    return b"".join(pieces)


@asynccontextmanager
async def while_client_stays(receive: Receive, seconds: float, writes: Callable[[], int]) -> AsyncIterator[None]:
    """
    Run the block, whose request has been read, for as long as its client is there. Cancels what it waits for.

    ``writes`` counts the beginnings and the ends of what is sent to the client, so that it is odd while one waits.

    :raises ClientGone: if the client hangs up, takes nothing of a write for ``CLIENT_WRITE_TIMEOUT``, or has not read
        everything after ``seconds``
    """
    hung_up = asyncio.ensure_future(receive())
    call_later, pause = asyncio.get_running_loop().call_later, settings.CLIENT_WRITE_TIMEOUT / 2
    has_left = False
    watch: asyncio.TimerHandle | None = None

    def leave(_: object) -> None:
        if not has_left:
            patience.reschedule(0)

    def look(before: int) -> None:
        nonlocal watch
        now = writes()
        if now == before and now % 2:
            leave(None)
        else:
            watch = call_later(pause, look, now)

    watch = call_later(pause, look, writes())
    try:
        async with asyncio.timeout(seconds) as patience:
            hung_up.add_done_callback(leave)
            try:
                yield
            finally:
                has_left = True
    except TimeoutError as error:
        raise ClientGone from error
    finally:
        if watch is not None:
            watch.cancel()
        hung_up.cancel()


def invalid(field: str, message: str, code: str) -> ValidationFailed:
    """A refusal that names one field."""
    return ValidationFailed(details=[{"field": field, "message": message, "code": code}])


def encode(pairs: Mapping[str, str]) -> Headers:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]


async def respond(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Send a whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})
