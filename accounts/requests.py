"""Rules for every HTTP request, whichever application answers it."""

import asyncio
import random
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from accounts.errors import RequestTimeout

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def accept_request_id(text: str | None) -> str:
    """
    Return the id under which a request is logged: the caller's, if it is 1 to 128 visible ASCII
    characters, else a new UUID.

    It is for finding log lines only, never for recognising a repeated request.
    """
    return text if text and REQUEST_ID.fullmatch(text) else str(uuid.UUID(int=random.getrandbits(128), version=4))


class Patience:
    """How long a body may take: ``idle`` seconds between two of its pieces, ``total`` for all."""

    def __init__(self, receive: Receive, *, idle: float, total: float) -> None:
        self._receive = receive
        self._idle = idle
        self._deadline = asyncio.get_running_loop().time() + total

    async def __call__(self) -> MutableMapping[str, Any]:
        """
        Return the next message.

        :raises RequestTimeout: if it does not come in time
        """
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + self._idle, self._deadline)):
                return await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
