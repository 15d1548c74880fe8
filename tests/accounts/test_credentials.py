"""``read_credential`` as the gateway uses it: on raw headers, without Django's request."""

from datetime import datetime

import pytest

from accounts import keys
from accounts.authentication import Credential, credential_headers, needs_network, read_credential
from accounts.errors import InvalidApiKey, InvalidToken
from accounts.identities import Identity
from tests.accounts import tokens
from tests.factories import UNKNOWN_KEY

KEY = UNKNOWN_KEY
PEPPER = "the pepper of the tests, long enough for every check that asks"


def test_only_the_headers_that_matter_are_read() -> None:
    raw = [(b"host", b"example.com"), (b"authorization", b"Bearer abc"), (b"x-user-id", b"anna"), (b"cookie", b"a=b")]

    assert credential_headers(raw) == {"authorization": "Bearer abc", "x-user-id": "anna"}


def test_a_repeated_header_is_read_as_one_with_a_comma(now: datetime, service_secret: str) -> None:
    token = tokens.service_token(sub="anna").encode()
    headers = credential_headers([(b"authorization", b"Bearer " + token), (b"authorization", b"Bearer " + token)])

    assert headers["authorization"].count(",") == 1
    with pytest.raises(InvalidToken):
        read_credential(headers, "127.0.0.1", now=now)


def test_the_underscore_spelling_of_a_header_is_another_header() -> None:
    assert credential_headers([(b"x_user_id", b"anna"), (b"X-User-Id", b"anna")]) == {}


def test_bytes_that_are_no_text_are_refused_like_any_other_key(now: datetime) -> None:
    headers = credential_headers([(b"x-api-key", b"\xff\xfe\x00")])

    with pytest.raises(InvalidApiKey):
        read_credential(headers, "127.0.0.1", now=now)


def test_a_key_becomes_its_digest(now: datetime) -> None:
    expected = Credential(key_digest=keys.digest(KEY, pepper=PEPPER))

    assert read_credential({"authorization": f"Bearer {KEY}"}, "", now=now) == expected
    assert read_credential({"x-api-key": KEY}, "", now=now) == expected


def test_a_session_becomes_its_users_id(clerk: None, now: datetime) -> None:
    headers = {"authorization": f"Bearer {tokens.clerk_token(act={'sub': 'user_2operatorOPERATOR'})}"}

    assert read_credential(headers, "", now=now) == Credential(
        person=Identity(tokens.CLERK_USER, impersonator="user_2operatorOPERATOR")
    )


def test_reading_a_key_never_needs_the_network(publisher: tokens.Publisher, now: datetime) -> None:
    session = {"authorization": f"Bearer {tokens.clerk_token()}"}
    others = [
        {},
        {"x-api-key": KEY},
        {"authorization": f"Bearer {KEY}"},
        {"authorization": "Basic abc"},
        {"x-user-id": "a"},
    ]

    assert [needs_network(headers, now=now) for headers in others] == [False] * 5
    assert needs_network(session, now=now) is True
    assert publisher.requests == 0
