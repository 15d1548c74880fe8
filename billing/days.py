"""The daily roll-up: usage records as they are written, and erased, added up by ``KEY``."""

from collections.abc import Iterable, Mapping
from typing import Any

from billing.models import UsageRecord
from credits import rows

TABLE = "billing_usageday"
KEY = (
    ("customer_id", rows.BIGINT),
    ("day", rows.DATE),
    ("currency", rows.TEXT),
    ("feature", rows.TEXT),
    ("model", rows.TEXT),
    ("key_id", rows.BIGINT),
)
#: What a record has of its own.
MEASURES = (
    ("charged", rows.BIGINT),
    ("provider_cost_picos", rows.BIGINT),
    ("prompt_tokens", rows.BIGINT),
    ("completion_tokens", rows.BIGINT),
    ("cached_tokens", rows.BIGINT),
    ("reasoning_tokens", rows.BIGINT),
)
SUMS = (("calls", rows.BIGINT), ("failed_calls", rows.BIGINT), ("erased_calls", rows.BIGINT), *MEASURES)
FAILED = frozenset({UsageRecord.Status.FAILED.value, UsageRecord.Status.UNKNOWN.value})

Record = Mapping[str, Any]


def add(records: Iterable[Record]) -> rows.Change:
    """Add new usage records, as columns by name, to their days."""
    return _upsert(
        (
            record,
            {
                "calls": 1,
                "failed_calls": int(record["status"] in FAILED),
                **{name: record[name] or 0 for name, _ in MEASURES},
            },
        )
        for record in records
    )


def mark_erased(records: Iterable[Record]) -> rows.Change:
    """Count records that are being erased. Their sums stay."""
    return _upsert((record, {"erased_calls": 1}) for record in records)


def _upsert(parts: Iterable[tuple[Record, Mapping[str, int]]]) -> rows.Change:
    """One row a key, in the order of the keys: everybody locks them in that."""
    totals: dict[tuple[Any, ...], dict[str, int]] = {}
    for record, amounts in parts:
        key = (*(record[name] for name, _ in KEY[:-1]), record["api_key_id"] or 0)
        total = totals.setdefault(key, {name: 0 for name, _ in SUMS})
        for name, amount in amounts.items():
            total[name] += amount
    names = [name for name, _ in KEY]
    return rows.upsert(
        TABLE, KEY, SUMS, [{**dict(zip(names, key, strict=True)), **totals[key]} for key in sorted(totals)]
    )
