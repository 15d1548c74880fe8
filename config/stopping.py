"""
A process that is told to stop says first that it is not ready, and serves on while load balancers notice.

A server stops listening at once, and whoever is sent to it in that moment is refused. So SIGTERM is kept from it for
some seconds, in which ``/readyz`` answers 503; a second SIGTERM is not kept.
"""

import asyncio
import logging
import signal
import threading
from types import FrameType

from accounts.errors import PrepaidError

logger = logging.getLogger(__name__)

_announced = threading.Event()


class NotReady(PrepaidError):
    """503: this process cannot serve yet, or not any more."""

    status = 503
    code = "not_ready"


def check() -> None:
    """:raises NotReady: if this process is about to stop"""
    if _announced.is_set():
        raise NotReady("This process is about to stop.")


def announce_first(seconds: float) -> None:
    """Keep SIGTERM from the server whose loop runs here for ``seconds``. Nothing changes if that is 0."""
    stop = signal.getsignal(signal.SIGTERM)
    if seconds <= 0 or not callable(stop) or threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def announce(number: int, frame: FrameType | None) -> None:
        if _announced.is_set():
            stop(number, frame)
            return
        _announced.set()
        logger.info("Not ready any more; stopping in %s s.", seconds)
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)

    signal.signal(signal.SIGTERM, announce)
