"""A request that moves money has its effect once, however often it is sent."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import idempotency
from accounts.models import IdempotentRequest
from credits.models import Account, Hold
from tests import factories
from tests.racing import at_once, raised

HOLDS = "/api/credits/holds"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"

pytestmark = pytest.mark.usefixtures("account")


def place(api: APIClient, key: str | None = KEY, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(HOLDS, {"amount": "5", **body}, headers=headers)


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_repeated_request_has_its_effect_once_and_the_first_answer_again(api: APIClient):
    first = place(api)
    again = place(api)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert Hold.objects.count() == 1


def test_answer_stays_the_first_though_the_world_has_moved_on(api: APIClient):
    first = place(api)
    api.post(f"{HOLDS}/{first.json()['id']}/release", headers={"Idempotency-Key": "another"})

    assert place(api).json()["status"] == "PENDING"


def test_quoted_key_is_the_same_as_the_bare_one(api: APIClient):
    first = place(api, KEY)

    assert place(api, f'"{KEY}"').content == first.content
    assert Hold.objects.count() == 1


@pytest.mark.parametrize("key", ["", '""', "a b", 'a"b', '"a', "a,b", "a\\b", "schlüssel", "x" * 256, f'"{"x" * 256}"'])
def test_what_is_no_key_is_refused(api: APIClient, key: str):
    assert refusal(place(api, key)) == (400, "INVALID_IDEMPOTENCY_KEY")
    assert not Hold.objects.exists()


def test_longest_key_is_kept_whole(api: APIClient):
    place(api, f'"{"x" * 255}"')

    assert refusal(place(api, "x" * 255, amount="6")) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_request_without_a_key_is_told_what_to_send(api: APIClient):
    response = place(api, None)

    assert refusal(response) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert "Idempotency-Key" in response.json()["message"]
    assert not Hold.objects.exists()


def test_same_key_with_another_body_is_refused(api: APIClient):
    place(api)

    assert refusal(place(api, amount="6")) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Hold.objects.count() == 1


def test_same_key_at_another_path_is_refused(api: APIClient):
    hold = place(api).json()

    response = api.post(f"{HOLDS}/{hold['id']}/release", headers={"Idempotency-Key": KEY})

    assert refusal(response) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Hold.objects.get().status == Hold.Status.PENDING


def test_order_of_names_and_white_space_make_no_other_body(api: APIClient):
    bodies = ['{"amount": "5", "reason": "a"}', '{"reason":"a",\n "amount":"5"}']

    first, again = (
        api.generic("POST", HOLDS, body, content_type="application/json", headers={"Idempotency-Key": KEY})
        for body in bodies
    )

    assert (first.status_code, again.content) == (201, first.content)


def test_key_belongs_to_its_customer(api: APIClient):
    others = factories.account(balance="10").customer
    other = APIClient(headers={"authorization": f"Bearer {factories.api_key(others)}"})

    assert [place(api).status_code, place(other, amount="6").status_code] == [201, 201]
    assert Hold.objects.count() == 2


def test_refusals_do_not_use_up_the_key(api: APIClient, account: Account):
    wrong = place(api, amount=5)
    unaffordable = place(api, amount="101")
    right = place(api)

    assert [wrong.status_code, unaffordable.status_code, right.status_code] == [400, 402, 201]
    assert IdempotentRequest.objects.count() == 1


def test_crash_before_the_commit_leaves_nothing(api: APIClient, account: Account, monkeypatch: pytest.MonkeyPatch):
    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(IdempotentRequest, "save", die)
    with pytest.raises(KeyboardInterrupt):
        place(api)
    monkeypatch.undo()
    account.refresh_from_db()

    assert (account.held, Hold.objects.count(), IdempotentRequest.objects.count()) == (0, 0, 0)
    assert place(api).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_sixteen_at_once_have_one_effect(api_key: str, account: Account):
    clients = [APIClient(headers={"authorization": f"Bearer {api_key}"}) for _ in range(16)]

    outcomes = at_once(*[lambda client=client: place(client) for client in clients])

    assert raised(outcomes) == []
    busy = {refusal(response) for response in outcomes if response.status_code != 201}
    assert busy <= {(409, "IDEMPOTENCY_IN_PROGRESS")}
    placed = [response for response in outcomes if response.status_code == 201]
    assert len({response.content for response in placed}) == 1
    assert len([response for response in placed if "Idempotent-Replayed" not in response.headers]) == 1
    assert Hold.objects.count() == IdempotentRequest.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_second_does_not_wait_for_the_first(api: APIClient, account: Account):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: the second waits")
    has_begun, may_end = threading.Event(), threading.Event()

    def run() -> None:
        with transaction.atomic():
            assert idempotency._try_lock(account.customer, KEY)
            has_begun.set()
            may_end.wait(10)
        connection.close()

    first = threading.Thread(target=run)
    first.start()
    has_begun.wait(10)
    during = place(api)
    may_end.set()
    first.join()

    assert refusal(during) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert during.headers["Retry-After"] == "1"
    assert place(api).status_code == 201


# What is kept is forgotten


def kept(days: int, number: int) -> IdempotentRequest:
    return IdempotentRequest.objects.create(
        customer=Account.objects.get().customer,
        key=f"{days}-{number}",
        method="POST",
        path=HOLDS,
        fingerprint="",
        status=201,
        body=json.dumps({}),
        created_at=timezone.now() - timedelta(days=days),
    )


def test_old_answers_are_forgotten_in_bounded_batches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    young = kept(29, 0)
    for number in range(5):
        kept(31, number)
    monkeypatch.setattr("accounts.management.commands.prune_idempotency.ANSWERS_A_BATCH", 2)

    call_command("prune_idempotency")

    assert list(IdempotentRequest.objects.all()) == [young]
    assert capsys.readouterr().out.startswith("5 answers of before ")


def test_batch_is_no_larger_than_its_limit(now):
    for number in range(3):
        kept(31, number)

    assert idempotency.prune(before=now, limit=2) == 2
    assert IdempotentRequest.objects.count() == 1


@pytest.mark.parametrize("days", ["0", "-1", "x", "99999999999"])
def test_pruning_that_makes_no_sense_is_refused(days: str):
    with pytest.raises(CommandError):
        call_command("prune_idempotency", "--older-than", days)


def test_what_was_forgotten_still_holds_once(api: APIClient):
    first = place(api).json()
    IdempotentRequest.objects.all().delete()

    again = place(api)

    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert Hold.objects.count() == 1
