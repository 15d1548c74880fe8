"""Who fails to sign in too often has to wait; whoever has a good credential does not."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from accounts import keys, throttling
from accounts.models import FailedSignIns
from accounts.throttling import Attempt
from tests import factories
from tests.accounts import tokens
from tests.racing import at_once
from tests.server import running_prepaid

ANNA = Attempt("user:anna", "192.0.2.1")
BY_ACCOUNT, BY_ADDRESS = 3, 5
URL = "/api/credits/me"
LOGIN = "/admin/login/"


@pytest.fixture(autouse=True)
def _limits(settings: Settings) -> Iterator[None]:
    settings.FAILED_SIGN_INS_BY_ACCOUNT, settings.FAILED_SIGN_INS_BY_ADDRESS = BY_ACCOUNT, BY_ADDRESS
    settings.FAILED_SIGN_INS_WINDOW = 600
    throttling.memory.clear()
    yield
    throttling.memory.clear()


def unknown_key(number: int, *, named: str = "") -> str:
    """A key that nobody has; those with one name begin alike."""
    body = f"ppd_live_{named or f'{number:08}'}".ljust(len("ppd_live_") + keys.RANDOM_LENGTH - 4, "x") + f"{number:04}"
    return body + keys.checksum(body)


def statuses(client: Any, texts: list[str], **more: Any) -> list[int]:
    return [client.get(URL, headers={"x-api-key": text}, **more).status_code for text in texts]


def waits_of(answer: Any) -> bool:
    """Whether it says to wait; how long, the clock has a say in."""
    return 100 < int(answer.get("Retry-After", 0)) <= 200


# What counts


@pytest.mark.django_db
def test_an_account_is_refused_after_its_failures_wherever_they_come_from() -> None:
    now = timezone.now()
    waits = [throttling.fail(Attempt("user:anna", f"192.0.2.{host}"), now=now) for host in range(5)]

    assert waits == [timedelta(0)] * 3 + [timedelta(seconds=200)] * 2
    assert throttling.fail(Attempt("user:bert", "192.0.2.1"), now=now) == timedelta(0)


@pytest.mark.django_db
def test_an_address_is_refused_after_its_failures_whoever_is_tried() -> None:
    now = timezone.now()
    waits = [throttling.fail(Attempt(f"user:{number}", "2001:db8::1:1"), now=now) for number in range(6)]

    assert waits == [timedelta(0)] * 5 + [timedelta(seconds=120)]
    # All of a client's addresses are one, and an IPv4 address is one in whatever clothes it comes.
    assert throttling.fail(Attempt("", "2001:db8::ffff"), now=now) == timedelta(seconds=120)
    assert throttling.fail(Attempt("", "2001:db8:0:1::1"), now=now) == timedelta(0)


@pytest.mark.django_db
def test_time_forgives() -> None:
    now = timezone.now()
    for _ in range(4):
        throttling.fail(ANNA, now=now)

    assert throttling.fail(ANNA, now=now + timedelta(seconds=199)) == timedelta(seconds=1)
    assert throttling.fail(ANNA, now=now + timedelta(seconds=200)) == timedelta(0)
    assert throttling.fail(ANNA, now=now + timedelta(seconds=200)) > timedelta(0)


@pytest.mark.django_db
def test_what_is_over_is_removed() -> None:
    now = timezone.now()
    throttling.fail(ANNA, now=now)
    throttling.fail(Attempt("user:bert"), now=now + timedelta(hours=1))

    assert FailedSignIns.objects.count() == 1


@pytest.mark.django_db
def test_nobody_can_be_read_from_what_is_kept() -> None:
    throttling.fail(ANNA, now=timezone.now())

    assert all(
        len(row.bucket) == 64 and set(row.bucket) <= set("0123456789abcdef") for row in FailedSignIns.objects.all()
    )


@pytest.mark.django_db
def test_whoever_goes_on_failing_costs_the_database_nothing(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    now = timezone.now()
    for _ in range(4):
        throttling.fail(ANNA, now=now)

    with django_assert_num_queries(0):
        assert throttling.fail(ANNA, now=now + timedelta(seconds=10)) == timedelta(seconds=190)


@pytest.mark.django_db
def test_what_a_process_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "MOST_REMEMBERED", 3)
    now = timezone.now()
    for number in range(10):
        throttling.memory.refuse(str(number), until=now + timedelta(minutes=1))

    assert [number for number in range(10) if throttling.memory.wait(str(number), now=now)] == [7, 8, 9]


@pytest.mark.django_db
def test_without_a_database_nobody_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(FailedSignIns.objects, "bulk_create", away)

    assert throttling.fail(ANNA, now=timezone.now()) == timedelta(0)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["FAILED_SIGN_INS_BY_ACCOUNT", "FAILED_SIGN_INS_BY_ADDRESS"])
def test_nought_switches_off(settings: Settings, name: str) -> None:
    setattr(settings, name, 0)
    tried = Attempt("user:anna") if name.endswith("ACCOUNT") else Attempt("", "192.0.2.1")

    assert {throttling.fail(tried, now=timezone.now()) for _ in range(20)} == {timedelta(0)}
    assert not FailedSignIns.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_more_than_the_limit_get_through() -> None:
    now = timezone.now()

    def fail() -> timedelta:
        throttling.memory.clear()
        return throttling.fail(Attempt("user:anna", "192.0.2.1"), now=now)

    waits = at_once(*[fail] * 12)

    assert sorted(waits).count(timedelta(0)) == BY_ACCOUNT, waits


# The doors


@pytest.mark.django_db
def test_guesses_are_refused_and_told_when_to_try_again(anonymous: APIClient) -> None:
    answers = [anonymous.get(URL, headers={"x-api-key": unknown_key(number)}) for number in range(BY_ADDRESS + 1)]

    assert [answer.status_code for answer in answers] == [401] * BY_ADDRESS + [429]
    assert answers[-1].json()["code"] == "TOO_MANY_FAILED_SIGN_INS"
    assert 0 < int(answers[-1]["Retry-After"]) <= 120
    assert answers[-1]["x-should-retry"] == "false"


@pytest.mark.django_db
def test_a_good_credential_works_whoever_failed_before(anonymous: APIClient, api_key: str, service_secret: str) -> None:
    forged = tokens.service_token("another secret, also long enough", sub="anna")
    alike = [unknown_key(number, named=api_key[9:17]) for number in range(4)]
    assert statuses(anonymous, alike) == [401] * 3 + [429]
    assert anonymous.get(URL, headers={"authorization": f"Bearer {forged}"}).status_code == 401

    assert statuses(anonymous, [api_key, api_key]) == [200, 200]
    good = tokens.service_token(sub="anna")
    assert anonymous.get(URL, headers={"authorization": f"Bearer {good}"}).status_code == 200


@pytest.mark.django_db
def test_a_good_credential_costs_no_look_at_the_failures(
    anonymous: APIClient, api_key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    statuses(anonymous, [api_key])
    with django_assert_num_queries(2) as captured:
        statuses(anonymous, [api_key])

    assert not any("failedsignins" in query["sql"] for query in captured)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["bad signature", "key"])
def test_an_account_that_exists_is_refused_like_one_that_does_not(
    anonymous: APIClient, service_secret: str, kind: str
) -> None:
    user = factories.UserFactory.create(external_id="anna")
    key = factories.api_key(user.personal_customer)

    def tried(name: str, start: str) -> list[Any]:
        throttling.memory.clear()
        FailedSignIns.objects.all().delete()
        forged = tokens.service_token("another secret, also long enough", sub=name)
        texts = [forged] * 5 if kind == "bad signature" else [unknown_key(n, named=start) for n in range(5)]
        answers = [
            anonymous.get(URL, headers={"authorization": f"Bearer {text}", "x-request-id": "r"}) for text in texts
        ]
        return [(answer.status_code, answer.content, waits_of(answer)) for answer in answers]

    known = tried("anna", key[9:17])
    assert known == tried("nobody", "00000000")
    assert [status for status, *_ in known] == [401] * 3 + [429] * 2


@pytest.mark.django_db
def test_the_address_is_what_a_trusted_hop_says(anonymous: APIClient, settings: Settings) -> None:
    settings.TRUSTED_HOPS = ["10.0.0.0/8"]

    def ask(number: int, peer: str, hops: str) -> int:
        headers = {"x-api-key": unknown_key(number), "x-forwarded-for": hops}
        return anonymous.get(URL, headers=headers, REMOTE_ADDR=peer).status_code

    # Whoever is no hop of ours changes nothing by what they say.
    spoofed = [ask(number, "192.0.2.1", f"198.51.100.{number}") for number in range(6)]
    assert spoofed == [401] * 5 + [429]
    through = [ask(10 + number, "10.0.0.1", f"198.51.100.{number}, 203.0.113.9") for number in range(6)]
    assert through == [401] * 5 + [429]
    assert ask(20, "10.0.0.1", "203.0.113.10") == 401


@pytest.mark.django_db
def test_what_is_no_guess_does_not_count(anonymous: APIClient, service_secret: str) -> None:
    late = tokens.service_token(sub="anna", exp=int(timezone.now().timestamp()) - 60)
    headers = [{}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}, {"authorization": f"Bearer {late}"}]

    assert {anonymous.get(URL, headers=each).status_code for each in headers * 3} == {401}
    assert not FailedSignIns.objects.exists()


@pytest.mark.django_db
def test_guesses_of_the_proxys_secret_count(anonymous: APIClient, settings: Settings) -> None:
    settings.TRUSTED_PROXY_NETWORKS = ["127.0.0.0/8"]
    settings.TRUSTED_PROXY_SECRET = "the secret of the proxy, which is long enough"
    headers = {"x-user-id": "anna", "x-proxy-secret": "wrong"}

    answers = [anonymous.get(URL, headers=headers).status_code for _ in range(6)]

    assert answers == [401] * 5 + [429]


@pytest.mark.django_db(transaction=True)
def test_the_gateway_counts_together_with_the_rest(anonymous: APIClient, api_key: str) -> None:
    asked = [
        ("POST", "/v1/chat/completions"),
        ("POST", "/api/ai/image"),
        ("GET", "/v1/models"),
        ("POST", "/api/ai/chat"),
    ]
    with running_prepaid() as url:

        def ask(method: str, path: str, key: str) -> requests.Response:
            body = {"model": "a/b", "messages": [{"role": "user", "content": "a"}]}
            body = {"prompt": "a"} if path.endswith("image") else body
            if path.endswith("ai/chat"):
                body = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "a"}]}]}
            headers = {"authorization": f"Bearer {key}"}
            return requests.request(method, url + path, json=body, headers=headers, timeout=20)

        before = statuses(anonymous, [unknown_key(0)])
        answers = [ask(*door, unknown_key(number)) for number, door in enumerate(asked, 1)]
        refused = [ask(*door, unknown_key(number)) for number, door in enumerate(asked, 10)]
        malformed = ask(*asked[0], "ppd_live_wrong")
        good = ask("GET", "/v1/models", api_key)

    assert before + [answer.status_code for answer in answers] == [401] * 5
    assert [answer.status_code for answer in refused] == [429] * 4
    assert {answer.headers["Retry-After"].isdigit() for answer in refused} == {True}
    assert refused[0].json()["error"]["code"] == refused[1].json()["error"] == "too_many_failed_sign_ins"
    assert malformed.status_code == 429
    assert good.status_code not in (401, 429)


# The admin's form


def sign_in(client: Client, email: str, password: str, **more: Any) -> Any:
    return client.post(LOGIN, {"username": email, "password": password, "next": "/admin/"}, **more)


@pytest.fixture
def operator(db: None) -> str:
    user = factories.UserFactory.create(email="boss@example.com", is_staff=True, is_superuser=True)
    assert user.email
    return user.email


def test_passwords_cannot_be_guessed(operator: str, client: Client) -> None:
    wrong = [sign_in(client, operator, f"{number}") for number in range(BY_ACCOUNT)]
    right = sign_in(client, operator.upper(), factories.PASSWORD)

    assert [answer.status_code for answer in wrong] == [200] * BY_ACCOUNT
    assert right.status_code == 429
    assert 100 < int(right["Retry-After"]) <= 200
    assert f"Too many failed sign-ins. Try again in {right['Retry-After']} seconds." in right.content.decode()
    assert "_auth_user_id" not in client.session


def test_a_name_that_nobody_has_is_refused_like_one_that_somebody_has(operator: str, client: Client) -> None:
    def tried(name: str) -> list[Any]:
        answers = [sign_in(client, name, "wrong", REMOTE_ADDR=f"192.0.2.{number}") for number in range(5)]
        return [(answer.status_code, waits_of(answer)) for answer in answers]

    assert tried(operator) == tried("nobody@example.com")


def test_an_address_that_guesses_is_refused_whoever_it_tries(operator: str, client: Client) -> None:
    for number in range(BY_ADDRESS):
        sign_in(client, f"{number}@example.com", "wrong")

    assert sign_in(client, operator, factories.PASSWORD).status_code == 429
    assert sign_in(client, operator, factories.PASSWORD, REMOTE_ADDR="192.0.2.9").status_code == 302


def test_whoever_signs_in_has_used_up_nothing(operator: str) -> None:
    answers = [sign_in(Client(), operator, factories.PASSWORD).status_code for _ in range(BY_ADDRESS + 3)]

    assert answers == [302] * len(answers)


def test_whoever_is_signed_in_cannot_guess_either(operator: str, client: Client) -> None:
    assert sign_in(client, operator, factories.PASSWORD).status_code == 302

    wrong = [sign_in(client, "other@example.com", "wrong").status_code for _ in range(BY_ACCOUNT + 1)]

    assert wrong == [200] * BY_ACCOUNT + [429]


def test_nobody_locks_an_operator_out_of_their_own_browser(operator: str, client: Client) -> None:
    assert sign_in(client, operator, factories.PASSWORD).status_code == 302
    client.cookies.pop("sessionid")
    stranger = Client()
    for _ in range(BY_ADDRESS + 1):
        sign_in(stranger, operator, "wrong")

    assert sign_in(stranger, operator, factories.PASSWORD).status_code == 429
    assert sign_in(client, operator, factories.PASSWORD).status_code == 302


def test_a_browser_of_ones_own_is_no_way_to_guess_anothers_password(operator: str, client: Client) -> None:
    factories.UserFactory.create(email="second@example.com", is_staff=True)
    assert sign_in(client, "second@example.com", factories.PASSWORD).status_code == 302
    for _ in range(BY_ACCOUNT):
        sign_in(client, operator, "wrong")
    assert sign_in(client, operator, factories.PASSWORD).status_code == 429

    wrong = [sign_in(client, "second@example.com", "wrong").status_code for _ in range(BY_ACCOUNT + 1)]
    assert wrong == [200] * BY_ACCOUNT + [429]
    client.cookies["signed_in_before"] = client.cookies["signed_in_before"].value[:-3] + "abc"
    assert sign_in(client, "second@example.com", factories.PASSWORD).status_code == 302


def test_whoever_reads_the_cookie_learns_no_name(operator: str, client: Client) -> None:
    answer = sign_in(client, operator, factories.PASSWORD)

    cookie = answer.cookies["signed_in_before"]
    assert "boss" not in cookie.value
    assert (cookie["httponly"], cookie["path"], cookie["samesite"]) == (True, LOGIN, "Lax")
