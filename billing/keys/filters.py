"""What narrows and orders a list of keys."""

from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Lower
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.strict import PlainTextField
from credits.filters import Filter

STATES = {
    "active": lambda now: Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now)),
    "expired": lambda now: Q(revoked_at=None, expires_at__lte=now),
    "revoked": lambda now: Q(revoked_at__isnull=False),
}
STATUSES = [(state, state) for state in STATES]
ORDERS = {
    "-createdAt": F("pk").desc(),
    "createdAt": F("pk").asc(),
    "name": Lower("name").asc(),
    "-name": Lower("name").desc(),
    "-lastUsedAt": F("last_used_at").desc(nulls_last=True),
    "lastUsedAt": F("last_used_at").asc(nulls_first=True),
}


class KeyFilter(Filter):
    status = serializers.ChoiceField(STATUSES, required=False, help_text="In this state only.")
    mode = serializers.ChoiceField(ApiKey.Mode.choices, required=False, help_text="Of this mode only.")
    search = PlainTextField(
        max_length=100, required=False, help_text="A part of the name in any case, or the last four characters."
    )
    sort = serializers.ChoiceField([*ORDERS], default="-createdAt", help_text="A `-` in front turns the order around.")


def narrowed(keys: QuerySet[ApiKey], wanted: dict[str, Any], *, now: datetime) -> QuerySet[ApiKey]:
    """Keep the keys that ``wanted`` (of a ``KeyFilter``) asks for, in its order."""
    if "status" in wanted:
        keys = keys.filter(STATES[wanted["status"]](now))
    if "mode" in wanted:
        keys = keys.filter(mode=wanted["mode"])
    if "search" in wanted:
        keys = keys.filter(Q(name__icontains=wanted["search"]) | Q(last_four=wanted["search"]))
    return keys.order_by(ORDERS[wanted["sort"]], "-pk")
