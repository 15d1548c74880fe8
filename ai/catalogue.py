"""The models that clients can choose from: the provider's own list, kept for a minute."""

import time
from typing import Any

from django.utils import timezone
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts import principals
from accounts.requests import accept_request_id
from ai import providers
from ai.authentication import authenticate
from ai.http import invalid
from ai.threads import in_database, in_thread

LIST_LIFETIME_SECONDS = 60
MODALITIES = {"", "all", "audio", "embeddings", "image", "text", "video"}
_kept: dict[str, tuple[float, list[dict[str, Any]]]] = {}


async def models(request: Request) -> Response:
    """OpenAI's and OpenRouter's list: the provider's entries, each with the keys that OpenAI's clients read."""
    await _check_caller(request)
    modality = request.query_params.get("output_modalities", "")
    if modality not in MODALITIES:
        raise invalid(
            "query.output_modalities", f"Choose one of {', '.join(sorted(MODALITIES - {''}))}.", "INVALID_CHOICE"
        )
    listed = await _list(modality)
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
    await _check_caller(request)
    unknown = next((name for name in request.query_params if name != "capability"), None)
    if unknown is not None:
        raise invalid("query", f'Unrecognized key: "{unknown[:100]}"', "UNRECOGNIZED_KEYS")
    capability = request.query_params.get("capability", "")
    if capability not in {"", "image", "text"}:
        raise invalid("query.capability", "capability is image or text.", "INVALID_CHOICE")
    listed = await _list(capability)
    options = [{"id": model["id"], "label": model.get("name") or model["id"]} for model in listed if model.get("id")]
    return _answer(request, {"models": options})


async def _check_caller(request: Request) -> None:
    """
    :raises PrepaidError: if the caller is unknown, revoked, expired or suspended
    """
    credential = await authenticate(request.scope)
    if credential.key_digest:
        await in_database(principals.principal_of_key, credential.key_digest, now=timezone.now())
    else:
        await in_database(principals.principal_of_person, credential.external_id, impersonated=credential.impersonated)


async def _list(output_modalities: str) -> list[dict[str, Any]]:
    kept = _kept.get(output_modalities)
    if kept is None or kept[0] < time.monotonic():
        filters = {"output_modalities": output_modalities} if output_modalities else {}
        listed = await in_thread(providers.current().models, **filters)
        kept = _kept[output_modalities] = (time.monotonic() + LIST_LIFETIME_SECONDS, listed)
    return kept[1]


def _answer(request: Request, body: dict[str, Any]) -> Response:
    request_id = accept_request_id(request.headers.get("x-request-id"))
    return JSONResponse(body, headers={"X-Request-Id": request_id, "Cache-Control": "private, max-age=60"})
