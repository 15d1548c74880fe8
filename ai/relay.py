"""
The life of a relayed call: admit, call the provider, relay, conclude.

One coroutine serves every protocol; what differs is in ``ai.protocols``.
"""

import hashlib
import logging
from contextlib import aclosing
from functools import lru_cache

import orjson
from django.conf import settings

from accounts.authentication import Credential
from accounts.errors import InternalServerError, MalformedJson, PrepaidError
from accounts.requests import accept_request_id
from ai import errors, kept, leftovers, moderation, providers
from ai.authentication import authenticate, throttled
from ai.desk import desk, session_of
from ai.errors import ProviderBrokeOff, ProviderError
from ai.http import (
    JSON,
    ClientGone,
    Headers,
    Receive,
    Scope,
    Send,
    encode,
    headers_of,
    read_json,
    respond,
    while_client_stays,
)
from ai.labels import untold
from ai.limits import held_back, last_fields
from ai.protocols.base import Protocol, Translator, Wanted
from ai.providers.base import Answer, Provider
from ai.settlement import Settlement
from ai.streaming import Scanner
from billing.admission import CREDITS
from billing.calls import Ending, Receipt
from credits.amounts import display

logger = logging.getLogger(__name__)

EVENTS = "text/event-stream"
LONGEST_ANSWER = 64 * 1024 * 1024
#: Seconds that a client has to read the end of an answer whose provider has taken all its time.
SLOWEST_READER = 30


class Relay:
    """An ASGI endpoint that speaks one protocol."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        request_id = accept_request_id(headers.get("x-request-id"))
        exchange = Exchange(self.protocol, request_id, receive, send)
        try:
            credential = await authenticate(scope)
            exchange.protocol = self.protocol.chosen_by(headers.get("accept", ""), scope["query_string"])
            wanted = exchange.protocol.read(await read_json(headers, receive))
            await exchange.serve(credential, wanted, session_of(headers), headers.get("cache-control", ""))
        except PrepaidError as error:
            await exchange.refuse(await throttled(error, scope))
        except ClientGone:
            return
        except Exception:
            logger.exception("The gateway failed at %s.", scope["path"])
            await exchange.refuse(InternalServerError())


class Exchange:
    """One request and its answer."""

    def __init__(self, protocol: Protocol, request_id: str, receive: Receive, send: Send) -> None:
        self.protocol = protocol
        self._request_id = request_id
        self._receive = receive
        self._send = send
        self._has_started = False
        self._writes = 0
        self._memory: kept.Memory

    async def serve(
        self, credential: Credential, wanted: Wanted, session_id: str | None, cache_control: str = ""
    ) -> None:
        """
        Answer a request that has been read; with ``session_id`` it is paid from that session hold.

        :raises PrepaidError: any refusal, as long as nothing has been sent
        """
        payload = encoded(wanted)
        call = await desk().admit(
            credential,
            wanted,
            provider=providers.current().name,
            request_id=self._request_id,
            session_id=session_id,
            body=payload,
        )
        provider = providers.of_call(call.provider)
        async with Settlement(call, provider) as settlement:
            last = last_fields(wanted, call.limits, opaque_user(call.customer_id))
            body = b"".join((payload, b",", orjson.dumps(last)[1:]) if last else (payload, b"}"))
            self._memory = kept.Memory(call, wanted.path, body, cache_control)
            if wanted.streamed:
                await self._stream(provider, body, wanted, settlement)
            else:
                async with aclosing(await self._open(body, wanted, settlement)) as answer:
                    await self._whole(answer, settlement)

    async def refuse(self, error: PrepaidError) -> None:
        """Answer with ``error``, unless an answer has begun: then it can only be broken off."""
        if self._has_started:
            raise error
        body = self.protocol.error(error, self._request_id)
        await respond(self._send, error.status, body, [JSON, self._id_header(), *encode(error.headers)])

    async def _open(self, body: bytes, wanted: Wanted, settlement: Settlement) -> Answer:
        """Return the answer that was kept, else the provider's to what may be asked."""
        again = await self._memory.recall()
        if again is not None:
            settlement.kept_percent = settings.CACHED_ANSWER_PERCENT
            return again
        await moderation.look_at(wanted.payload)
        return await settlement.attempts.open(wanted.path, body)

    async def _whole(self, answer: Answer, settlement: Settlement) -> None:
        """Relay an answer that comes in one piece: it is settled before it is sent."""
        settlement.generation_id = answer.generation_id
        if not answer.has_arrived:
            await settlement.identify_if_possible()
        body = await answer.read(LONGEST_ANSWER)
        scanner = self.protocol.scanner()
        scanner.read_whole(body)
        if scanner.error is not None:
            error = errors.of_event(scanner.error)
            await settlement.conclude(Ending.FAILED, scanner.usage, delivered=0, error_code=error.code)
            raise error
        settlement.mark_first_byte()
        if scanner.usage is None:
            await self._settle_unmeasured(settlement, Ending.COMPLETED, scanner.delivered, is_whole=True)
        else:
            await settlement.conclude(Ending.COMPLETED, scanner.usage, delivered=scanner.delivered)
            self._memory.hear(body)
            self._memory.keep(answer.content_type)
        await respond(self._send, 200, body, [JSON, *self._call_headers(settlement)])

    async def _stream(self, provider: Provider, body: bytes, wanted: Wanted, settlement: Settlement) -> None:
        """Relay an answer as it comes, as long as the client is there, and settle it by what has come."""
        scanner, translator = self.protocol.scanner(), self.protocol.translator(wanted, self._request_id)
        ending, failure = Ending.COMPLETED, None
        time_to_read = settings.PROVIDER_TOTAL_TIMEOUT + SLOWEST_READER
        answer: Answer | None = None
        try:
            async with while_client_stays(self._receive, time_to_read, lambda: self._writes):
                answer = await self._open(body, wanted, settlement)
                if not answer.content_type.startswith(EVENTS):
                    await self._whole(answer, settlement)
                    return
                await self._begin(answer, settlement)
                await self._pump(answer, scanner, translator, settlement)
        except ClientGone:
            ending = Ending.CANCELLED
            if answer is not None and self._has_started and leftovers.are_worth_reading(provider, scanner):
                settlement.leave_to(self._read_on(answer, scanner, settlement), name=leftovers.NAME)
                answer = None
                return
        except ProviderError as error:
            if not self._has_started:
                raise
            failure = error
        else:
            failure = None if scanner.has_ended else ProviderBrokeOff()
        finally:
            if answer is not None:
                await answer.aclose()

        receipt = await self._settle_stream(scanner, settlement, ending, failure)
        if ending is Ending.COMPLETED:
            if failure is None and scanner.error is None and scanner.usage is not None:
                self._memory.keep(EVENTS)
            last = translator.finish(receipt) if failure is None else translator.fail(failure)
            await self._send({"type": "http.response.body", "body": last})

    async def _begin(self, answer: Answer, settlement: Settlement) -> None:
        settlement.generation_id = answer.generation_id
        await settlement.identify()
        headers = [*self.protocol.stream_headers, *self._call_headers(settlement)]
        self._has_started = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _pump(self, answer: Answer, scanner: Scanner, translator: Translator, settlement: Settlement) -> None:
        """Send each read on before the next is taken, so that a slow client slows the provider and fills no memory."""
        async for chunk in answer.chunks():
            settlement.mark_first_byte()
            scanner.feed(chunk)
            self._memory.hear(chunk)
            if scanner.error is not None and (ours := errors.in_place_of(scanner.error)):
                raise ours
            translated = translator.feed(chunk)
            if translated:
                self._writes += 1
                await self._send({"type": "http.response.body", "body": translated, "more_body": True})
                self._writes += 1
        scanner.close()

    async def _read_on(self, answer: Answer, scanner: Scanner, settlement: Settlement) -> None:
        await leftovers.read(answer, scanner)
        await self._settle_stream(scanner, settlement, Ending.CANCELLED, None)

    async def _settle_stream(
        self, scanner: Scanner, settlement: Settlement, ending: Ending, failure: ProviderError | None
    ) -> Receipt | None:
        """Settle what was relayed by the usage that came with it, else by the provider's own record."""
        error = failure or (ProviderError() if scanner.error is not None else None)
        error_code = error.code if error else ""
        usage = scanner.usage
        if usage is None:
            is_whole = scanner.is_done and error is None
            return await self._settle_unmeasured(
                settlement, ending, scanner.delivered, is_whole=is_whole, error_code=error_code
            )
        was_given_up = scanner.error is not None and not usage.cost
        delivered = 0 if was_given_up else scanner.delivered
        return await settlement.conclude(ending, usage, delivered=delivered, error_code=error_code)

    async def _settle_unmeasured(
        self, settlement: Settlement, ending: Ending, delivered: int | None, *, is_whole: bool, error_code: str = ""
    ) -> Receipt | None:
        """
        Settle an answer that came without its usage: the provider is asked, if it named the generation.

        If it did not, all that will ever be known is whether the answer was whole, or has not begun.
        """
        if settlement.generation_id:
            await settlement.ask_later(error_code, most_units=delivered if is_whole else None)
            return None
        if is_whole:
            units = settlement.call.quantity if delivered is None else delivered
            return await settlement.conclude(ending, None, delivered=units)
        if not self._has_started:
            return await settlement.conclude(ending, None, delivered=0, error_code=error_code)
        logger.warning("What hold %s was used for nobody will know: it is our loss.", settlement.call.hold_id)
        return await settlement.conclude(Ending.UNKNOWN, None, delivered=0, error_code=error_code or "no_usage")

    def _call_headers(self, settlement: Settlement) -> Headers:
        headers = [self._id_header(), (b"x-credits-held", display(settlement.call.held).encode())]
        headers += encode(settlement.call.pace)
        headers += encode(self._memory.headers())
        if settlement.call.currency != CREDITS:
            headers.append((b"x-credits-currency", settlement.call.currency.encode()))
        limits = settlement.call.limits
        if limits is not None and limits.is_clamped:
            headers.append((b"x-max-tokens-clamped", b"%d" % limits.max_tokens))
        if settlement.generation_id:
            headers.append((b"x-generation-id", settlement.generation_id.encode("latin-1", "ignore")))
        if settlement.receipt is not None:
            headers.append((b"x-credits-charged", display(settlement.receipt.charged).encode()))
        return headers

    def _id_header(self) -> tuple[bytes, bytes]:
        return (b"x-request-id", self._request_id.encode())


def encoded(wanted: Wanted) -> memoryview:
    """
    Return the payload as JSON without its last brace and without what is told when the hold is known.

    :raises MalformedJson: if it is nested more deeply than can be written
    """
    try:
        later = held_back(wanted)
        body = orjson.dumps({name: value for name, value in untold(wanted.payload).items() if name not in later})
    except TypeError as error:
        raise MalformedJson("The body is nested too deeply.") from error
    return memoryview(body)[:-1]


@lru_cache(maxsize=4096)
def opaque_user(customer_id: int) -> str:
    """What the provider is told instead of who it is: the same for all calls of a customer, and nothing more."""
    return hashlib.blake2b(str(customer_id).encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16).hexdigest()
