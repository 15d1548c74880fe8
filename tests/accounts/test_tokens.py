"""Which JSON Web Tokens are believed. The signatures are real; the clock is the test's."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from pytest_django import Settings

from accounts import tokens as subject
from accounts.errors import InvalidToken, MissingClaims, PrepaidError, TokenExpired, TokenNotActive, Unauthenticated
from accounts.identities import Identity
from tests.accounts import tokens
from tests.accounts.tokens import clerk_claims, clerk_token, handmade, service_token

HS256 = {"alg": "HS256", "typ": "JWT"}


def refused(token: str, now: datetime) -> type[PrepaidError]:
    with pytest.raises(PrepaidError) as caught:
        subject.verify(token, now=now)
    return type(caught.value)


# Clerk


def test_a_good_session_names_its_user(clerk: None, now: datetime) -> None:
    assert subject.verify(clerk_token(), now=now) == Identity(tokens.CLERK_USER)


def test_a_session_without_azp_is_good_because_native_apps_send_none(clerk: None, now: datetime) -> None:
    assert subject.verify(clerk_token(azp=None), now=now) == Identity(tokens.CLERK_USER)


def test_a_session_of_an_impersonator_says_so(clerk: None, now: datetime) -> None:
    token = clerk_token(act={"sub": "user_2operatorOPERATOR"})

    assert subject.verify(token, now=now) == Identity(tokens.CLERK_USER, impersonator="user_2operatorOPERATOR")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://clerk.elsewhere.test"},
        {"iss": tokens.ISSUER + "/"},
        {"iss": [tokens.ISSUER]},
        {"iss": None},
        {"azp": "https://evil.test"},
        {"azp": ""},
        {"azp": [tokens.PARTY]},
        {"azp": tokens.PARTY + "."},
        {"sub": "org_2abcDEF3456789"},
        {"sub": "user_short"},
        {"sub": "user_2abcDEF3456789\n"},
        {"sub": "user_2abcDEF345\u00006789"},
        {"sub": "user_" + "a" * 65},
        {"sub": ["user_2abcDEF3456789"]},
        {"exp": None},
        {"nbf": None},
        {"iat": None},
        {"exp": "4102444800"},
        {"exp": 10**400},
        {"exp": True},
        {"exp": [1]},
        {"nbf": "0"},
        {"iat": "0"},
    ],
)
def test_a_session_that_is_not_for_us_is_invalid(clerk: None, now: datetime, claims: dict[str, Any]) -> None:
    assert refused(clerk_token(**claims), now) is InvalidToken


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_an_instant_that_is_no_number_is_invalid(service_secret: str, now: datetime, value: str) -> None:
    parts = [tokens.encoded(text.encode()) for text in ('{"alg":"HS256"}', f'{{"sub":"anna","exp":{value}}}')]
    signature = hmac.new(service_secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()

    assert refused(".".join([*parts, tokens.encoded(signature)]), now) is InvalidToken


def test_a_session_without_a_subject_misses_claims(clerk: None, now: datetime) -> None:
    assert refused(clerk_token(sub=None), now) is MissingClaims


def test_no_party_is_authorized_unless_named(clerk: None, now: datetime, settings: Settings) -> None:
    settings.CLERK_AUTHORIZED_PARTIES = []

    assert refused(clerk_token(), now) is InvalidToken


@pytest.mark.parametrize("missing", ["CLERK_ISSUER", "CLERK_JWT_KEY"])
def test_half_a_configuration_believes_no_session(
    clerk: None, service_secret: str, now: datetime, settings: Settings, missing: str
) -> None:
    setattr(settings, missing, "")

    assert refused(clerk_token(), now) is Unauthenticated


def test_a_session_signed_with_another_key_is_invalid(clerk: None, now: datetime) -> None:
    assert refused(clerk_token(tokens.OTHER_KEY), now) is InvalidToken


def test_an_expired_session_is_expired_after_the_leeway(clerk: None, now: datetime) -> None:
    second = int(now.timestamp())
    token = clerk_token(exp=second)

    assert subject.verify(token, now=now.replace(microsecond=0) + timedelta(seconds=4)) == Identity(tokens.CLERK_USER)
    assert refused(token, now.replace(microsecond=0) + timedelta(seconds=5)) is TokenExpired


def test_an_early_session_is_not_active_before_the_leeway(clerk: None, now: datetime) -> None:
    second = int(now.timestamp())
    token = clerk_token(nbf=second + 10)

    assert refused(token, now.replace(microsecond=0) + timedelta(seconds=4)) is TokenNotActive
    assert subject.verify(token, now=now.replace(microsecond=0) + timedelta(seconds=5)) == Identity(tokens.CLERK_USER)


# Forgery


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "", None, 7, ["HS256"], "HS384", "HS512", "RS384", "ES256"]
)
def test_any_other_algorithm_is_invalid(clerk: None, service_secret: str, now: datetime, algorithm: object) -> None:
    header = {"typ": "JWT"} if algorithm is None else {"alg": algorithm}

    assert refused(handmade(header, clerk_claims()), now) is InvalidToken
    assert refused(handmade(header, clerk_claims(), service_secret.encode()), now) is InvalidToken


@pytest.mark.parametrize("service", [True, False])
@pytest.mark.parametrize("secret", [tokens.PEM, tokens.PEM.strip(), tokens.PEM.replace("\n", "")])
def test_clerks_public_key_is_nobodys_hmac_secret(
    clerk: None, now: datetime, settings: Settings, secret: str, service: bool
) -> None:
    settings.SERVICE_JWT_SECRET = tokens.SERVICE_SECRET if service else ""

    assert refused(handmade(HS256, clerk_claims(), secret.encode()), now) is (
        InvalidToken if service else Unauthenticated
    )


def test_the_service_secret_signs_no_session(clerk: None, service_secret: str, now: datetime) -> None:
    forged = handmade({"alg": "RS256", "kid": "ins_1"}, clerk_claims(), service_secret.encode())

    assert refused(forged, now) is InvalidToken


def test_a_key_in_the_header_is_not_used(clerk: None, now: datetime) -> None:
    headers = {"kid": "ins_1", "jwk": tokens.jwk(tokens.OTHER_KEY, "ins_1"), "jku": "http://127.0.0.1:9/jwks"}
    forged = jwt.encode(clerk_claims(), tokens.OTHER_KEY, algorithm="RS256", headers=headers)

    assert refused(forged, now) is InvalidToken


def test_an_unknown_critical_extension_is_invalid(service_secret: str, now: datetime) -> None:
    token = handmade(HS256 | {"crit": ["exp2"], "exp2": 1}, {"sub": "anna"}, service_secret.encode())

    assert refused(token, now) is InvalidToken


def test_an_unsigned_part_appended_or_cut_off_is_invalid(service_secret: str, now: datetime) -> None:
    good = service_token(sub="anna")
    assert subject.verify(good, now=now) == Identity("anna")

    for bad in (
        good + ".e30",
        good.rpartition(".")[0] + ".",
        good + "=",
        good + "==",
        good + "\n",
        " " + good,
        good[:-2],
    ):
        assert refused(bad, now) is InvalidToken


def test_changed_claims_are_invalid(service_secret: str, now: datetime) -> None:
    header, _, signature = service_token(sub="anna").split(".")
    bert = base64.urlsafe_b64encode(json.dumps({"sub": "bert"}).encode()).rstrip(b"=").decode()

    assert refused(f"{header}.{bert}.{signature}", now) is InvalidToken


@pytest.mark.parametrize("claims", ["anna", ["anna"], 7, None])
def test_claims_that_are_no_object_are_invalid(service_secret: str, now: datetime, claims: object) -> None:
    assert refused(handmade(HS256, claims, service_secret.encode()), now) is InvalidToken


def test_a_token_of_more_than_8_kilobytes_is_invalid(service_secret: str, now: datetime) -> None:
    fits = service_token(sub="anna", pad="x" * 5_900)
    too_long = service_token(sub="anna", pad="x" * 6_100)
    assert len(fits) <= 8 * 1024 < len(too_long)

    assert subject.verify(fits, now=now) == Identity("anna")
    assert refused(too_long, now) is InvalidToken


def test_a_header_of_a_thousand_levels_is_invalid(service_secret: str, now: datetime) -> None:
    deep = tokens.encoded(b"[" * 3_000)

    assert refused(f"{deep}.e30.e30", now) is InvalidToken


# Services


@pytest.mark.parametrize("user_id", ["a" * 256, "an\x00na", "an\nna", "an\u202ena"])
def test_a_user_id_that_cannot_be_kept_is_invalid(service_secret: str, now: datetime, user_id: str) -> None:
    assert refused(service_token(userId=user_id), now) is InvalidToken


def test_a_service_token_may_last_for_ever_but_not_be_expired_text(service_secret: str, now: datetime) -> None:
    assert subject.verify(service_token(sub="anna"), now=now) == Identity("anna")
    assert refused(handmade(HS256, {"sub": "anna", "exp": "0"}, service_secret.encode()), now) is InvalidToken


def test_a_service_token_is_refused_where_only_sessions_are_configured(clerk: None, now: datetime) -> None:
    assert refused(service_token(sub="anna"), now) is Unauthenticated


# The network


def test_with_a_key_in_the_settings_nothing_needs_the_network(clerk: None, now: datetime) -> None:
    assert subject.needs_network(clerk_token(kid="never seen"), now=now) is False


def test_only_a_session_with_an_unknown_key_needs_the_network(
    publisher: tokens.Publisher, service_secret: str, now: datetime
) -> None:
    assert subject.needs_network(service_token(sub="anna"), now=now) is False
    assert subject.needs_network("garbage", now=now) is False
    assert subject.needs_network(clerk_token(), now=now) is True

    assert subject.verify(clerk_token(), now=now) == Identity(tokens.CLERK_USER)

    assert subject.needs_network(clerk_token(), now=now) is False
