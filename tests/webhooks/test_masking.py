import json
from typing import Any

import pytest

from webhooks.masking import MASK, masked_payload
from webhooks.models import InboundEvent


def masked(value: Any) -> Any:
    return json.loads(masked_payload(InboundEvent(payload=json.dumps(value))))


def test_nobodys_data_can_be_seen():
    shown = masked(
        {
            "type": "user.updated",
            "data": {
                "id": "user_29w83sxmDNGwOuEthce5gg56FcC",
                "external_id": "ada-of-the-crm",
                "first_name": "Ada",
                "last_name": "",
                "email_addresses": [{"id": "idn_1", "email_address": "ada@example.com", "object": "email_address"}],
                "public_metadata": {"id": "Ada"},
                "private_metadata": {},
                "updated_at": 1767225600000,
                "banned": False,
            },
            "event_attributes": {"http_request": {"client_ip": "203.0.113.7", "user_agent": "Browser"}},
        }
    )

    assert shown == {
        "type": "user.updated",
        "data": {
            "id": "user_29w83sxmDNGwOuEthce5gg56FcC",
            "external_id": MASK,
            "first_name": MASK,
            "last_name": "",
            "email_addresses": [{"id": "idn_1", "email_address": MASK, "object": "email_address"}],
            "public_metadata": MASK,
            "private_metadata": {},
            "updated_at": 1767225600000,
            "banned": False,
        },
        "event_attributes": {"http_request": {"client_ip": MASK, "user_agent": MASK}},
    }


@pytest.mark.parametrize(
    "text", ["ada@example.com", "Ada Lovelace", "pi_123_secret_456", "sk_live_123", "eyJhbGciOiJI"]
)
def test_what_does_not_look_like_an_id_is_hidden_even_where_one_belongs(text: str):
    assert masked({"id": text, "customer": text, "session_id": text}) == dict.fromkeys(
        ["id", "customer", "session_id"], MASK
    )


def test_ids_amounts_and_states_of_a_payment_can_be_seen():
    payment = {
        "id": "in_1",
        "customer": "cus_1",
        "status": "paid",
        "currency": "usd",
        "amount_paid": 990,
        "lines": ["a"],
    }

    assert masked(payment) == payment | {"lines": [MASK]}


def test_body_that_cannot_be_read_is_hidden():
    assert masked_payload(InboundEvent(payload="{")) == MASK
