"""The signatures of Standard Webhooks, which Svix and all who send through it use."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from standardwebhooks.webhooks import Webhook

from webhooks.errors import InvalidSignature
from webhooks.sources.base import EVENT_ID, Event, Payload, Signature, Source

FAMILIES = ("svix", "webhook")
TIMESTAMP = re.compile(r"[1-9][0-9]{8,10}")
#: At most 16 signatures of whatever version, with one space between them.
ONE = r"v[0-9][a-z0-9]{0,8},[A-Za-z0-9+/=]{1,200}"
SIGNATURES = re.compile(f"{ONE}(?: {ONE}){{0,15}}")
SECRET = re.compile(r"(whsec_)?[A-Za-z0-9+/]+={0,2}")
MIN_SECRET_BYTES = 16


class StandardWebhooks(Source):
    """
    A source that signs ``{id}.{timestamp}.{body}`` with HMAC-SHA-256.

    The headers are one whole family, ``svix-*`` before ``webhook-*``; a mixture is refused.
    """

    signature_headers: ClassVar[tuple[str, ...]] = ("svix-id", "svix-timestamp", "svix-signature")

    def read_signature(self, headers: Mapping[str, str]) -> Signature:
        family = next((name for name in FAMILIES if headers.get(f"{name}-signature")), FAMILIES[0])
        event_id, timestamp, text = (headers.get(f"{family}-{part}", "") for part in ("id", "timestamp", "signature"))
        if not (EVENT_ID.fullmatch(event_id) and TIMESTAMP.fullmatch(timestamp) and SIGNATURES.fullmatch(text)):
            raise InvalidSignature
        return Signature(int(timestamp), text, event_id)

    def is_signed(self, body: bytes, signature: Signature, secret: str) -> bool:
        # The library's verify() reads its own clock; its sign() is all that is needed of it.
        signed_at = datetime.fromtimestamp(signature.signed_at, UTC)
        expected = Webhook(secret).sign(signature.event_id, signed_at, body.decode())
        return any(hmac.compare_digest(expected, text) for text in signature.text.split(" "))

    def read_event(self, payload: Payload, signature: Signature) -> Event:
        kind: Any = payload.get("type")
        return Event(signature.event_id, kind, payload)

    def is_secret(self, text: str) -> bool:
        if SECRET.fullmatch(text) is None:
            return False
        try:
            return len(base64.b64decode(text.removeprefix("whsec_") + "==")) >= MIN_SECRET_BYTES
        except binascii.Error:
            return False
