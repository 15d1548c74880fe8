"""Usage as rows of a spreadsheet."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from billing.models import UsageRecord
from credits.amounts import display
from credits.fields import write_instant

RECORDS_A_READ = 1000
HEADER = (
    "id", "timestamp", "day", "feature", "model", "status", "errorCode", "quantity", "creditsUsed",
    "charged", "currency",
    "promptTokens", "completionTokens", "cachedTokens", "reasoningTokens",
    "generationId", "requestId", "keyId", "keyName", "streamed", "latencyMs", "firstTokenMs",
    "endUser",
)  # fmt: skip


def usage_rows(records: QuerySet[UsageRecord]) -> Iterator[tuple[Any, ...]]:
    """Yield a header and a row for each of ``records``."""
    yield HEADER
    for record in _walk(records):
        yield _row(record)


def _walk(records: QuerySet[UsageRecord]) -> Iterator[UsageRecord]:
    """
    Yield ``records``, newest first, a bounded number in memory.

    Each read goes on where the last one ended. A cursor of the database would need a
    transaction for as long as the download takes, and PgBouncer keeps none.
    """
    rest = records
    while page := list(rest[:RECORDS_A_READ]):
        yield from page
        last = page[-1]
        rest = records.filter(created_at__lte=last.created_at).exclude(created_at=last.created_at, pk__gte=last.pk)


def _row(record: UsageRecord) -> tuple[Any, ...]:
    return (
        record.pk,
        write_instant(record.created_at),
        record.day.isoformat(),
        record.feature,
        record.model,
        record.status,
        record.error_code,
        record.quantity,
        display(record.credits_charged),
        display(record.charged),
        record.currency,
        record.prompt_tokens,
        record.completion_tokens,
        record.cached_tokens,
        record.reasoning_tokens,
        record.generation_id,
        record.request_id,
        record.api_key_id,
        record.api_key.name if record.api_key else None,
        "true" if record.streamed else "false",
        record.latency_ms,
        record.first_token_ms,
        record.end_user,
    )
