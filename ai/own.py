"""
The caller's own, as OpenRouter has them: ``/key``, ``/credits`` and ``/generation``.

Amounts are what the caller is charged, in the currency that is named, and exact: JSON numbers, but never floats here.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from django.utils import timezone
from starlette.requests import Request
from starlette.responses import Response

from accounts.authentication import resolve
from accounts.errors import NotFound, PermissionDenied
from accounts.models import ApiKey
from accounts.principals import Principal
from accounts.requests import accept_request_id
from accounts.roles import Capability
from ai.authentication import authenticate
from ai.http import invalid
from ai.threads import in_database
from billing import standing
from billing.models import UsageRecord
from credits.amounts import display
from credits.models import currency_of

RESETS = {ApiKey.Period.DAY: "daily", ApiKey.Period.WEEK: "weekly", ApiKey.Period.MONTH: "monthly"}
LONGEST_ID = 255
#: What OpenRouter tells of a generation, and nobody here knows.
UNKNOWN = (
    "api_type", "app_id", "cache_discount", "external_user", "finish_reason", "http_referer", "moderation_latency",
    "native_finish_reason", "native_tokens_completion_images", "num_fetches", "num_input_audio_prompt",
    "num_media_completion", "num_media_prompt", "num_search_results", "preset_id", "provider_name",
    "provider_responses", "router", "service_tier", "session_id", "upstream_id", "upstream_inference_cost",
    "user_agent", "web_search_engine", "workspace_id",
)  # fmt: skip


async def key(request: Request) -> Response:
    """What is known of the key that asks: its budget, and what it has spent."""
    return await _answer(request, _key)


async def credits(request: Request) -> Response:
    """What the customer has had, and used of it."""
    return await _answer(request, _credits, needs=Capability.READ)


async def generation(request: Request) -> Response:
    """What became of one of the customer's calls."""
    id_ = request.query_params.get("id", "")
    if not 0 < len(id_) <= LONGEST_ID or not (id_.isascii() and id_.isprintable()):
        raise invalid("query.id", "Name a generation, as X-Generation-Id told it.", "INVALID")
    return await _answer(request, lambda caller, now: _generation(caller, id_), needs=Capability.READ)


async def _answer(
    request: Request, told: Callable[[Principal, datetime], dict[str, Any]], *, needs: Capability | None = None
) -> Response:
    """
    Answer with ``{"data": told}``.

    :raises PrepaidError: if the caller is unknown, revoked, expired or suspended, or may not do what it ``needs``
    """
    now, credential = timezone.now(), await authenticate(request.scope)

    def work() -> dict[str, Any]:
        caller = resolve(credential, now=now)
        if needs is not None and needs not in caller.capabilities:
            raise PermissionDenied("This credential lacks the scope 'read'.")
        return told(caller, now)

    body = orjson.dumps({"data": await in_database(work)})
    request_id = accept_request_id(request.headers.get("x-request-id"))
    headers = {"X-Request-Id": request_id, "Cache-Control": "private, no-cache"}
    return Response(body, headers=headers, media_type="application/json")


def _key(caller: Principal, now: datetime) -> dict[str, Any]:
    own, customer = caller.api_key, caller.customer
    spent = standing.spent_by(own, customer, now=now)
    budget = own.budget if own is not None else None
    left = None if budget is None or own is None else max(0, budget - spent.of(own.budget_period))
    rate = own.requests_per_minute if own is not None else None
    return {
        "label": own.masked if own is not None else (caller.user.email if caller.user is not None else ""),
        "currency": currency_of(caller.mode),
        "limit": _amount(budget),
        "limit_remaining": _amount(left),
        "limit_reset": RESETS[ApiKey.Period(own.budget_period)] if budget is not None and own is not None else None,
        "usage": _amount(spent.ever),
        "usage_daily": _amount(spent.today),
        "usage_weekly": _amount(spent.this_week),
        "usage_monthly": _amount(spent.this_month),
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "include_byok_in_limit": False,
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "creator_user_id": None if own is None or own.created_by_id is None else str(own.created_by_id),
        "expires_at": None if own is None or own.expires_at is None else own.expires_at,
        "rate_limit": {"requests": rate or -1, "interval": "1m", "note": "OpenRouter's clients may read this."},
    }


def _credits(caller: Principal, now: datetime) -> dict[str, Any]:
    had, used = standing.had_and_used(caller.customer, mode=caller.mode, now=now)
    return {"total_credits": _amount(had), "total_usage": _amount(used), "currency": currency_of(caller.mode)}


def _generation(caller: Principal, id_: str) -> dict[str, Any]:
    record = standing.call_of(id_, caller.customer, mode=caller.mode)
    if record is None:
        raise NotFound("None of your calls that have ended was this generation.")
    charged, cancelled = _amount(record.charged), record.status == UsageRecord.Status.CANCELLED
    return {
        **dict.fromkeys(UNKNOWN),
        "id": record.generation_id,
        "model": record.model,
        "created_at": record.created_at,
        "request_id": record.request_id,
        "total_cost": charged,
        "usage": charged,
        "currency": record.currency,
        "is_byok": False,
        "streamed": record.streamed,
        "cancelled": cancelled,
        "latency": record.first_token_ms,
        "generation_time": record.latency_ms,
        "tokens_prompt": record.prompt_tokens,
        "tokens_completion": record.completion_tokens,
        "native_tokens_prompt": record.prompt_tokens,
        "native_tokens_completion": record.completion_tokens,
        "native_tokens_cached": record.cached_tokens,
        "native_tokens_reasoning": record.reasoning_tokens,
        "origin": "",
        "data_region": "global",
    }


def _amount(units: int | None) -> orjson.Fragment | None:
    return None if units is None else orjson.Fragment(display(units))
