"""The catalogue of models: kept in the database, so that prices are known while the provider is away."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.models import ListedModel

LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many models are listed, how many of them are new, and how many are listed no more."""

    listed: int
    new: int
    gone: int


@transaction.atomic
def keep(entries: Iterable[Mapping[str, Any]], *, now: datetime) -> Refreshed:
    """
    Replace the catalogue by ``entries``, in OpenRouter's shape. One without a usable id is left out.

    :raises ValueError: if none is left: an empty catalogue would stop every metered sale
    """
    rows: dict[str, ListedModel] = {}
    for entry in entries:
        id_ = entry.get("id")
        if isinstance(id_, str) and 0 < len(id_) <= LONGEST_ID and id_.isprintable():
            plain = json.loads(json.dumps(entry, default=str))
            rows[id_] = ListedModel(
                id=id_, entry=plain, rates=rates_text(plain), is_listed=True, position=len(rows), refreshed_at=now
            )
    if not rows:
        raise ValueError("The provider's list has no models. The catalogue stays as it is.")
    known = set(ListedModel.objects.filter(is_listed=True).values_list("pk", flat=True))
    gone = ListedModel.objects.filter(is_listed=True).exclude(pk__in=rows).update(is_listed=False)
    ListedModel.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["entry", "rates", "is_listed", "position", "refreshed_at"],
    )
    return Refreshed(len(rows), len(rows.keys() - known), gone)


def rates_text(entry: Mapping[str, Any]) -> str:
    """Return what of an entry ``billing.rates`` computes with, as JSON."""
    architecture, top = _part(entry, "architecture"), _part(entry, "top_provider")
    return json.dumps(
        {
            "id": entry["id"],
            "pricing": dict(_part(entry, "pricing")),
            "context_length": _count(entry.get("context_length")) or _count(top.get("context_length")),
            "max_completion_tokens": _count(top.get("max_completion_tokens")),
            "input_modalities": architecture.get("input_modalities"),
            "output_modalities": architecture.get("output_modalities"),
        }
    )


def listed_models() -> list[dict[str, Any]]:
    """Return the entries of the models that are listed, in the provider's order."""
    return list(ListedModel.objects.filter(is_listed=True).values_list("entry", flat=True))


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = entry.get(name)
    return part if isinstance(part, Mapping) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
