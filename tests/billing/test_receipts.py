"""Receipts say what the books say, everybody can check them, and nobody can change one."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from jwt.algorithms import OKPAlgorithm
from jwt.api_jws import PyJWS
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer
from billing.models import UsageRecord
from billing.receipts import signing
from billing.receipts.signing import NotAReceipt, key_set, sign, signing_key, verify
from billing.retention import erase_details
from credits.models import Account, Currency
from tests import factories

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OTHER_KEY = "another-key-of-32-bytes-that-was-used-old4A"
OTHER_CURVE = OKPAlgorithm.to_jwk(Ed448PrivateKey.generate().public_key(), as_dict=True) | {"kid": "a"}
PRIVATE = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True) | {"kid": "a"}
CLAIMS = {"issuer": "http://127.0.0.1:8000", "usageId": "42", "charged": "1", "entries": [{"id": 311}], "memo": "ü"}


def receipt_of(api: APIClient, record: UsageRecord) -> dict[str, Any]:
    response: Any = api.get(f"/api/credits/receipts/{record.pk}")
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def signed(claims: Any = CLAIMS) -> str:
    key = signing_key()
    assert key is not None
    return sign(claims, key)


# What a receipt says


@pytest.mark.django_db
def test_receipt_says_how_a_call_was_booked_and_the_published_keys_prove_it(
    api: APIClient, anonymous: APIClient, customer: Customer
):
    account = factories.account(customer)
    first = factories.grant(account, "3", now=START, expires_at=START + timedelta(days=1))
    factories.grant(account, "100", now=START)
    record = factories.usage(
        account, "5", created_at=START + SECOND, request_id="request-1", generation_id="gen-1", feature="ai_text_chat"
    )

    answer = receipt_of(api, record)
    keys: Any = anonymous.get("/.well-known/jwks.json")

    entries = list(record.hold.entries.order_by("sequence"))
    assert entries[0].grant == first
    assert answer["receipt"] == {
        "version": 1,
        "issuer": "http://127.0.0.1:8000",
        "usageId": str(record.pk),
        "holdId": str(UUID(record.hold_id)),
        "customerId": customer.pk,
        "requestId": "request-1",
        "generationId": "gen-1",
        "feature": "ai_text_chat",
        "model": "openai/gpt-4o-mini",
        "status": "COMPLETED",
        "priceId": record.price_id,
        "currency": "credits",
        "held": "5",
        "charged": "5",
        "entries": [
            {"id": entries[0].pk, "sequence": 3, "amount": "-3", "digest": entries[0].digest},
            {"id": entries[1].pk, "sequence": 4, "amount": "-2", "digest": entries[1].digest},
        ],
        "balanceAfter": "98",
        "chainDigest": entries[1].digest,
        "admittedAt": "2026-11-20T12:00:01.000Z",
        "bookedAt": "2026-11-20T12:00:01.000Z",
    }
    assert verify(answer["jws"], keys.json()) == answer["receipt"]
    assert keys.headers["Cache-Control"] == "public, max-age=3600"


@pytest.mark.django_db
def test_receipt_stays_the_same_whatever_is_booked_later(api: APIClient, account: Account):
    record = factories.usage(account, "5")
    before = receipt_of(api, record)
    factories.usage(account, "7")

    assert receipt_of(api, record) == before


@pytest.mark.django_db
def test_call_that_cost_nothing_says_where_its_account_stood(api: APIClient, customer: Customer):
    account = factories.account(customer)
    nothing_yet = factories.usage(account, "0", created_at=START - SECOND)
    factories.grant(account, "100", now=START)
    free = factories.usage(account, "0", created_at=START + SECOND)
    factories.usage(account, "7", created_at=START + 2 * SECOND)

    before, after = (receipt_of(api, record)["receipt"] for record in (nothing_yet, free))

    first = account.entries.get(sequence=1)
    told = ("charged", "entries", "balanceAfter", "chainDigest", "bookedAt")
    assert [before[name] for name in told] == ["0", [], "0", "", "2026-11-20T11:59:59.000Z"]
    assert [after[name] for name in told] == ["0", [], "100", first.digest, "2026-11-20T12:00:01.000Z"]


@pytest.mark.django_db
def test_nobody_gets_the_receipt_of_another(account: Account):
    record = factories.usage(account)
    other = APIClient(
        headers={"authorization": f"Bearer {factories.api_key(factories.UserFactory.create().personal_customer)}"}
    )

    response: Any = other.get(f"/api/credits/receipts/{record.pk}")

    assert (response.status_code, response.json()["code"]) == (404, "RECEIPT_NOT_FOUND")


@pytest.mark.django_db
def test_what_is_unknown_or_erased_has_no_receipt(api: APIClient, account: Account):
    record = factories.usage(account)
    erase_details(before=record.created_at + SECOND, limit=9)

    for number in (record.pk, 2**59):
        response: Any = api.get(f"/api/credits/receipts/{number}")
        assert (response.status_code, response.json()["code"]) == (404, "RECEIPT_NOT_FOUND")


@pytest.mark.django_db
def test_test_key_gets_receipts_of_tests_only(api: APIClient, customer: Customer, account: Account):
    live = factories.usage(account)
    test_account = factories.account(customer, "10", currency=Currency.TEST)
    text = factories.api_key(customer, mode=ApiKey.Mode.TEST)
    tried = factories.usage(test_account, api_key=customer.api_keys.get(mode=ApiKey.Mode.TEST))
    test_api = APIClient(headers={"authorization": f"Bearer {text}"})

    assert receipt_of(test_api, tried)["receipt"]["currency"] == "test"
    assert receipt_of(api, tried)["receipt"]["currency"] == "test"
    assert test_api.get(f"/api/credits/receipts/{live.pk}").status_code == 404


@pytest.mark.django_db
def test_without_a_key_there_are_no_receipts_and_no_keys(api: APIClient, account: Account, settings: Settings):
    settings.RECEIPT_SIGNING_KEY = ""
    record = factories.usage(account)

    response: Any = api.get(f"/api/credits/receipts/{record.pk}")

    assert (response.status_code, response.json()["code"]) == (501, "RECEIPTS_NOT_CONFIGURED")
    assert api.get("/.well-known/jwks.json").json() == {"keys": []}


# What proves one

told_once = pytest.mark.usefixtures("one_database")


@told_once
def test_key_is_named_by_its_thumbprint():
    """The key pair and the thumbprint of RFC 8037, appendix A."""
    seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
    key = Ed25519PrivateKey.from_private_bytes(signing._key_bytes(seed))

    assert signing._described(key.public_key()) == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "use": "sig",
        "alg": "EdDSA",
    }


@told_once
def test_receipt_with_any_other_letter_anywhere_is_none():
    receipt = signed()
    keys = key_set()

    for place, letter in enumerate(receipt):
        for other in "AB." if letter not in "AB." else "CD":
            with pytest.raises(NotAReceipt):
                verify(receipt[:place] + other + receipt[place + 1 :], keys)
    for longer in (receipt + "A", receipt + "=", receipt + "\n!", " " + receipt, receipt + ".A"):
        with pytest.raises(NotAReceipt):
            verify(longer, keys)
    assert verify(receipt, keys) == CLAIMS


@told_once
@pytest.mark.parametrize(
    ("algorithm", "key"), [("none", None), ("HS256", "the public key, or anything else that is known to all")]
)
def test_receipt_that_chooses_another_algorithm_is_none(algorithm: str, key: str | None):
    kid = key_set()["keys"][0]["kid"]
    forged = PyJWS().encode(b"{}", key, algorithm=algorithm, headers={"typ": signing.TYPE, "kid": kid})

    with pytest.raises(NotAReceipt, match="signature is wrong"):
        verify(forged, key_set())


@told_once
def test_other_text_that_is_signed_with_the_same_key_is_no_receipt():
    key = signing_key()
    kid = key_set()["keys"][0]["kid"]

    with pytest.raises(NotAReceipt, match="its type is 'JWT'"):
        verify(jwt.encode({}, key, algorithm="EdDSA", headers={"kid": kid}), key_set())


@told_once
def test_receipts_of_an_old_key_hold_as_long_as_it_is_named(settings: Settings):
    receipt = signed()
    old = key_set()["keys"][0]

    settings.RECEIPT_SIGNING_KEY = OTHER_KEY
    with pytest.raises(NotAReceipt, match=f"names the key '{old['kid']}'"):
        verify(receipt, key_set())
    settings.RECEIPT_PUBLIC_KEYS = [old["x"]]

    assert verify(receipt, key_set()) == CLAIMS
    assert verify(signed(), key_set()) == CLAIMS
    assert key_set()["keys"][1] == old
    assert key_set()["keys"][0]["kid"] != old["kid"]


@told_once
def test_while_debugging_there_is_a_key_that_no_other_installation_has(settings: Settings):
    settings.RECEIPT_SIGNING_KEY = ""
    settings.DEBUG = True
    receipt = signed()

    assert verify(receipt, key_set()) == CLAIMS
    settings.SECRET_KEY = "another"
    with pytest.raises(NotAReceipt):
        verify(receipt, key_set())


# The command: no test here has a database


def check(tmp_path: Any, text: str, *options: str) -> str:
    path = tmp_path / "receipt.json"
    path.write_text(text)
    told = io.StringIO()
    call_command("verify_receipt", str(path), *options, stdout=told, stderr=io.StringIO())
    return told.getvalue()


@told_once
def test_command_tells_what_was_signed_without_a_database(tmp_path):
    receipt = signed()

    assert json.loads(check(tmp_path, receipt + "\n")) == CLAIMS
    assert json.loads(check(tmp_path, json.dumps({"jws": receipt, "receipt": CLAIMS}))) == CLAIMS
    assert json.loads(check(tmp_path, json.dumps({"jws": receipt}))) == CLAIMS


@told_once
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"charged": "2"}, "charged"),
        ({"entries": [{"id": 312}]}, "entries"),
        ({"paid": True, "usageId": "43"}, "paid, usageId"),
    ],
)
def test_command_names_what_is_said_otherwise_beside_the_signed_receipt(tmp_path, change: Any, named: str):
    answer = {"jws": signed(), "receipt": {**CLAIMS, **change}}

    with pytest.raises(CommandError, match=f"other things are said of: {named}\\."):
        check(tmp_path, json.dumps(answer))


@told_once
def test_command_takes_keys_that_were_kept(tmp_path, settings: Settings):
    receipt = signed()
    kept = tmp_path / "jwks.json"
    kept.write_text(json.dumps(key_set()))
    settings.RECEIPT_SIGNING_KEY = OTHER_KEY

    with pytest.raises(CommandError, match="names the key"):
        check(tmp_path, receipt)
    assert json.loads(check(tmp_path, receipt, "--keys", str(kept))) == CLAIMS


@told_once
@pytest.mark.parametrize(
    "text", ["", "no receipt", "{", "[]", "{}", '{"jws": 1}', '{"jws": "a.b.c", "receipt": []}', "a.b.c", "e30.e30.e30"]
)
def test_command_refuses_what_is_no_receipt(tmp_path, text: str):
    with pytest.raises(CommandError):
        check(tmp_path, text)


@told_once
@pytest.mark.parametrize(
    "keys",
    [
        "",
        "[]",
        "{}",
        '{"keys": [1]}',
        '{"keys": [{"kid": 1}]}',
        '{"keys": [{"kid": "a"}]}',
        '{"keys": [{"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "short"}]}',
        json.dumps({"keys": [OTHER_CURVE]}),
        json.dumps({"keys": [PRIVATE]}),
    ],
)
def test_command_refuses_keys_that_are_none(tmp_path, keys: str):
    kept = tmp_path / "jwks.json"
    kept.write_text(keys)

    with pytest.raises(CommandError, match="The keys cannot be read"):
        check(tmp_path, signed(), "--keys", str(kept))
