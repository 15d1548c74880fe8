"""
The simulator inside this process, which answers the calls of test keys: no socket, no key, no cost.

It speaks OpenRouter's interface over ASGI, so calls pass through the same relay, scanner and settlement.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import orjson

from ai import errors
from ai.http import Message, Scope
from ai.providers import upstreams
from ai.providers.base import Answer, Generation, Images, Provider, Usage, parse_exact
from ai.providers.openrouter import GENERATION_ID, MAX_IMAGES_BYTES, images_of, message_of, parsed
from ai.providers.simulator.app import Endpoint, Simulator, answers_of
from ai.providers.simulator.catalogue import with_outputs

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: No answer on demand is longer, in words.
MOST_CHUNKS = 10_000
MAX_REFUSAL_BYTES = 64 * 1024
AUTHORIZATION = (b"authorization", b"Bearer simulated")
#: How long a simulator may take to notice that we are gone.
GOODBYE_SECONDS = 1
#: Chunks that wait for a slow reader before the simulator waits too.
QUEUED_CHUNKS = 64


class Simulated(Provider):
    """Its books and records are this process's; what another process began, nobody here knows, and it is free then."""

    name = "simulator"

    def __init__(self, *, idle_timeout: float, total_timeout: float) -> None:
        self._idle_timeout = idle_timeout
        self._total_timeout = total_timeout
        self._simulator = Simulator(pace_ms=20, generation_ms=0, kept_requests=0, most_chunks=MOST_CHUNKS)
        self._endpoints = {
            path: Endpoint(self._simulator, path, answer)
            for path, (method, answer) in answers_of(self._simulator).items()
            if method == "POST"
        }
        self._open: set[InProcessAnswer] = set()

    async def start(self) -> None:
        return

    async def close(self) -> None:
        for answer in list(self._open):
            await answer.aclose()

    async def open(self, path: str, body: bytes) -> Answer:
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            raise errors.refusal(404, "The simulator has no such path.", {})
        answer = InProcessAnswer(body, self._idle_timeout, asyncio.get_running_loop().time() + self._total_timeout)
        self._open.add(answer)
        answer.begin(endpoint, _scope(path, body), on_end=self._open.discard)
        try:
            await answer.headers_have_come()
            if answer.status != 200:
                raise await _refusal(answer)
        except BaseException:
            await answer.aclose()
            raise
        return answer

    async def images(
        self,
        *,
        model: str,
        prompt: str,
        references: Sequence[str] = (),
        modalities: Sequence[str] = ("image", "text"),
        aspect_ratio: str = "",
        user: str = "",
    ) -> Images:
        message = {"role": "user", "content": prompt}
        body: dict[str, Any] = {"model": model, "messages": [message], "modalities": list(modalities), "user": user}
        if aspect_ratio:
            body["image_config"] = {"aspect_ratio": aspect_ratio}
        answer = await self.open("chat/completions", orjson.dumps(body))
        try:
            return images_of(await answer.read(MAX_IMAGES_BYTES), answer.generation_id)
        finally:
            await answer.aclose()

    def bills_whole(self, upstream: str) -> bool:
        return upstreams.bills_whole(upstream)

    def generation(self, generation_id: str) -> Generation | None:
        booking = self._simulator.books.find(generation_id)
        if booking is None or not booking.is_known:
            return None
        return Generation(
            id=generation_id,
            usage=Usage(
                cost=Decimal(booking.cost_text),
                prompt_tokens=booking.prompt_tokens,
                completion_tokens=booking.completion_tokens,
                model=booking.model,
            ),
            cancelled=booking.status == "CANCELLED",
            finish_reason=booking.finish_reason or "",
        )

    def models(self, **filters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = parse_exact(orjson.dumps(with_outputs(filters.get("output_modalities", ""))))
        return found


class InProcessAnswer(Answer):
    """One call of the simulator, in a task of its own; also the transport that its faults reset."""

    def __init__(self, body: bytes, idle_timeout: float, deadline: float) -> None:
        self.status = 0
        self.content_type = ""
        self.generation_id = ""
        self.transport = self
        self._request: bytes | None = bytes(body)
        self._idle_timeout = idle_timeout
        self._deadline = deadline
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_CHUNKS)
        self._started = asyncio.Event()
        self._gone = asyncio.Event()
        self._is_whole = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, endpoint: Endpoint, scope: Scope, *, on_end: Callable[["InProcessAnswer"], None]) -> None:
        """Let the simulator answer; ``on_end`` is told when it has stopped."""

        async def run() -> None:
            try:
                await endpoint(scope, self.receive, self.send)
            except Exception:
                logger.exception("The simulator failed.")
            finally:
                on_end(self)
                self._started.set()
                if not self._gone.is_set():
                    await self._put(None)

        self._task = asyncio.create_task(run())

    # What the simulator sees of it: an ASGI connection and its transport.

    async def receive(self) -> Message:
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
            self.status, self.content_type = message["status"], headers.get("content-type", "")
            self.generation_id = headers.get(GENERATION_ID.lower(), "")
            self._started.set()
            return
        if message.get("body"):
            await self._put(message["body"])
        self._is_whole = not message.get("more_body", False)

    def get_extra_info(self, name: str) -> None:
        """There is no socket."""

    def abort(self) -> None:
        self._gone.set()
        self._started.set()
        self._wake()

    # What the gateway sees of it.

    async def headers_have_come(self) -> None:
        """Wait for the status, as long as a provider may be silent."""
        await self._patiently(self._started.wait())
        if not self.status:
            raise errors.ProviderBrokeOff()

    @property
    def has_arrived(self) -> bool:
        return self._is_whole

    async def read(self, limit: int) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise errors.ProviderGarbled("The model provider sent an answer that is too long.")
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._patiently(self._chunks.get())) is not None:
            yield chunk
        if not self._is_whole:
            raise errors.ProviderBrokeOff()

    async def aclose(self) -> None:
        self._gone.set()
        self._wake()
        while not self._chunks.empty():  # so that a simulator that waits for room goes on, and sees that we are gone
            self._chunks.get_nowait()
        self._wake()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=GOODBYE_SECONDS)

    async def _put(self, chunk: bytes | None) -> None:
        if not self._gone.is_set():
            await self._chunks.put(chunk)

    def _wake(self) -> None:
        """End a read that waits."""
        if self._chunks.empty():
            self._chunks.put_nowait(None)

    async def _patiently(self, work: Awaitable[T]) -> T:
        """:raises ProviderTimeout: if it takes longer than the idle timeout, or the call longer than all of it may"""
        until = min(asyncio.get_running_loop().time() + self._idle_timeout, self._deadline)
        try:
            async with asyncio.timeout_at(until):
                return await work
        except TimeoutError as error:
            raise errors.ProviderTimeout() from error


async def _refusal(answer: InProcessAnswer) -> errors.ProviderError:
    """Return the error that an answer of another status than 200 is."""
    try:
        text = parsed(await answer.read(MAX_REFUSAL_BYTES))
    except errors.ProviderError:
        text = None  # the status alone says enough
    error = errors.refusal(answer.status, message_of(text), {})
    error.generation_id = answer.generation_id
    return error


def _scope(path: str, body: bytes) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": f"/api/v1/{path}",
        "query_string": b"",
        "headers": [AUTHORIZATION, (b"content-length", str(len(body)).encode())],
        "client": None,
    }
