"""
Everything on one port: the gateway's paths go to the gateway, all else to Django.

The gateway's paths cost ten times as much behind Django's middleware (``docs/performance.md``).
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

# The models that the gateway imports exist only once Django is set up.
from django.conf import settings  # noqa: E402

from accounts.errors import BodyTooLarge, PrepaidError, RequestTimeout  # noqa: E402
from accounts.requests import Patience, accept_request_id  # noqa: E402
from ai import gateway  # noqa: E402
from config import stopping  # noqa: E402

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Hand the request to whoever answers its path. Start-up and shutdown concern the gateway alone."""
    if scope["type"] == "lifespan":
        stopping.announce_first(settings.SHUTDOWN_NOTICE_SECONDS)
    if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"].startswith(gateway.PREFIXES)):
        await gateway.application(scope, receive, send)
    else:
        await limited(cast(Application, django_application))(scope, receive, send)


def limited(inner: Application) -> Application:
    """
    Answer 413 as soon as a body is known to be too long, 408 if it stops coming, and close the connection.

    Django would write all of it to disk before it looks at any header, and wait for it for ever.
    """

    async def outer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        limit, seen, is_whole = settings.DATA_UPLOAD_MAX_MEMORY_SIZE, 0, False
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            await refuse(BodyTooLarge(), headers, send)
            return
        patient = Patience(receive, idle=settings.BODY_IDLE_TIMEOUT, total=settings.BODY_TOTAL_TIMEOUT)

        async def counted() -> Message:
            nonlocal seen, is_whole
            if is_whole:  # what comes now is the end of the connection, however late
                return await receive()
            try:
                message = await patient()
            except RequestTimeout as error:
                await refuse(error, headers, send)
                return {"type": "http.disconnect"}
            seen += len(message.get("body", b""))
            if seen <= limit:
                is_whole = not message.get("more_body", False)
                return message
            await refuse(BodyTooLarge(), headers, send)
            return {"type": "http.disconnect"}

        await inner(scope, counted, send)

    return outer


async def refuse(error: PrepaidError, headers: dict[bytes, bytes], send: Send) -> None:
    request_id = accept_request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
    answer_headers = [
        (b"content-type", b"application/json"),
        (b"connection", b"close"),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": answer_headers})
    await send({"type": "http.response.body", "body": json.dumps(error.flat(request_id)).encode()})
