"""
The models that clients can choose from: the catalogue of the database, with what they cost here.

The provider is asked only while there is none yet: the worker refreshes it.
"""

import time
from typing import Any

from django.conf import settings
from django.utils import timezone
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.authentication import resolve
from accounts.models import ApiKey
from accounts.principals import Principal
from accounts.requests import accept_request_id
from ai import providers
from ai.authentication import authenticate
from ai.http import invalid
from ai.threads import in_database, in_thread
from billing import permits
from billing.batch import TEST_PROVIDER
from billing.listing import keep, listed_models
from billing.prices import PriceList
from billing.services import prices_in_force
from billing.shelf.filters import ALL, BadFilter, Filters, read
from billing.shelf.tags import tags

LIST_LIFETIME_SECONDS = 60
CAPABILITIES = {"image", "text"}
_kept: dict[str, tuple[float, list[dict[str, Any]]]] = {}


async def models(request: Request) -> Response:
    """OpenAI's and OpenRouter's list: the provider's entries, with the keys of OpenAI's clients and our prices."""
    caller = await _caller(request)
    try:
        filters = read(request.query_params)
    except BadFilter as error:
        raise invalid(f"query.{error.name}", str(error), "INVALID") from error
    page, total = filters.apply(allowed_to(caller, await _list(caller)))
    prices: PriceList = await in_database(prices_in_force, timezone.now(), [caller.customer.pk])
    data = [
        {
            **model,
            "object": "model",
            "created": model.get("created") or 0,
            "owned_by": str(model.get("id", "")).partition("/")[0],
            "prices": tags(model, prices, customer_id=caller.customer.pk),
        }
        for model in page
    ]
    # OpenRouter's own client refuses a list that does not say where the next part is, or that there is none.
    body = {"object": "list", "data": data, "total_count": total, "links": {"next": None}}
    if filters.limit is not None and filters.offset + filters.limit < total:
        following = request.url.include_query_params(offset=filters.offset + filters.limit)
        body["links"] = {"next": f"{following.path}?{following.query}"}
    return _answer(request, body)


async def openrouter_models(request: Request) -> Response:
    """The first original's list for its model picker: ``{models: [{id, label}]}``."""
    caller = await _caller(request)
    unknown = next((name for name in request.query_params if name != "capability"), None)
    if unknown is not None:
        raise invalid("query", f'Unrecognized key: "{unknown[:100]}"', "UNRECOGNIZED_KEYS")
    capability = _chosen(request, "capability", CAPABILITIES)
    filters = Filters(outputs=frozenset({capability} - {""}))
    listed, _ = filters.apply(allowed_to(caller, await _list(caller)))
    options = [{"id": model["id"], "label": model.get("name") or model["id"]} for model in listed if model.get("id")]
    return _answer(request, {"models": options})


def _chosen(request: Request, name: str, choices: set[str]) -> str:
    """Return which of ``choices`` the parameter ``name`` is; empty where it is left out, which empty text is not."""
    chosen = request.query_params.get(name)
    if chosen is not None and chosen not in choices:
        raise invalid(f"query.{name}", f"Choose one of {', '.join(sorted(choices))}.", "INVALID_CHOICE")
    return chosen or ""


async def _caller(request: Request) -> Principal:
    """
    Return who asks.

    :raises PrepaidError: if they are unknown, revoked, expired or suspended
    """
    return await in_database(resolve, await authenticate(request.scope), now=timezone.now())


async def _list(caller: Principal) -> list[dict[str, Any]]:
    """All models: the simulator's for a test key, else the catalogue, which is read once a minute."""
    name = TEST_PROVIDER if caller.mode == ApiKey.Mode.TEST else providers.current().name
    kept = _kept.get(name)
    if kept is None or kept[0] < time.monotonic():
        if name == TEST_PROVIDER:
            listed = providers.of_call(name).models(output_modalities=ALL)
        else:
            listed = await in_database(listed_models) or await _first_list()
        kept = _kept[name] = (time.monotonic() + LIST_LIFETIME_SECONDS, listed)
    return kept[1]


async def _first_list() -> list[dict[str, Any]]:
    """
    Read the provider's list and keep it, as a worker would have.

    :raises ProviderError: if it cannot be read
    """
    listed: list[dict[str, Any]] = await in_thread(providers.current().models, output_modalities=ALL)
    if listed:
        await in_database(keep, listed, now=timezone.now())
    return await in_database(listed_models)


def allowed_to(caller: Principal, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the models that the installation, the caller's customer and their key are all for."""
    key = caller.api_key.allowed_models if caller.api_key is not None else ""
    for patterns in (" ".join(settings.ALLOWED_MODELS), caller.customer.allowed_models, key):
        if patterns:
            listed = [model for model in listed if permits.model_is_allowed(patterns, str(model.get("id", "")))]
    return listed


def _answer(request: Request, body: dict[str, Any]) -> Response:
    request_id = accept_request_id(request.headers.get("x-request-id"))
    return JSONResponse(body, headers={"X-Request-Id": request_id, "Cache-Control": "private, max-age=60"})
