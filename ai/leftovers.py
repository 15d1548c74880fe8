"""
Streams whose client has gone, and whose provider bills them whole all the same.

To hang up would save nothing and lose the usage that comes at their end. So they are read to it, beside all else, by
no more than ``MOST_AT_ONCE`` in a process and no longer than ``LONGEST`` each; beyond that they are hung up on.
"""

import asyncio
import logging
from contextlib import aclosing

from ai.errors import ProviderError
from ai.providers.base import Answer, Provider
from ai.settlement import background
from ai.streaming import Scanner

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 200
#: Seconds.
LONGEST = 120.0
#: How the tasks are called that read on, among all that goes on in the background.
NAME = "leftover"


def are_worth_reading(provider: Provider, scanner: Scanner) -> bool:
    """Whether the rest of a stream is to be read: it is paid for either way, and there is somebody free to do it."""
    if scanner.has_ended or not provider.bills_whole(scanner.upstream):
        return False
    if sum(task.get_name() == NAME for task in background) >= MOST_AT_ONCE:
        logger.warning("A stream is hung up on that is billed whole: %s others are being read already.", MOST_AT_ONCE)
        return False
    return True


async def read(answer: Answer, scanner: Scanner) -> None:
    """Let ``scanner`` see the rest of ``answer``, as far as it comes in time, and close it."""
    try:
        async with aclosing(answer), asyncio.timeout(LONGEST):
            async for chunk in answer.chunks():
                scanner.feed(chunk)
            scanner.close()
    except (TimeoutError, ProviderError) as error:
        logger.info("The rest of a stream whose client had gone did not come: %r", error)
