"""What people may see of a kept event: its structure, ids, states, amounts and instants, and nobody's data."""

import json
import re
from typing import Any

from accounts.errors import MalformedJson
from accounts.parsers import parse_json
from webhooks.models import InboundEvent

MASK = "•••"
#: Text is hidden unless its name is here or ends in ``_id``, and then still must look like an id or a word.
SHOWN = frozenset({
    "api_version", "balance_transaction", "billing_reason", "charge", "charge_type", "collection_method", "currency",
    "customer", "event", "gateway_type", "id", "interval", "invoice", "mode", "object", "payment_intent",
    "payment_method", "payment_status", "plan", "plan_period", "price", "product", "reason", "setup_intent", "slug",
    "status", "strategy", "subscription", "subscription_item", "type",
})  # fmt: skip
#: Ids that somebody else has chosen: a mail address, more often than not.
CHOSEN_BY_OTHERS = frozenset({"external_id", "client_reference_id"})
HARMLESS = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
SECRET = re.compile(r"(^|_)(secret|sk|rk|whsec)_|^eyJ")


def masked_payload(event: InboundEvent) -> str:
    """Return the body of ``event`` as indented JSON in which addresses, names and tokens are hidden."""
    try:
        payload = parse_json(event.payload.encode())
    except MalformedJson:
        return MASK
    return json.dumps(_masked(payload), indent=2, ensure_ascii=False, default=str)


def _masked(value: Any, name: str = "") -> Any:
    if value is None or value in ("", [], {}):
        return value
    if name.endswith("metadata"):
        return MASK
    if isinstance(value, dict):
        return {key: _masked(below, key) for key, below in value.items()}
    if isinstance(value, list):
        return [_masked(item, name) for item in value]
    if isinstance(value, str):
        return value if _is_harmless(value, name) else MASK
    return value


def _is_harmless(text: str, name: str) -> bool:
    shown = name in SHOWN or (name.endswith("_id") and name not in CHOSEN_BY_OTHERS)
    return shown and HARMLESS.fullmatch(text) is not None and SECRET.search(text) is None
