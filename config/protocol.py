"""
uvicorn's HTTP, which waits no longer than ``HEAD_TIMEOUT`` for the head of a request, and than ``CLIENT_WRITE_TIMEOUT``
for a client that reads nothing.

By itself it closes connections that are idle, and not those whose request stops half-way, nor those whose answer nobody
reads, which it keeps in memory. What comes whole, as heads do, starts no timer, and neither does what is read in time.
"""

import asyncio

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpProtocol(HttpToolsProtocol):
    _has_begun = False
    _timer: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._has_begun and self._timer is None and not self.transport.is_closing():
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_begun = True

    def on_headers_complete(self) -> None:
        self._has_begun = False
        self._stop_waiting()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reading is None:
            self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(settings.HEAD_TIMEOUT, self._give_up)

    def _watch(self, unread: int) -> None:
        self._reading = self.loop.call_later(settings.CLIENT_WRITE_TIMEOUT, self._look, unread)

    def _look(self, unread_before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= unread_before:
            self.transport.abort()
        else:
            self._watch(unread)

    def _stop_watching(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        """Close the connection; whoever has sent something is told why, unless an answer is still on its way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait()
            return
        if self._has_begun:
            self.transport.write(TOO_SLOW)
        self.transport.close()
