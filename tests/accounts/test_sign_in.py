"""Signing in to the REST API, as a client sees it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer, Membership, User
from tests import factories
from tests.accounts import tokens
from tests.factories import UNKNOWN_KEY

URL = "/api/keys"
NEVER_MADE = UNKNOWN_KEY

pytestmark = pytest.mark.django_db


def refusal(response: Any) -> tuple[int, str, str, str]:
    return response.status_code, response.json()["code"], response.json()["message"], response["WWW-Authenticate"]


def unauthorized(code: str, message: str) -> tuple[int, str, str, str]:
    return 401, code, message, 'Bearer realm="prepaid"'


INVALID_KEY = unauthorized(
    "INVALID_API_KEY",
    "This API key is not valid: it is mistyped, unknown, expired or revoked. Create one at /api/keys.",
)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# The seven refusals of the second original


def test_no_credential_is_unauthorized(anonymous: APIClient) -> None:
    assert refusal(anonymous.get(URL)) == unauthorized("UNAUTHORIZED", "Unauthorized")


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Token abc", "abc", "Bearerabc", ""])
def test_an_authorization_that_is_not_bearer_is_an_invalid_header(
    anonymous: APIClient, service_secret: str, header: str
) -> None:
    response = anonymous.get(URL, headers={"authorization": header})

    assert refusal(response) == unauthorized("INVALID_AUTH_HEADER", "Invalid authorization header")


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer    "])
def test_bearer_without_a_token_is_a_missing_token(anonymous: APIClient, service_secret: str, header: str) -> None:
    response = anonymous.get(URL, headers={"authorization": header})

    assert refusal(response) == unauthorized("MISSING_TOKEN", "Missing token")


def test_an_expired_token_is_called_expired(anonymous: APIClient, service_secret: str) -> None:
    expired = tokens.service_token(sub="anna", exp=int(timezone.now().timestamp()) - 6)

    assert refusal(anonymous.get(URL, headers=bearer(expired))) == unauthorized("TOKEN_EXPIRED", "Token expired")


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_is_not_active(anonymous: APIClient, service_secret: str, claim: str) -> None:
    early = tokens.service_token(sub="anna", **{claim: int(timezone.now().timestamp()) + 60})

    assert refusal(anonymous.get(URL, headers=bearer(early))) == unauthorized("TOKEN_NOT_ACTIVE", "Invalid token")


@pytest.mark.parametrize(
    "token", ["abc", "a.b.c", tokens.service_token("another secret, also long enough", sub="anna")]
)
def test_a_token_that_is_not_signed_by_us_is_invalid(anonymous: APIClient, service_secret: str, token: str) -> None:
    assert refusal(anonymous.get(URL, headers=bearer(token))) == unauthorized("INVALID_TOKEN", "Invalid token")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": "  "},
        {"userId": 7},
        {"userId": "  ", "sub": "anna"},
        {"userId": ["anna"]},
        {"userId": ""},
    ],
)
def test_a_token_that_names_nobody_misses_claims(
    anonymous: APIClient, service_secret: str, claims: dict[str, Any]
) -> None:
    response = anonymous.get(URL, headers=bearer(tokens.service_token(**claims)))

    assert refusal(response) == unauthorized("MISSING_CLAIMS", "Token missing required claims")


def test_without_a_secret_no_token_is_good(anonymous: APIClient) -> None:
    response = anonymous.get(URL, headers=bearer(tokens.service_token(sub="anna")))

    assert refusal(response) == unauthorized("UNAUTHORIZED", "Unauthorized")


# People


@pytest.mark.parametrize("claims", [{"sub": "anna"}, {"userId": "anna"}, {"userId": "anna", "sub": "bert"}])
def test_a_service_token_signs_its_user_in_who_appears_on_first_sight(
    anonymous: APIClient, service_secret: str, claims: dict[str, str]
) -> None:
    responses = [anonymous.get(URL, headers=bearer(tokens.service_token(**claims))) for _ in range(2)]

    assert [response.status_code for response in responses] == [200, 200]
    anna = User.objects.get()
    assert (anna.external_id, anna.personal_customer.kind) == ("anna", Customer.Kind.PERSONAL)


def test_a_clerk_session_signs_its_user_in(anonymous: APIClient, clerk: None) -> None:
    response = anonymous.get(URL, headers=bearer(tokens.clerk_token()))

    assert response.status_code == 200
    assert User.objects.get().external_id == tokens.CLERK_USER


def test_the_scheme_may_be_written_in_any_case(anonymous: APIClient, service_secret: str) -> None:
    response = anonymous.get(URL, headers={"authorization": f"bearer {tokens.service_token(sub='anna')}"})

    assert response.status_code == 200


def test_whoever_acts_in_the_name_of_a_user_may_only_read(anonymous: APIClient, clerk: None) -> None:
    token = tokens.clerk_token(act={"sub": "user_2operatorOPERATOR"})

    assert anonymous.get(URL, headers=bearer(token)).status_code == 200
    response = anonymous.post(URL, {"name": "Mine"}, headers=bearer(token))
    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


def test_an_inactive_user_is_suspended(anonymous: APIClient, service_secret: str) -> None:
    factories.UserFactory.create(external_id="anna", is_active=False)

    response = anonymous.get(URL, headers=bearer(tokens.service_token(sub="anna")))

    assert (response.status_code, response.json()["code"]) == (403, "SUSPENDED")


def test_the_user_of_a_suspended_customer_is_suspended(anonymous: APIClient, service_secret: str) -> None:
    anna = factories.UserFactory.create(external_id="anna")
    Customer.objects.filter(user=anna).update(suspended_at=timezone.now())

    response = anonymous.get(URL, headers=bearer(tokens.service_token(sub="anna")))

    assert (response.status_code, response.json()["code"]) == (403, "SUSPENDED")


@pytest.mark.parametrize(
    ("role", "may_manage"),
    [
        (Membership.Role.OWNER, True),
        (Membership.Role.ADMIN, True),
        (Membership.Role.MEMBER, False),
        (Membership.Role.BILLING, False),
        (Membership.Role.READ_ONLY, False),
    ],
)
def test_a_person_may_do_what_their_role_allows(
    anonymous: APIClient, service_secret: str, role: str, may_manage: bool
) -> None:
    anna = factories.UserFactory.create(external_id="anna")
    Membership.objects.filter(user=anna).update(role=role)
    headers = bearer(tokens.service_token(sub="anna"))

    assert anonymous.get(URL, headers=headers).status_code == 200
    assert anonymous.post(URL, {"name": "Mine", "scopes": ["read"]}, headers=headers).status_code == (
        201 if may_manage else 403
    )


# API keys


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_key_signs_in_by_either_header(anonymous: APIClient, api_key: str, header: str) -> None:
    value = f"Bearer {api_key}" if header == "authorization" else api_key

    assert anonymous.get(URL, headers={header: value}).status_code == 200


@pytest.mark.parametrize(
    "key",
    [
        NEVER_MADE[:-1] + ("0" if NEVER_MADE[-1] != "0" else "1"),
        NEVER_MADE.replace("live", "test"),
        NEVER_MADE.replace("live", "prod"),
        NEVER_MADE + "0",
        NEVER_MADE + "\u0660",
        "ppd_",
        "ppd_live_' OR 1=1 --",
    ],
)
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_key_with_a_bad_checksum_is_refused_before_the_database(
    anonymous: APIClient, django_assert_num_queries: DjangoAssertNumQueries, key: str, header: str
) -> None:
    with django_assert_num_queries(0):
        response = anonymous.get(URL, headers={header: f"Bearer {key}" if header == "authorization" else key})

    assert refusal(response) == INVALID_KEY


@pytest.mark.parametrize("key", ["", "sk-something-else", "  "])
def test_what_is_no_key_of_ours_is_an_invalid_key(anonymous: APIClient, key: str) -> None:
    assert refusal(anonymous.get(URL, headers={"x-api-key": key})) == INVALID_KEY


def test_a_key_that_was_never_made_is_refused(anonymous: APIClient) -> None:
    assert refusal(anonymous.get(URL, headers=bearer(NEVER_MADE))) == INVALID_KEY


def test_what_the_database_keeps_of_a_key_is_no_key(anonymous: APIClient, api_key: str) -> None:
    kept = ApiKey.objects.get().digest

    assert refusal(anonymous.get(URL, headers={"x-api-key": kept})) == INVALID_KEY


def test_a_key_under_another_pepper_is_refused(anonymous: APIClient, api_key: str, settings: Settings) -> None:
    settings.API_KEY_PEPPER = "another pepper, which is also long enough"

    assert refusal(anonymous.get(URL, headers=bearer(api_key))) == INVALID_KEY


def test_a_revoked_key_is_refused(api: APIClient) -> None:
    ApiKey.objects.update(revoked_at=timezone.now())

    assert refusal(api.get(URL)) == INVALID_KEY


def test_a_key_is_refused_from_the_instant_of_its_expiry(api: APIClient) -> None:
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    assert api.get(URL).status_code == 200

    ApiKey.objects.update(created_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now())
    assert refusal(api.get(URL)) == INVALID_KEY


def test_a_key_of_a_suspended_customer_is_refused(api: APIClient) -> None:
    Customer.objects.update(suspended_at=timezone.now())

    response = api.get(URL)

    assert (response.status_code, response.json()["code"]) == (403, "SUSPENDED")


def test_a_key_of_an_inactive_user_is_refused(api: APIClient) -> None:
    User.objects.update(is_active=False)

    response = api.get(URL)

    assert (response.status_code, response.json()["code"]) == (403, "SUSPENDED")


def test_a_teams_key_works_without_the_person_who_made_it(anonymous: APIClient) -> None:
    key = factories.api_key(factories.TeamFactory.create(), created_by=None)

    assert anonymous.get(URL, headers=bearer(key)).status_code == 200


def test_a_teams_key_is_refused_while_who_made_it_is_inactive(anonymous: APIClient) -> None:
    maker = factories.UserFactory.create(is_active=False)
    key = factories.api_key(factories.TeamFactory.create(), created_by=maker)

    assert anonymous.get(URL, headers=bearer(key)).status_code == 403


@pytest.mark.parametrize(
    ("scopes", "status_of_get", "status_of_post"), [("ai", 403, 403), ("read", 200, 403), ("manage read", 200, 201)]
)
def test_a_key_may_do_what_its_scopes_say(
    anonymous: APIClient, scopes: str, status_of_get: int, status_of_post: int
) -> None:
    headers = bearer(factories.api_key(scopes=scopes))

    assert anonymous.get(URL, headers=headers).status_code == status_of_get
    response = anonymous.post(URL, {"name": "Mine", "scopes": ["read"]}, headers=headers)
    assert response.status_code == status_of_post


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(api: APIClient) -> None:
    api.get(URL)
    first = ApiKey.objects.get().last_used_at
    api.get(URL)
    assert (first is not None, ApiKey.objects.get().last_used_at) == (True, first)

    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=1))
    api.get(URL)
    assert ApiKey.objects.get().last_used_at > first


# Which header wins


def test_a_bad_authorization_is_an_error_whatever_else_is_there(
    anonymous: APIClient, api_key: str, trusted_proxy: dict[str, str]
) -> None:
    headers = {**trusted_proxy, "x-user-id": "anna", "x-api-key": api_key, "authorization": "Basic abc"}

    assert refusal(anonymous.get(URL, headers=headers))[1] == "INVALID_AUTH_HEADER"
    assert not User.objects.filter(external_id="anna").exists()


def test_a_good_authorization_wins_over_a_forwarded_user(
    anonymous: APIClient, service_secret: str, trusted_proxy: dict[str, str]
) -> None:
    headers = {**trusted_proxy, "x-user-id": "bert", **bearer(tokens.service_token(sub="anna"))}

    assert anonymous.get(URL, headers=headers).status_code == 200
    assert [user.external_id for user in User.objects.all()] == ["anna"]


def test_a_key_wins_over_a_forwarded_user(anonymous: APIClient, api_key: str, trusted_proxy: dict[str, str]) -> None:
    headers = {**trusted_proxy, "x-user-id": "bert", "x-api-key": api_key}

    assert anonymous.get(URL, headers=headers).status_code == 200
    assert not User.objects.filter(external_id="bert").exists()


# The trusted proxy


@pytest.fixture
def trusted_proxy(settings: Settings) -> dict[str, str]:
    """The header of a proxy that the operator named."""
    settings.TRUSTED_PROXY_NETWORKS = ["127.0.0.0/8", "fd00::/8"]
    settings.TRUSTED_PROXY_SECRET = "the secret of the proxy, which is long enough"
    return {"x-proxy-secret": settings.TRUSTED_PROXY_SECRET}


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "fd00::7", "::ffff:127.0.0.1"])
def test_a_forwarded_user_is_believed_from_the_trusted_proxy(
    anonymous: APIClient, trusted_proxy: dict[str, str], peer: str
) -> None:
    response = anonymous.get(URL, headers={**trusted_proxy, "x-user-id": "anna"}, REMOTE_ADDR=peer)

    assert response.status_code == 200
    assert User.objects.get().external_id == "anna"


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "::1", "", "localhost", "127.0.0.1, 10.0.0.1", "::ffff:10.0.0.1", "unix:"]
)
def test_a_forwarded_user_is_not_believed_from_elsewhere(
    anonymous: APIClient, trusted_proxy: dict[str, str], peer: str
) -> None:
    headers = {**trusted_proxy, "x-user-id": "anna", "x-forwarded-for": "127.0.0.1"}

    response = anonymous.get(URL, headers=headers, REMOTE_ADDR=peer)

    assert refusal(response) == unauthorized("UNAUTHORIZED", "Unauthorized")


@pytest.mark.parametrize("secret", [None, "", "wrong", "the secret of the proxy, which is long enough ", "\u00fc"])
def test_a_forwarded_user_is_not_believed_without_the_proxys_secret(
    anonymous: APIClient, trusted_proxy: dict[str, str], secret: str | None
) -> None:
    headers = {"x-user-id": "anna"} | ({} if secret is None else {"x-proxy-secret": secret})

    assert refusal(anonymous.get(URL, headers=headers)) == unauthorized("UNAUTHORIZED", "Unauthorized")


@pytest.mark.parametrize("missing", ["TRUSTED_PROXY_NETWORKS", "TRUSTED_PROXY_SECRET"])
def test_half_a_configuration_trusts_nobody(
    anonymous: APIClient, trusted_proxy: dict[str, str], settings: Settings, missing: str
) -> None:
    setattr(settings, missing, type(getattr(settings, missing))())
    headers = {"x-user-id": "anna", "x-proxy-secret": settings.TRUSTED_PROXY_SECRET or ""}

    assert refusal(anonymous.get(URL, headers=headers)) == unauthorized("UNAUTHORIZED", "Unauthorized")


@pytest.mark.parametrize("user_id", ["", "  ", "anna,bert", "anna, bert", "\u00e4nna", "an\x00na", "a" * 256])
def test_a_forwarded_user_is_one_plain_id(anonymous: APIClient, trusted_proxy: dict[str, str], user_id: str) -> None:
    response = anonymous.get(URL, headers={**trusted_proxy, "x-user-id": user_id})

    assert refusal(response) == unauthorized("UNAUTHORIZED", "Unauthorized")
    assert not User.objects.exists()


# Sessions


def test_a_session_of_the_admin_does_not_open_the_api(client: Client, user: User) -> None:
    client.force_login(user)

    assert client.get(URL).status_code == 401
