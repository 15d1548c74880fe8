"""What happens around every request that Django answers."""

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import bind_contextvars, clear_contextvars

from accounts.requests import accept_request_id

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def request_id(get_response: Handler) -> Handler:
    """Give each request an id: as ``request.request_id``, in every log line, and on the response."""

    def begin(request: HttpRequest) -> str:
        accepted = accept_request_id(request.META.get("HTTP_X_REQUEST_ID"))
        request.request_id = accepted  # type: ignore[attr-defined]
        # Not unbound at the end: Django logs a refusal after the last middleware.
        clear_contextvars()
        bind_contextvars(request_id=accepted)
        return accepted

    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            accepted = begin(request)
            response = await cast(Awaitable[HttpResponseBase], get_response(request))
            response["X-Request-Id"] = accepted
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        accepted = begin(request)
        response = cast(HttpResponseBase, get_response(request))
        response["X-Request-Id"] = accepted
        return response

    return answer
