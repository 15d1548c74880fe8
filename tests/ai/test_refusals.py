"""What is refused before a provider hears of it: in the shape that the client reads, and for nothing."""

import json
import socket
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests
from django.utils import timezone

from accounts import services
from accounts.models import ApiKey, Customer
from billing.models import Price, UsageRecord
from credits.models import Hold
from tests import factories
from tests.accounts import tokens
from tests.ai.prepaid import MODEL, QUESTION, balance

COMPLETIONS = "/v1/chat/completions"
UI = "/api/ai/chat"
IMAGE = "/api/ai/image"
PATHS = [COMPLETIONS, "/api/v1/chat/completions", UI, IMAGE]
LIMIT = 4096


def good_body(path: str) -> dict[str, object]:
    if path == IMAGE:
        return {"prompt": "A green square"}
    if path == UI:
        return {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
    return {"model": MODEL, "messages": QUESTION}


def code_of(answer: requests.Response) -> str:
    """The error's code, read from whichever shape its path has."""
    body = answer.json()
    if urlsplit(answer.url).path.startswith("/api/ai/"):
        assert body["requestId"] == answer.headers["X-Request-Id"]
        assert body["message"]
        return body["code"].lower()
    assert list(body) == ["error"]
    assert body["error"]["message"]
    return body["error"]["code"]


@pytest.fixture(autouse=True)
def provider_hears_nothing(simulator):
    yield
    assert simulator.requests() == []
    assert not Hold.objects.exists()
    assert not UsageRecord.objects.exists()


# Who asks


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "unauthorized"),
        ("Basic abc", "invalid_auth_header"),
        ("Bearer ", "missing_token"),
        ("Bearer ppd_live_short", "invalid_api_key"),
        ("Bearer not.a.token", "unauthorized"),
    ],
)
def test_caller_without_a_usable_credential_is_unknown(prepaid, authorization, code):
    prepaid.headers = {} if authorization is None else {"Authorization": authorization}

    answers = [prepaid.post(path, good_body(path)) for path in PATHS]

    assert [(answer.status_code, code_of(answer)) for answer in answers] == [(401, code)] * len(PATHS)
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="prepaid"'}


def mistyped(key: str, api_key: ApiKey) -> str:
    return key[:-1] + ("a" if key[-1] != "a" else "b")


def unknown(key: str, api_key: ApiKey) -> str:
    from accounts.keys import mint  # noqa: PLC0415

    return mint("live")


def revoked(key: str, api_key: ApiKey) -> str:
    services.revoke_key(api_key, now=timezone.now())
    return key


def expired(key: str, api_key: ApiKey) -> str:
    ApiKey.objects.update(expires_at=timezone.now())
    return key


def of_a_suspended_customer(key: str, api_key: ApiKey) -> str:
    Customer.objects.update(suspended_at=timezone.now())
    return key


def of_an_inactive_user(key: str, api_key: ApiKey) -> str:
    api_key.customer.user.is_active = False
    api_key.customer.user.save()
    return key


def of_a_team_made_by_an_inactive_user(key: str, api_key: ApiKey) -> str:
    team = factories.account(factories.TeamFactory.create(), "10").customer
    return factories.api_key(team, created_by=factories.UserFactory.create(is_active=False))


def without_scope(key: str, api_key: ApiKey) -> str:
    return factories.api_key(api_key.customer, scopes=["read"])


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (mistyped, 401, "invalid_api_key"),
        (unknown, 401, "invalid_api_key"),
        (revoked, 401, "invalid_api_key"),
        (expired, 401, "invalid_api_key"),
        (of_a_suspended_customer, 403, "suspended"),
        (of_an_inactive_user, 403, "suspended"),
        (of_a_team_made_by_an_inactive_user, 403, "suspended"),
        (without_scope, 403, "forbidden"),
    ],
)
def test_key_that_is_not_good_for_this_is_refused(prepaid, api_key, account, spoil, status, code):
    prepaid.headers = {"Authorization": f"Bearer {spoil(api_key, ApiKey.objects.get())}"}

    answers = [prepaid.post(path, good_body(path)) for path in PATHS]

    assert [(answer.status_code, code_of(answer)) for answer in answers] == [(status, code)] * len(PATHS)
    assert balance(account) == (100, 0)


@pytest.mark.parametrize("path", PATHS)
def test_whoever_acts_in_anothers_name_may_not_spend(prepaid, settings, account, path):
    settings.CLERK_JWT_KEY, settings.CLERK_ISSUER = tokens.PEM, tokens.ISSUER
    settings.CLERK_AUTHORIZED_PARTIES = [tokens.PARTY]
    account.customer.user.external_id = tokens.CLERK_USER
    account.customer.user.save()
    prepaid.headers = {"Authorization": f"Bearer {tokens.clerk_token(act={'sub': 'user_operator0000'})}"}

    answer = prepaid.post(path, good_body(path))

    assert (answer.status_code, code_of(answer)) == (403, "forbidden")


@pytest.mark.parametrize("path", PATHS)
def test_newcomer_has_no_credits(prepaid, settings, path):
    settings.SERVICE_JWT_SECRET = tokens.SERVICE_SECRET
    prepaid.headers = {"Authorization": f"Bearer {tokens.service_token(sub='a-newcomer')}"}

    answer = prepaid.post(path, good_body(path))

    assert (answer.status_code, code_of(answer)) == (402, "insufficient_credits")
    assert Customer.objects.get(user__external_id="a-newcomer").accounts.get().balance == 0


# What it costs


@pytest.mark.parametrize("path", PATHS)
def test_who_cannot_pay_is_told_what_is_missing(prepaid, path):
    poor = factories.account(balance="0.5").customer
    prepaid.headers = {"Authorization": f"Bearer {factories.api_key(poor)}"}
    required = 5 if path == IMAGE else 1

    answer = prepaid.post(path, good_body(path))

    assert (answer.status_code, code_of(answer)) == (402, "insufficient_credits")
    stated = answer.json() if path.startswith("/api/ai/") else answer.json()["error"]
    assert (stated["required"], stated["available"]) == (required, "0.5")
    assert answer.headers["x-should-retry"] == "false"
    if path.startswith("/api/ai/"):
        assert stated["error"] == "insufficient_credits"
    else:
        assert stated["type"] == "insufficient_quota"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("terms", [None, {"type": "METERED", "rate": 10**9, "markup": 10**6}])
def test_what_has_no_price_that_can_be_computed_is_not_sold(prepaid, path, terms):
    if terms is None:
        Price.objects.update(effective_at=timezone.now() + timedelta(hours=1))
    else:
        Price.objects.update(**terms)

    answer = prepaid.post(path, good_body(path))

    assert (answer.status_code, code_of(answer)) == (503, "unknown_price")


# What is asked


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"model": NaN}', "malformed_json"),
        (b'{"model": "\\ud800"}', "malformed_json"),
        (b"[" * 5000, "malformed_json"),
        (b"[]", "validation_error"),
        (b'"text"', "validation_error"),
        (b"null", "validation_error"),
    ],
)
def test_body_that_is_no_json_object_is_refused(prepaid, body, code):
    answers = [prepaid.post(path, body) for path in PATHS]

    assert [(answer.status_code, code_of(answer)) for answer in answers] == [(400, code)] * len(PATHS)


@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": "x" * 201}, "model"),
        ({"model": "openai/\x00gpt"}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"stream": 1}, "stream"),
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": "2"}, "n"),
    ],
)
def test_completion_with_a_wrong_field_names_it(prepaid, path, wrong, param):
    answer = prepaid.post(path, {**good_body(path), **wrong})

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "validation_error")


@pytest.mark.parametrize("path", PATHS[:2])
def test_body_that_is_nested_too_deeply_to_be_passed_on_is_refused(prepaid, path):
    deep = b"[" * 400 + b"]" * 400
    body = json.dumps(good_body(path)).encode()[:-1] + b', "x": ' + deep + b"}"

    answer = prepaid.post(path, body)

    assert (answer.status_code, code_of(answer)) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("path", "wrong", "field"),
    [
        (UI, {"messages": []}, "body.messages"),
        (UI, {"messages": [{"id": "1", "role": "user", "parts": []}]}, "body.messages"),
        (UI, {"messages": [{"id": "1", "role": "robot", "parts": []}]}, "body.messages[0].role"),
        (UI, {"messages": [{"id": "1", "role": "user"}]}, "body.messages[0].parts"),
        (UI, {"model": "a\x00b"}, "body.model"),
        (UI, {"temperature": 2.1}, "body.temperature"),
        (UI, {"temperature": "1"}, "body.temperature"),
        (UI, {"provider": "openai"}, "body.provider"),
        (UI, {"attachments": [{"name": "", "url": "https://x"}]}, "body.attachments[0].name"),
        (IMAGE, {"prompt": ""}, "body.prompt"),
        (IMAGE, {"prompt": "x" * 2001}, "body.prompt"),
        (IMAGE, {"model": "no-vendor"}, "body.model"),
        (IMAGE, {"size": "1x1"}, "body.size"),
        (IMAGE, {"count": 0}, "body.count"),
        (IMAGE, {"count": 5}, "body.count"),
        (IMAGE, {"count": "2"}, "body.count"),
        (IMAGE, {"attachments": [{"name": "x"}]}, "body.attachments[0].url"),
    ],
)
def test_wrong_field_of_our_own_endpoints_is_named(prepaid, path, wrong, field):
    answer = prepaid.post(path, {**good_body(path), **wrong})

    assert (answer.status_code, answer.json()["error"]) == (400, "Validation failed")
    assert [detail["field"] for detail in answer.json()["details"]] == [field]


@pytest.mark.parametrize("path", [UI, IMAGE])
def test_unknown_fields_of_our_own_endpoints_are_named(prepaid, path):
    answer = prepaid.post(path, {**good_body(path), "max_tokens": 5, "foo": 1})

    assert answer.status_code == 400
    assert answer.json()["details"] == [
        {"field": "body", "message": 'Unrecognized key: "max_tokens"', "code": "UNRECOGNIZED_KEYS"},
        {"field": "body", "message": 'Unrecognized key: "foo"', "code": "UNRECOGNIZED_KEYS"},
    ]


@pytest.fixture
def small_bodies(settings):
    settings.GATEWAY_MAX_BODY_BYTES = LIMIT


@pytest.mark.usefixtures("small_bodies")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_is_too_large_is_refused(prepaid, path, chunked):
    body = json.dumps({**good_body(path), "user": "x" * LIMIT}).encode()

    answer = requests.post(
        prepaid.url + path,
        data=iter([body[:1000], body[1000:]]) if chunked else body,
        headers=prepaid.headers,
        timeout=10,
    )

    assert (answer.status_code, code_of(answer)) == (413, "request_body_too_large")


@pytest.mark.usefixtures("small_bodies")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("knows_a_key", "status"), [(True, b"413"), (False, b"401")])
def test_body_is_not_waited_for_where_it_is_too_long_or_nobodys(prepaid, path, knows_a_key, status):
    address = urlsplit(prepaid.url)
    credential = f"Authorization: {prepaid.headers['Authorization']}\r\n" if knows_a_key else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{credential}Content-Type: application/json\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode())

        assert connection.recv(65536).split(b" ", 2)[1] == status


@pytest.mark.usefixtures("small_bodies")
@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999999999"])
def test_length_that_is_none_is_refused(prepaid, length):
    address = urlsplit(prepaid.url)
    head = f"POST {COMPLETIONS} HTTP/1.1\r\nHost: x\r\nAuthorization: {prepaid.headers['Authorization']}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        status = connection.recv(65536).split(b" ", 2)[1]

    assert status in {b"400", b"413"}


@pytest.mark.parametrize("path", PATHS)
def test_client_that_hangs_up_in_its_request_asks_for_nothing(prepaid, path, account):
    address = urlsplit(prepaid.url)
    body = json.dumps(good_body(path))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {prepaid.headers['Authorization']}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body[:-1]}".encode())

    assert prepaid.get("/v1/models/unknown").status_code == 404  # the server has been through with it
    assert balance(account) == (100, 0)


# Where it is asked


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", COMPLETIONS, 405, "method_not_allowed"),
        ("DELETE", UI, 405, "method_not_allowed"),
        ("PUT", IMAGE, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/audio/speech", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("POST", "/api/ai/nothing", 404, "not_found"),
    ],
)
def test_path_or_method_that_there_is_not_is_refused_in_its_shape(prepaid, method, path, status, code):
    answer = requests.request(method, prepaid.url + path, headers=prepaid.headers, timeout=10)

    assert (answer.status_code, code_of(answer)) == (status, code)
    assert answer.headers["Content-Type"] == "application/json"
    if status == 405:
        assert {"GET", "POST"} & {method.strip() for method in answer.headers["Allow"].split(",")}
