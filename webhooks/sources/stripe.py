"""Stripe: payments."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from stripe import SignatureVerificationError, WebhookSignature

from webhooks.errors import InvalidSignature
from webhooks.sources.base import Event, Handler, Payload, Signature, Source, is_text

#: The timestamp first, then at most 16 signatures of whatever scheme.
SIGNATURE = re.compile(r"t=([1-9][0-9]{8,10})(?:,v[0-9]=[0-9a-f]{1,128}){1,16}")
SECRET = re.compile(r"whsec_[A-Za-z0-9_+/=-]{16,}")


class Stripe(Source):
    name = "stripe"
    secrets_setting = "STRIPE_WEBHOOK_SECRETS"
    signature_headers: ClassVar[tuple[str, ...]] = ("stripe-signature",)
    handlers: ClassVar[dict[str, Handler]] = {}

    def read_signature(self, headers: Mapping[str, str]) -> Signature:
        text = headers.get("stripe-signature", "")
        match = SIGNATURE.fullmatch(text)
        if match is None:
            raise InvalidSignature
        return Signature(int(match[1]), text)

    def is_signed(self, body: bytes, signature: Signature, secret: str) -> bool:
        try:
            # Without a tolerance: the library's would read its own clock, and let the future pass.
            return WebhookSignature.verify_header(body, signature.text, secret)
        except SignatureVerificationError:
            return False

    def read_event(self, payload: Payload, signature: Signature) -> Event:
        event_id: Any = payload.get("id")
        kind: Any = payload.get("type")
        return Event(event_id, kind, payload)

    def is_secret(self, text: str) -> bool:
        return is_text(text, SECRET)

    def is_same_news(self, kept: Payload, sent: Payload) -> bool:
        """
        Stripe counts in each body how many deliveries are pending, and renders an event once more for
        a second endpoint with another API version: that is how it says to upgrade.
        """
        volatile = {"pending_webhooks"}
        if kept.get("api_version") != sent.get("api_version"):
            volatile |= {"api_version", "data"}
        return _without(kept, volatile) == _without(sent, volatile)


def _without(payload: Payload, names: set[str]) -> Payload:
    return {name: value for name, value in payload.items() if name not in names}
