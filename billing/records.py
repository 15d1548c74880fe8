"""The usage record that a conclusion writes: its columns, and where each comes from."""

from typing import Any

from billing.calls import Call, Receipt, Report
from credits import rows

TABLE = "billing_usagerecord"
COLUMNS = (
    ("hold_id", rows.UUID_),
    ("customer_id", rows.BIGINT),
    ("api_key_id", rows.BIGINT),
    ("request_id", rows.TEXT),
    ("feature", rows.TEXT),
    ("quantity", rows.BIGINT),
    ("price_id", rows.BIGINT),
    ("status", rows.TEXT),
    ("error_code", rows.TEXT),
    ("currency", rows.TEXT),
    ("held", rows.BIGINT),
    ("charged", rows.BIGINT),
    ("shortfall", rows.BIGINT),
    ("provider_cost", rows.TEXT),
    ("provider_cost_picos", rows.BIGINT),
    ("cost_report", rows.TEXT),
    ("provider", rows.TEXT),
    ("model", rows.TEXT),
    ("generation_id", rows.TEXT),
    ("prompt_tokens", rows.BIGINT),
    ("completion_tokens", rows.BIGINT),
    ("cached_tokens", rows.BIGINT),
    ("reasoning_tokens", rows.BIGINT),
    ("streamed", rows.BOOLEAN),
    ("latency_ms", rows.BIGINT),
    ("first_token_ms", rows.BIGINT),
    ("created_at", rows.INSTANT),
    ("day", rows.DATE),
    ("attempts", rows.JSON),
    ("end_user", rows.TEXT),
    ("notes", rows.JSON),
)


#: What the record says of the cost of an answer that was kept: it was paid the first time.
KEPT = "KEPT"


def usage_row(call: Call, report: Report, receipt: Receipt) -> dict[str, Any]:
    """Return the record of a call that has been concluded, as columns by name."""
    is_new = report.kept_percent is None
    return {
        "hold_id": call.hold_id,
        "customer_id": call.customer_id,
        "api_key_id": call.key_id,
        "request_id": call.request_id,
        "feature": call.feature,
        "quantity": report.delivered or call.quantity,
        "price_id": call.terms.price_id,
        "status": report.ending.value,
        "error_code": report.error_code,
        "currency": call.currency,
        "held": call.held,
        "charged": receipt.charged,
        "shortfall": receipt.shortfall,
        "provider_cost": report.cost[:40] if is_new else "0",
        "provider_cost_picos": report.cost_picos if is_new else 0,
        "cost_report": report.cost_report if is_new else KEPT,
        "provider": call.provider,
        "model": (report.model or call.model)[:200],
        "generation_id": report.generation_id[:255],
        "prompt_tokens": report.prompt_tokens,
        "completion_tokens": report.completion_tokens,
        "cached_tokens": report.cached_tokens,
        "reasoning_tokens": report.reasoning_tokens,
        "streamed": call.streamed,
        "latency_ms": report.latency_ms,
        "first_token_ms": report.first_token_ms,
        "created_at": call.admitted_at,
        "day": call.day,
        "attempts": report.attempts or None,
        "end_user": call.end_user,
        "notes": call.notes or None,
    }
