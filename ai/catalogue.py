"""The models that clients can choose from: the provider's own list, kept for a minute."""

import time
from typing import Any

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

LIST_LIFETIME_SECONDS = 60
MODALITIES = {"all", "audio", "embeddings", "image", "text", "video"}
CAPABILITIES = {"image", "text"}
_kept: dict[str, tuple[float, list[dict[str, Any]]]] = {}


async def models(request: Request) -> Response:
    """OpenAI's and OpenRouter's list: the provider's entries, each with the keys that OpenAI's clients read."""
    caller = await _caller(request)
    modality = _chosen(request, "output_modalities", MODALITIES)
    listed = allowed_to(caller, await _list(caller, modality))
    data = [
        {
            **model,
            "object": "model",
            "created": model.get("created") or 0,
            "owned_by": str(model.get("id", "")).partition("/")[0],
        }
        for model in listed
    ]
    return _answer(request, {"object": "list", "data": data})


async def openrouter_models(request: Request) -> Response:
    """The first original's list for its model picker: ``{models: [{id, label}]}``."""
    caller = await _caller(request)
    unknown = next((name for name in request.query_params if name != "capability"), None)
    if unknown is not None:
        raise invalid("query", f'Unrecognized key: "{unknown[:100]}"', "UNRECOGNIZED_KEYS")
    capability = _chosen(request, "capability", CAPABILITIES)
    listed = allowed_to(caller, await _list(caller, capability))
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


async def _list(caller: Principal, output_modalities: str) -> list[dict[str, Any]]:
    if caller.mode == ApiKey.Mode.TEST:
        return providers.of_call(TEST_PROVIDER).models(output_modalities=output_modalities)
    kept = _kept.get(output_modalities)
    if kept is None or kept[0] < time.monotonic():
        filters = {"output_modalities": output_modalities} if output_modalities else {}
        listed = await in_thread(providers.current().models, **filters)
        kept = _kept[output_modalities] = (time.monotonic() + LIST_LIFETIME_SECONDS, listed)
    return kept[1]


def allowed_to(caller: Principal, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the models that the caller's key is for."""
    patterns = caller.api_key.allowed_models if caller.api_key is not None else ""
    if not patterns:
        return listed
    return [model for model in listed if permits.model_is_allowed(patterns, str(model.get("id", "")))]


def _answer(request: Request, body: dict[str, Any]) -> Response:
    request_id = accept_request_id(request.headers.get("x-request-id"))
    return JSONResponse(body, headers={"X-Request-Id": request_id, "Cache-Control": "private, max-age=60"})
