"""The identity provider's keys, fetched from a real server."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from accounts.keyset import KeySet
from tests.accounts.tokens import KEY, OTHER_KEY, Publisher, jwk


@pytest.fixture
def keys(publisher: Publisher) -> KeySet:
    return KeySet(publisher.url)


def test_a_known_key_is_fetched_once(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    found = [keys.get("ins_1", now=now + timedelta(minutes=minute)) for minute in range(59)]

    assert {key == KEY.public_key() for key in found} == {True}
    assert publisher.requests == 1


def test_a_flood_of_unknown_keys_asks_once_a_minute(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    for number in range(1_000):
        assert keys.get(f"invented_{number}", now=now + timedelta(milliseconds=59 * number)) is None
    assert publisher.requests == 1

    keys.get("invented", now=now + timedelta(minutes=1))
    assert publisher.requests == 2


@pytest.mark.parametrize("kid", [None, 7, ["ins_1"], {}])
def test_a_key_id_that_is_no_text_asks_nobody(keys: KeySet, publisher: Publisher, now: datetime, kid: object) -> None:
    assert keys.get(kid, now=now) is None
    assert publisher.requests == 0


def test_a_new_key_is_found_within_a_minute(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    keys.get("ins_1", now=now)
    publisher.keys = [jwk(OTHER_KEY, "ins_2")]

    assert keys.get("ins_2", now=now + timedelta(minutes=1)) == OTHER_KEY.public_key()
    assert keys.get("ins_1", now=now + timedelta(minutes=1)) is None


def test_a_withdrawn_key_is_forgotten_within_an_hour(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    keys.get("ins_1", now=now)
    publisher.keys = []

    assert keys.get("ins_1", now=now + timedelta(hours=1)) is None


def test_keys_outlive_an_outage_of_a_day_and_no_longer(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    keys.get("ins_1", now=now)
    publisher.status = 503

    assert keys.get("ins_1", now=now + timedelta(hours=24)) == KEY.public_key()
    assert keys.get("ins_1", now=now + timedelta(hours=24, seconds=1)) is None


def test_during_an_outage_the_provider_is_asked_once_a_minute(
    keys: KeySet, publisher: Publisher, now: datetime
) -> None:
    publisher.status = 500
    for second in range(60):
        assert keys.get("ins_1", now=now + timedelta(seconds=second)) is None
    assert publisher.requests == 1

    publisher.status = 200
    assert keys.get("ins_1", now=now + timedelta(seconds=60)) == KEY.public_key()


def test_callers_at_once_ask_once(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    found: list[Any] = []
    start = threading.Barrier(16)

    def ask() -> None:
        start.wait()
        found.append(keys.get("ins_1", now=now))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [key == KEY.public_key() for key in found] == [True] * 16
    assert publisher.requests == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": null}',
        b"\xff",
        b"[" * 100_000,
        b" " * 300_000 + b"{}",
    ],
)
def test_an_answer_that_is_no_key_set_keeps_the_keys(
    keys: KeySet, publisher: Publisher, now: datetime, body: bytes
) -> None:
    keys.get("ins_1", now=now)
    publisher.body = body

    assert keys.get("ins_1", now=now + timedelta(hours=2)) == KEY.public_key()
    assert publisher.requests == 2


def test_a_key_set_may_come_in_parts(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    publisher.chunked = True

    assert keys.get("ins_1", now=now) == KEY.public_key()


def test_a_redirect_is_not_followed(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    publisher.status = 302

    assert keys.get("ins_1", now=now) is None
    assert publisher.requests == 1


def test_a_provider_that_is_away_has_no_keys(now: datetime) -> None:
    assert KeySet("http://127.0.0.1:9/jwks").get("ins_1", now=now) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"use": "enc"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"key_ops": ["encrypt"]},
        {"key_ops": 7},
        {"n": "nonsense!"},
        {"n": 7},
        {"e": None},
        {"kid": 7},
        {"kid": None},
    ],
)
def test_a_key_for_something_else_is_not_used(
    keys: KeySet, publisher: Publisher, now: datetime, fields: dict[str, Any]
) -> None:
    publisher.keys = [jwk(KEY, "ins_1") | fields, jwk(OTHER_KEY, "ins_2"), "nonsense", None]

    assert keys.get("ins_1", now=now) is None
    assert keys.get("ins_2", now=now) == OTHER_KEY.public_key()


def test_a_short_key_is_not_used(keys: KeySet, publisher: Publisher, now: datetime) -> None:
    publisher.keys = [jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), "ins_1")]  # noqa: S505

    assert keys.get("ins_1", now=now) is None


def test_a_private_key_that_was_published_by_mistake_is_not_used(
    keys: KeySet, publisher: Publisher, now: datetime
) -> None:
    private = jwk(KEY, "ins_1") | {"d": RSAAlgorithm.to_jwk(KEY, as_dict=True)["d"]}
    publisher.keys = [private]

    assert keys.get("ins_1", now=now) is None
