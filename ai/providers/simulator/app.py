"""The simulator's routes: OpenRouter's under ``/api/v1``, its own under ``/_simulator``."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from ai.providers.simulator import catalogue
from ai.providers.simulator.answering import Answering, Refused
from ai.providers.simulator.books import Booking, Books
from ai.providers.simulator.faults import Faults, Rule, Rules, read_text, split_model
from ai.providers.simulator.formats import FORMATS
from ai.providers.simulator.line import HungUp, Line, openrouters_error

KEPT_REQUESTS = 500


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the simulated provider, read and checked so far."""

    line: Line
    query: dict[str, str]
    body: dict[str, Any]
    model: str


class Simulator:
    """One simulated provider: its books, the faults set, and the requests it has received."""

    def __init__(
        self, *, pace_ms: int, generation_ms: int, kept_requests: int = KEPT_REQUESTS, most_chunks: int | None = None
    ) -> None:
        self.pace_ms = pace_ms
        self.generation_ms = generation_ms
        self.books = Books()
        self.rules = Rules()
        self.requests: deque[dict[str, Any]] = deque(maxlen=kept_requests)
        self.most_chunks = most_chunks

    def read(self, path: str, raw: bytes) -> tuple[dict[str, Any], str, Faults]:
        """
        Return a request's body, its model without faults, and the faults that it meets.

        :raises ValueError: if the body is no JSON object, or asks for an unknown fault
        """
        body = orjson.loads(raw) if raw else {}
        if not isinstance(body, dict):
            raise ValueError("The body must be a JSON object.")
        candidates = [body.get("model"), *_listed(body.get("models"))]
        named = [split_model(name) for name in candidates if isinstance(name, str)] or [("", {})]
        metadata = body.get("metadata")
        told = metadata.get("simulate") if isinstance(metadata, dict) else None
        for model, own in named:
            faults = Faults.parse(
                {
                    **self.rules.take(path, model),
                    **(read_text(told) if isinstance(told, str) else {}),
                    **own,
                }
            )
            if not faults.status:  # a model that refuses falls back to the next of `models`
                break
        most = self.most_chunks
        if most is not None and max(faults.chunks or 0, faults.images or 0) > most:
            raise ValueError(f"At most {most} chunks or images are simulated here.")
        return body, model, faults

    async def answer(self, form: type[Answering], call: Call) -> None:
        """Answer in one of the wire formats."""
        if call.model not in catalogue.BY_ID:
            await call.line.error(400, f"{call.model or 'undefined'} is not a valid model ID")
            return
        try:
            answering = form(
                line=call.line,
                books=self.books,
                body=call.body,
                model=call.model,
                pace_ms=self.pace_ms,
                generation_ms=self.generation_ms,
            )
        except Refused as refused:
            await call.line.error(refused.status, refused.message)
        else:
            await answering.answer()

    async def models(self, call: Call) -> None:
        found = catalogue.with_outputs(call.query.get("output_modalities", ""))
        await call.line.json(200, {"data": found, "total_count": len(found)})

    async def generation(self, call: Call) -> None:
        generation_id = call.query.get("id", "")
        booking = self.books.find(generation_id)
        if booking is None or not booking.is_known:
            await call.line.error(404, f"Generation {generation_id} not found")
        else:
            await call.line.json(200, {"data": _record(booking)})

    async def key(self, call: Call) -> None:
        used = orjson.Fragment(f"{self.books.total():f}")
        limits = {"limit": None, "limit_remaining": None, "limit_reset": None, "expires_at": None}
        data = {"label": "sk-or-v1-sim...ulated", "usage": used, "is_free_tier": False, "is_management_key": False}
        await call.line.json(200, {"data": {**data, **limits}})

    async def credits(self, call: Call) -> None:
        used = orjson.Fragment(f"{self.books.total():f}")
        await call.line.json(200, {"data": {"total_credits": 1000, "total_usage": used}})


class Endpoint:
    """A route of the provider: remembers the request, asks for a key, lets the faults strike, answers."""

    def __init__(self, simulator: Simulator, path: str, answer: Callable[[Call], Awaitable[None]]) -> None:
        self.simulator = simulator
        self.path = path
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            raw = await request.body()
        except ClientDisconnect:
            return
        self.simulator.requests.append(_remembered(request, raw))
        problem = ""
        try:
            body, model, faults = self.simulator.read(self.path, raw)
        except ValueError as error:
            body, model, faults, problem = {}, "", Faults(), str(error)
        form = FORMATS.get(self.path)
        line = Line(receive, send, faults, refusal=form.refusal if form else openrouters_error)
        try:
            if not request.headers.get("Authorization", "").removeprefix("Bearer").strip():
                await line.error(401, "No auth credentials found")
            elif problem:
                await line.error(400, problem)
            elif faults.status:
                await line.error(faults.status, faults.message or "The simulated model refuses.", provider_name="Sim")
            elif faults.garbage:
                await line.garbage()
            else:
                await self.answer(Call(line, dict(request.query_params), body, model))
        except HungUp:
            return
        finally:
            line.hang_up()


def answers_of(simulator: Simulator) -> dict[str, tuple[str, Callable[[Call], Awaitable[None]]]]:
    """The provider's paths, each with its method and what answers it."""
    return {
        **{path: ("POST", partial(simulator.answer, form)) for path, form in FORMATS.items()},
        "models": ("GET", simulator.models),
        "generation": ("GET", simulator.generation),
        "key": ("GET", simulator.key),
        "credits": ("GET", simulator.credits),
    }


def create_app(*, pace_ms: int = 20, generation_ms: int = 0) -> Starlette:
    """
    Return a simulated OpenRouter as an ASGI application, with empty books.

    ``pace_ms`` is the time between chunks, ``generation_ms`` the time from the end of an
    answer until ``GET /generation`` knows of it. Faults: ``ai.providers.simulator.faults``.
    """
    simulator = Simulator(pace_ms=pace_ms, generation_ms=generation_ms)

    async def set_faults(request: Request) -> Response:
        try:
            simulator.rules.add(Rule(**orjson.loads(await request.body())))
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return Response(status_code=204)

    async def books(request: Request) -> Response:
        return JSONResponse(simulator.books.entries())

    async def requests(request: Request) -> Response:
        return JSONResponse(list(simulator.requests))

    async def reset(request: Request) -> Response:
        simulator.books.clear()
        simulator.rules.clear()
        simulator.requests.clear()
        return Response(status_code=204)

    provider = [
        Route(f"/{path}", Endpoint(simulator, path, answer), methods=[method])
        for path, (method, answer) in answers_of(simulator).items()
    ]
    control = [
        Route("/faults", set_faults, methods=["POST"]),
        Route("/books", books),
        Route("/requests", requests),
        Route("/reset", reset, methods=["POST"]),
    ]
    return Starlette(routes=[Mount("/api/v1", routes=provider), Mount("/_simulator", routes=control)])


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _remembered(request: Request, raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw) if raw else None
    except ValueError:
        body = raw.decode("utf-8", "replace")
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw]
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    client = f"{request.client.host}:{request.client.port}" if request.client else ""
    return {"method": request.method, "path": path, "headers": headers, "body": body, "client": client}


def _record(booking: Booking) -> dict[str, Any]:
    cost = orjson.Fragment(booking.cost_text)
    return {
        "id": booking.id,
        "model": booking.model,
        "provider_name": catalogue.upstream(booking.model),
        "created_at": booking.created,
        "total_cost": cost,
        "usage": cost,
        "is_byok": False,
        "upstream_inference_cost": None,
        "cache_discount": None,
        "streamed": booking.streamed,
        "cancelled": booking.status == "CANCELLED",
        "finish_reason": booking.finish_reason,
        "native_finish_reason": booking.finish_reason,
        "tokens_prompt": booking.prompt_tokens,
        "tokens_completion": booking.completion_tokens,
        "native_tokens_prompt": booking.prompt_tokens,
        "native_tokens_completion": booking.completion_tokens,
        "native_tokens_reasoning": 0,
        "native_tokens_cached": 0,
        "native_tokens_completion_images": booking.images * catalogue.IMAGE_TOKENS,
        "external_user": booking.user or None,
        "latency": None,
        "generation_time": None,
    }
