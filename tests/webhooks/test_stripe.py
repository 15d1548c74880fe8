import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from django.utils import timezone

from tests.webhooks.conformance import EVENT_ID, SECRET, TYPE, SourceConformance
from webhooks.models import InboundEvent
from webhooks.sources import SOURCES

#: By the scheme that Stripe documents: the secret as text, the timestamp, a dot, the body.
VECTOR_SECRET = "whsec_test_secret"
VECTOR_BODY = b'{"id":"evt_test_webhook","object":"event"}'
VECTOR_HEADER = "t=1614265330,v1=3c5817089d739023dd6190f70a3757e04f7a2fd8b5dab12c2e000f51970dccff"


class TestStripe(SourceConformance):
    source = SOURCES["stripe"]

    def sign(self, body: bytes, *, at: datetime, secret: str = SECRET, event_id: str = EVENT_ID) -> dict[str, str]:
        seconds = int(at.timestamp())
        digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={seconds},v1={digest}"}

    def body(self, type: str = TYPE, event_id: str = EVENT_ID, **more: Any) -> bytes:
        event = {"id": event_id, "object": "event", "api_version": "2025-03-31.basil", "type": type}
        return json.dumps(event | {"data": {"object": {}}, "pending_webhooks": 1} | more).encode()

    def malformed(self, headers: dict[str, str]) -> list[dict[str, str]]:
        genuine = headers["stripe-signature"]
        timestamp, signature = genuine.split(",")
        spoilt = [
            timestamp, signature, f"{timestamp},", f"{signature},{timestamp}", f" {genuine}", f"{genuine}\n", "garbage",
            f"{timestamp},v1=", f"{timestamp},v1=é", f"{timestamp}.0,{signature}", f"t={'9' * 400},{signature}",
            f"t=,{signature}", f"t=-1,{signature}", genuine.replace("t=", "t=0"), genuine.replace("v1=", "v0="),
            genuine.replace("v1=", "v1=="), genuine.upper(), timestamp + f",{signature}" * 17, f"{genuine},v1=xyz",
        ]  # fmt: skip
        return [{"stripe-signature": text} for text in spoilt]

    @pytest.mark.parametrize(
        "more", [{"pending_webhooks": 0}, {"api_version": "2026-09-30", "data": {"object": {"a": 1}}}]
    )
    def test_event_that_stripe_renders_anew_raises_no_alarm(self, more: dict[str, Any]):
        self.send(self.body())

        response = self.send(self.body(**more))

        assert (response.status_code, InboundEvent.objects.get().conflicting_digest) == (200, "")

    def test_other_data_in_the_same_version_raises_the_alarm(self):
        self.send(self.body())

        self.send(self.body(data={"object": {"amount": 1}}))

        assert InboundEvent.objects.get().conflicting_digest != ""

    def test_endpoint_for_the_next_api_version_is_told_apart_by_its_query(self):
        body = self.body()

        response = self.post(body, self.sign(body, at=timezone.now()), query="?version=2026-09-30")

        assert response.status_code == 200


def test_documented_signature_is_recognised(settings: Any):
    settings.STRIPE_WEBHOOK_SECRETS = [VECTOR_SECRET]
    signature = SOURCES["stripe"].read_signature({"stripe-signature": VECTOR_HEADER})

    assert SOURCES["stripe"].is_signed(VECTOR_BODY, signature, VECTOR_SECRET)
    assert not SOURCES["stripe"].is_signed(VECTOR_BODY + b" ", signature, VECTOR_SECRET)


def test_what_stripes_own_library_signs_is_recognised(settings: Any):
    settings.STRIPE_WEBHOOK_SECRETS = [VECTOR_SECRET]
    body = '{"id": "evt_1", "type": "invoice.paid", "note": "naïve ☕"}'
    header = stripe.WebhookSignature.generate_signature_header(body, VECTOR_SECRET, timestamp=1614265330)
    now = datetime.fromtimestamp(1614265330, UTC) + timedelta(minutes=4)

    event = SOURCES["stripe"].verify(body.encode(), {"stripe-signature": header}, now=now)

    assert (event.id, event.type) == ("evt_1", "invoice.paid")


def test_signatures_of_other_schemes_and_secrets_may_stand_beside_ours(settings: Any):
    settings.STRIPE_WEBHOOK_SECRETS = [VECTOR_SECRET]
    header = VECTOR_HEADER.replace(",v1", f",v0={'a' * 64},v1={'b' * 64},v1")

    signature = SOURCES["stripe"].read_signature({"stripe-signature": header})

    assert SOURCES["stripe"].is_signed(VECTOR_BODY, signature, VECTOR_SECRET)
