"""Leaked keys: revoked on a report that is signed by whom the operator named, and on no other."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core import mail
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry, Customer
from config.checks import leak_reports_can_be_believed
from tests.factories import UNKNOWN_KEY

URL = "/api/keys/leaked"
SIGNER = ec.generate_private_key(ec.SECP256R1())

pytestmark = pytest.mark.django_db


def pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(encoding, form).decode())


@pytest.fixture(autouse=True)
def believed(settings: Any) -> None:
    settings.LEAK_REPORT_KEYS = {"first": pem(ec.generate_private_key(ec.SECP256R1())), "signer": pem(SIGNER)}


def finding(token: str) -> dict[str, str]:
    return {"token": token, "type": "prepaid_api_key", "url": "https://github.com/a/b", "source": "content"}


def report(found: Any, *, by: Any = SIGNER, identifier: str = "signer", **headers: str) -> Any:
    body = found if isinstance(found, bytes) else json.dumps(found).encode()
    signature = base64.b64encode(by.sign(body, ec.ECDSA(hashes.SHA256()))).decode()
    signed = {"github-public-key-identifier": identifier, "github-public-key-signature": signature, **headers}
    return APIClient().generic("POST", URL, body, "application/json", headers=signed)


def is_good(key: str) -> bool:
    return APIClient(headers={"x-api-key": key}).get("/api/keys").status_code == 200


def test_a_reported_key_is_revoked_and_its_owner_told_once(api_key: str, customer: Customer) -> None:
    answers = [report([finding(api_key), finding(UNKNOWN_KEY), finding("AKIA…"), finding(api_key)]) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 200
        assert [(row["token_raw"], row["token_type"], row["label"]) for row in answer.json()] == [
            (api_key, "prepaid_api_key", "true_positive"),
            (UNKNOWN_KEY, "prepaid_api_key", "false_positive"),
            ("AKIA…", "prepaid_api_key", "false_positive"),
            (api_key, "prepaid_api_key", "true_positive"),
        ]
    key = ApiKey.objects.get()
    assert (is_good(api_key), key.revoked_by, key.leaked_at) == (False, "leak report", key.revoked_at)
    assert [message.to for message in mail.outbox] == [[customer.user.email]]
    assert api_key not in mail.outbox[0].body
    assert "https://github.com/a/b" in mail.outbox[0].body
    assert list(AuditEntry.objects.values_list("action", flat=True).order_by("pk"))[-2:] == [
        "key.revoked",
        "key.leaked",
    ]


def test_a_key_that_was_revoked_before_stays_so(api_key: str) -> None:
    key = ApiKey.objects.get()
    ApiKey.objects.update(revoked_at=key.created_at, revoked_by="user:1")

    assert report([finding(api_key)]).json()[0]["label"] == "true_positive"
    key.refresh_from_db()
    assert (key.revoked_at, key.revoked_by, key.leaked_at is not None) == (key.created_at, "user:1", True)


@pytest.mark.parametrize(
    "headers",
    [
        {"identifier": "first"},
        {"identifier": "unknown"},
        {"identifier": ""},
        {"github-public-key-signature": ""},
        {"github-public-key-signature": "nonsense"},
        {"github-public-key-signature": "MEUCIQ=="},
        {"by": ec.generate_private_key(ec.SECP256R1())},
    ],
)
def test_a_report_that_is_not_signed_by_whom_we_believe_does_nothing(api_key: str, headers: Any) -> None:
    answer = report([finding(api_key)], **headers)

    assert (answer.status_code, answer.json()["code"], is_good(api_key)) == (403, "INVALID_LEAK_REPORT", True)


@pytest.mark.parametrize("named", [{}, {"signer": "nonsense"}, {"signer": pem(rsa.generate_private_key(65537, 2048))}])
def test_without_keys_that_can_be_believed_all_is_refused(api_key: str, settings: Any, named: Any) -> None:
    settings.LEAK_REPORT_KEYS = named

    assert (report([finding(api_key)]).status_code, is_good(api_key)) == (404, True)
    assert bool(list(leak_reports_can_be_believed(None))) is bool(named)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 200),
        ({}, 400),
        (None, 400),
        (["x"], 400),
        ([{"token": "x"}], 400),
        ([finding("x" * 513)], 400),
        ([finding("x")] * 1001, 400),
        (b"[", 400),
        (b'[{"token": "a", "token": "b", "type": "t"}]', 400),
    ],
)
def test_a_signed_report_may_still_be_wrong(body: Any, status: int) -> None:
    assert report(body).status_code == status
