"""
The gateway: an ASGI application of its own beside Django, for the paths that call models.

    /v1/chat/completions and the others of PROTOCOLS, /v1/models    OpenAI's and OpenRouter's clients
    the same under /api/v1/, as OpenRouter has them
    /api/ai/chat, /api/ai/image, /api/ai/openrouter/models    the first original's

The hot endpoints are plain ASGI (``ai.relay``) and found by their path; Starlette does the rest.
"""

import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings
from django.utils import timezone
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from accounts.authentication import resolve
from accounts.errors import InternalServerError, MethodNotAllowed, NotFound, PrepaidError
from accounts.requests import accept_request_id
from ai import moderation, own, providers
from ai.authentication import authenticate, throttled
from ai.catalogue import models, openrouter_models
from ai.desk import desk
from ai.http import Receive, Scope, Send
from ai.images import ImageGeneration
from ai.protocols.base import Protocol
from ai.protocols.completions import Completions
from ai.protocols.embeddings import Embeddings
from ai.protocols.errors import flat, openai
from ai.protocols.images import Images
from ai.protocols.messages import Messages
from ai.protocols.openai import ChatCompletions
from ai.protocols.responses import Responses
from ai.protocols.ui_message_stream import UIMessageStream
from ai.relay import Relay
from ai.settlement import drain
from ai.threads import in_database
from billing.batch import TEST_PROVIDER

logger = logging.getLogger(__name__)

PREFIXES = ("/v1/", "/api/v1/", "/api/ai/")


@asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[None]:
    """Start the provider's pool; at the end let open answers be settled, then empty the ledger's queue."""
    provider = providers.current()
    await provider.start()
    await moderation.start()
    gc.collect()
    gc.freeze()  # what has been imported stays: no collection walks through it again
    yield
    deadline = time.monotonic() + settings.SHUTDOWN_DRAIN_SECONDS
    await drain(settings.SHUTDOWN_DRAIN_SECONDS)
    if not desk().queue.close(max(1.0, deadline - time.monotonic())):
        logger.error("The ledger's queue was not empty at the end; the worker resolves what is left.")
    await moderation.close()
    await provider.close()
    await providers.of_call(TEST_PROVIDER).close()


async def on_http_exception(request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException), "registered for these alone"
    if exception.status_code == 404:
        return refused(request, NotFound())
    return refused(request, MethodNotAllowed(headers=dict(exception.headers or {})))


async def on_refusal(request: Request, exception: Exception) -> Response:
    assert isinstance(exception, PrepaidError), "registered for these alone"
    return refused(request, await throttled(exception, request.scope))


async def on_bug(request: Request, exception: Exception) -> Response:
    logger.error("The gateway failed at %s.", request.url.path, exc_info=exception)
    return refused(request, InternalServerError())


def refused(request: Request, error: PrepaidError) -> Response:
    request_id = accept_request_id(request.headers.get("x-request-id"))
    relay = RELAYS.get(request.url.path)
    shape = relay.protocol.error if relay else flat if request.url.path.startswith("/api/ai/") else openai
    headers = {**error.headers, "X-Request-Id": request_id}
    return Response(shape(error, request_id), error.status, headers, "application/json")


async def nothing_to_resume(request: Request) -> Response:
    """Answer ``useChat``, which asks after a reload whether an answer still runs: here none outlives its request."""
    await in_database(resolve, await authenticate(request.scope), now=timezone.now())
    return Response(status_code=204, headers={"X-Request-Id": accept_request_id(request.headers.get("x-request-id"))})


def middleware() -> list[Middleware]:
    if not settings.CORS_ALLOWED_ORIGINS:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.CORS_ALLOWED_ORIGINS,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=settings.CORS_EXPOSE_HEADERS,
        )
    ]


#: A wire format a line, by its path below each of ``ROOTS``.
PROTOCOLS: dict[str, Protocol] = {
    "chat/completions": ChatCompletions(),
    "completions": Completions(),
    "embeddings": Embeddings(),
    "images": Images(),
    "images/generations": Images(),
    "messages": Messages(),
    "responses": Responses(),
}
#: OpenAI's clients call the first, OpenRouter's the second; both are served alike.
ROOTS = ("/v1/", "/api/v1/")

#: What callers are told of themselves.
OWN = {"key": own.key, "credits": own.credits, "generation": own.generation}

RELAYS = {
    **{root + path: Relay(protocol) for root in ROOTS for path, protocol in PROTOCOLS.items()},
    "/api/ai/chat": Relay(UIMessageStream()),
}

starlette = Starlette(
    routes=[
        *(Route(path, relay, methods=["POST"]) for path, relay in RELAYS.items()),
        *(Route(f"{root}models", models) for root in ROOTS),
        *(Route(f"{root}{path}", endpoint) for root in ROOTS for path, endpoint in OWN.items()),
        Route("/api/ai/chat/{id}/stream", nothing_to_resume),
        Route("/api/ai/image", ImageGeneration(), methods=["POST"]),
        Route("/api/ai/openrouter/models", openrouter_models),
    ],
    middleware=middleware(),
    exception_handlers={HTTPException: on_http_exception, PrepaidError: on_refusal, Exception: on_bug},
    lifespan=lifespan,
)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a call to its relay at once. With CORS, and for all else, Starlette's middleware comes first."""
    if scope["type"] == "http" and scope["method"] == "POST" and not settings.CORS_ALLOWED_ORIGINS:
        relay = RELAYS.get(scope["path"])
        if relay is not None:
            await relay(scope, receive, send)
            return
    await starlette(scope, receive, send)
