"""Any OpenID Connect issuer, by the settings alone."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from pytest_django import Settings

from accounts import issuers
from accounts.errors import InvalidToken, PrepaidError
from accounts.identities import Identity
from accounts.issuers import of_terms
from accounts.models import User
from accounts.principals import principal_of_person
from accounts.tokens import verify
from tests.accounts import tokens
from tests.accounts.tokens import KEY, Publisher, jwk

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
TERMS = {"issuer": "https://login.test/", "audience": "prepaid"}


@pytest.fixture(autouse=True)
def _fresh_keys() -> Iterator[None]:
    issuers._keys.cache_clear()
    yield
    issuers._keys.cache_clear()


@pytest.fixture
def published() -> Iterator[Publisher]:
    with tokens.published() as publisher:
        publisher.keys = [
            jwk(KEY, "rsa"),
            {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec", "use": "sig", "alg": "ES256"},
            {**OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True), "kid": "ed", "use": "sig"},
        ]
        yield publisher


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", kid: str = "rsa") -> str:
    second = tokens.clerk_claims()["iat"]
    usual = {"iss": TERMS["issuer"], "aud": "prepaid", "sub": "anna", "iat": second, "exp": second + 60}
    return jwt.encode({**usual, **claims}, key, algorithm=algorithm, headers={"kid": kid})


def believed(token: str, now: datetime) -> Identity | str:
    try:
        return verify(token, now=now)
    except PrepaidError as refusal:
        return refusal.code


def test_an_issuer_needs_no_more_than_its_name_and_ours(
    settings: Settings, published: Publisher, now: datetime
) -> None:
    settings.OIDC_ISSUERS = {"login": {**TERMS, "jwks_url": published.url}}

    assert believed(signed({}), now) == Identity("login:anna")
    assert believed(signed({"aud": ["other", "prepaid"]}), now) == Identity("login:anna")
    assert published.requests == 1


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed"), (KEY, "RS256", "rsa")]
)
def test_an_issuer_signs_with_the_algorithms_that_are_named(
    settings: Settings, published: Publisher, now: datetime, key: Any, algorithm: str, kid: str
) -> None:
    token = signed({}, key, algorithm, kid)

    settings.OIDC_ISSUERS = {"login": {**TERMS, "jwks_url": published.url, "algorithms": [algorithm]}}
    assert believed(token, now) == Identity("login:anna")
    settings.OIDC_ISSUERS = {"login": {**TERMS, "jwks_url": published.url, "algorithms": ["PS512"]}}
    assert believed(token, now) == "invalid_token"


def test_where_its_keys_are_an_issuer_says_itself(settings: Settings, published: Publisher, now: datetime) -> None:
    issuer = published.url.removesuffix("/.well-known/jwks.json")
    settings.OIDC_ISSUERS = {"login": {**TERMS, "issuer": issuer}}
    found = {"issuer": issuer, "jwks_uri": published.url, "keys": published.keys}
    published.body = json.dumps(found).encode()

    assert believed(signed({"iss": issuer}), now) == Identity("login:anna")
    assert published.requests == 2


@pytest.mark.parametrize(
    "changes", [{"issuer": "https://evil.test"}, {"jwks_uri": "http://evil.test/jwks"}, {"jwks_uri": None}]
)
def test_a_configuration_of_somebody_else_is_not_believed(
    settings: Settings, published: Publisher, now: datetime, changes: dict[str, Any]
) -> None:
    issuer = published.url.removesuffix("/.well-known/jwks.json")
    settings.OIDC_ISSUERS = {"login": {**TERMS, "issuer": issuer}}
    found = {"issuer": issuer, "jwks_uri": published.url, "keys": published.keys, **changes}
    published.body = json.dumps(found).encode()

    assert believed(signed({"iss": issuer}), now) == "invalid_token"
    assert published.requests == 1


def test_several_issuers_at_once_have_users_of_their_own(
    settings: Settings, published: Publisher, now: datetime
) -> None:
    one, other = {**TERMS, "jwks_url": published.url}, {**TERMS, "issuer": "https://b.test", "jwks_url": published.url}
    settings.OIDC_ISSUERS = {"a": one, "b": other}

    assert believed(signed({}), now) == Identity("a:anna")
    assert believed(signed({"iss": "https://b.test"}), now) == Identity("b:anna")
    assert believed(signed({"iss": "https://c.test"}), now) == "invalid_token"


def test_which_claims_say_what_is_configured(settings: Settings, published: Publisher, now: datetime) -> None:
    settings.OIDC_ISSUERS = {
        "login": {
            **TERMS,
            "jwks_url": published.url,
            "user_claim": "uid",
            "email_claim": "https://login.test/email",
            "email_verified_claim": ["meta", "verified"],
            "name_claim": "nickname",
            "organization_claim": ["app_metadata", "org"],
            "role_claim": "role",
        }
    }
    claims = {
        "uid": "u-1",
        "https://login.test/email": "anna@example.com",
        "meta": {"verified": True},
        "nickname": "Anna\u202e",
        "app_metadata": {"org": "acme"},
        "role": "admin",
    }

    found = believed(signed(claims), now)

    assert found == Identity("login:u-1", "login:acme", "admin", email="anna@example.com", name="Anna")


@pytest.mark.parametrize(
    ("claims", "trusts", "email"),
    [
        ({"email_verified": True}, False, "anna@example.com"),
        ({"email_verified": False}, False, ""),
        ({"email_verified": "true"}, False, ""),
        ({"email_verified": 1}, False, ""),
        ({}, False, ""),
        ({}, True, "anna@example.com"),
    ],
)
def test_an_address_counts_only_if_it_is_verified(
    settings: Settings, published: Publisher, now: datetime, claims: dict[str, Any], trusts: bool, email: str
) -> None:
    settings.OIDC_ISSUERS = {"login": {**TERMS, "jwks_url": published.url, "trust_email": trusts}}

    assert verify(signed({"email": "anna@example.com", **claims}), now=now).email == email


def test_only_named_parties_are_served_where_some_are_named(
    settings: Settings, published: Publisher, now: datetime
) -> None:
    settings.OIDC_ISSUERS = {"login": {**TERMS, "jwks_url": published.url, "authorized_parties": ["app"]}}

    assert [believed(signed(claims), now) for claims in ({}, {"azp": "other"}, {"client_id": "app", "azp": "x"})] == [
        "invalid_token"
    ] * 3
    assert (
        believed(signed({"azp": "app"}), now) == believed(signed({"client_id": "app"}), now) == Identity("login:anna")
    )


@pytest.mark.django_db
def test_a_user_appears_with_the_name_and_the_address_of_the_first_token(now: datetime) -> None:
    principal_of_person(Identity("login:anna", "login:acme", "", email="Anna@example.com", name="Anna", told_at=now))

    anna = User.objects.get()
    assert (anna.external_id, anna.email, anna.name) == ("login:anna", "anna@example.com", "Anna")
    assert list(anna.memberships.order_by("pk").values_list("customer__external_id", "role")) == [
        (None, "OWNER"),
        ("login:acme", "MEMBER"),
    ]


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ([], "object"),
        ({}, "issuer"),
        ({"issuer": "https://login.test/"}, "audience"),
        ({**TERMS, "audience": []}, "audience"),
        ({**TERMS, "audience": [7]}, "audience"),
        ({**TERMS, "issuer": 7}, "issuer"),
        ({**TERMS, "algorithms": ["HS256"]}, "HS256"),
        ({**TERMS, "algorithms": ["none"]}, "none"),
        ({**TERMS, "algorithms": []}, "algorithms"),
        ({**TERMS, "trust_email": "yes"}, "trust_email"),
        ({**TERMS, "user_claim": []}, "user_claim"),
        ({**TERMS, "secret": "x"}, "secret"),
    ],
)
def test_an_entry_that_is_wrong_is_named(terms: Any, names: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=names):
        of_terms("login", terms)


def test_a_wrong_entry_believes_nobody(settings: Settings, now: datetime) -> None:
    settings.OIDC_ISSUERS = {"a": TERMS, "b": TERMS}

    with pytest.raises(ImproperlyConfigured, match="twice"):
        verify(signed({}), now=now)
    settings.OIDC_ISSUERS = {"A b": TERMS}
    with pytest.raises(ImproperlyConfigured, match="lower-case"):
        verify(signed({}), now=now)


def test_a_token_that_names_a_team_in_a_wrong_way_is_invalid(
    settings: Settings, published: Publisher, now: datetime
) -> None:
    settings.OIDC_ISSUERS = {"login": {**TERMS, "jwks_url": published.url, "organization_claim": "org"}}

    for org in (7, ["acme"], "a" * 256, "ac\x00me"):
        with pytest.raises((InvalidToken, PrepaidError)):
            verify(signed({"org": org}), now=now)
    assert verify(signed({"org": ""}), now=now) == Identity("login:anna")


def test_the_issuers_of_the_documentation_are_understood():
    page = (Path(__file__).resolve().parents[2] / "docs" / "signing-in.md").read_text()
    shown = [json.loads(text) for text in re.findall(r"^```json\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)]

    found = [of_terms(name, terms) for example in shown for name, terms in example.items()]

    assert [issuer.rules.prefix for issuer in found] == ["auth0:", "supabase:", "keycloak:"]
