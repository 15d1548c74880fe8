"""Session holds over HTTP: placed, read and ended by their customer, and by nobody else."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, Hold, LedgerEntry
from tests import factories

HOLDS = "/api/credits/holds"
MISSING = "01a1fc15-f09c-7f66-a1d3-88efe8178ebf"
keys = count()


def post(api: APIClient, path: str, body: Any = None) -> Any:
    return api.post(path, body, headers={"Idempotency-Key": f"key-{next(keys)}"})


def place(api: APIClient, amount: str = "5", **terms: Any) -> dict[str, Any]:
    response = post(api, HOLDS, {"amount": amount, **terms})
    assert response.status_code == 201, response.content
    return response.json()


def draw(account: Account, session: str, whole: int) -> str:
    """Let a call draw on ``session``."""
    now = timezone.now()
    hold_id = services.new_hold_id()
    request = HoldRequest(
        hold_id, account.pk, None, credits(whole), now + timedelta(minutes=5), parent_id=hex_(session)
    )
    services.place_holds([request], now=now)
    return hold_id


def settle_call(hold_id: str, whole: int) -> None:
    services.settle_holds([(hold_id, credits(whole))], actor="key:1", now=timezone.now())


def hex_(id_: str) -> str:
    return id_.replace("-", "")


def parts(hold: dict[str, Any]) -> tuple[str, str, str, str]:
    return hold["status"], hold["spent"], hold["lent"], hold["free"]


def client(**terms: Any) -> APIClient:
    return APIClient(headers={"authorization": f"Bearer {factories.api_key(**terms)}"})


def test_placed_hold_sets_its_amount_aside(api: APIClient, account: Account, now):
    hold = place(api, "5.5", expiresIn=600, reason="run 42")

    kept = Hold.objects.get()
    account.refresh_from_db()
    assert account.held == kept.amount == 55_000_000
    assert kept.expires_at - kept.created_at == timedelta(minutes=10)
    assert hold == {
        "id": str(kept.pk),
        "status": "PENDING",
        "amount": "5.5",
        "spent": "0",
        "lent": "0",
        "free": "5.5",
        "calls": 0,
        "reason": "run 42",
        "createdAt": hold["createdAt"],
        "expiresAt": hold["expiresAt"],
        "resolvedAt": None,
    }


def test_hold_lasts_an_hour_unless_told_otherwise(api: APIClient, account: Account):
    place(api)

    kept = Hold.objects.get()
    assert kept.expires_at - kept.created_at == timedelta(hours=1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.amount"),
        ({"amount": 5}, "body.amount"),
        ({"amount": "0"}, "body.amount"),
        ({"amount": "-1"}, "body.amount"),
        ({"amount": "1e3"}, "body.amount"),
        ({"amount": " 1"}, "body.amount"),
        ({"amount": "1.12345678"}, "body.amount"),
        ({"amount": "1", "expiresIn": 59}, "body.expiresIn"),
        ({"amount": "1", "expiresIn": 86401}, "body.expiresIn"),
        ({"amount": "1", "expiresIn": "600"}, "body.expiresIn"),
        ({"amount": "1", "expiresIn": 600.5}, "body.expiresIn"),
        ({"amount": "1", "expiresIn": True}, "body.expiresIn"),
        ({"amount": "1", "reason": "x" * 201}, "body.reason"),
        ({"amount": "1", "surprise": 1}, "body"),
    ],
)
def test_what_makes_no_hold_is_named(api: APIClient, account: Account, body: dict[str, Any], field: str):
    response = post(api, HOLDS, body)

    assert (response.status_code, [fault["field"] for fault in response.json()["details"]]) == (400, [field])
    assert not Hold.objects.exists()


def test_whole_seconds_may_be_written_with_a_point(api: APIClient, account: Account):
    hold = place(api, "1", expiresIn=600.0)

    assert Hold.objects.get().expires_at - Hold.objects.get().created_at == timedelta(seconds=600)
    assert hold["amount"] == "1"


def test_hold_of_more_than_there_is_is_refused(api: APIClient, account: Account):
    response = post(api, HOLDS, {"amount": "100.5"})

    assert response.status_code == 402
    assert (response.json()["required"], response.json()["available"]) == ("100.5", 100)


def test_hold_tells_what_its_calls_came_to(api: APIClient, account: Account):
    hold = place(api, "10")
    settle_call(draw(account, hold["id"], 3), 2)
    draw(account, hold["id"], 4)

    seen = api.get(f"{HOLDS}/{hold['id']}").json()

    assert (parts(seen), seen["calls"]) == (("PENDING", "2", "4", "4"), 2)


def test_nothing_is_free_of_a_hold_whose_time_is_over(api: APIClient, account: Account):
    hold = place(api, "5")
    end = Hold.objects.get().expires_at

    for instant, free in ((end - timedelta.resolution, "5"), (end, "0")):
        with time_machine.travel(instant, tick=False):
            assert api.get(f"{HOLDS}/{hold['id']}").json()["free"] == free


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("settle", {}, "body.amount"),
        ("settle", {"amount": "x"}, "body.amount"),
        ("settle", {"amount": "1", "surprise": 1}, "body"),
        ("release", {"surprise": 1}, "body"),
    ],
)
def test_what_ends_no_hold_is_named(api: APIClient, account: Account, path: str, body: dict[str, Any], field: str):
    hold = place(api)

    response = post(api, f"{HOLDS}/{hold['id']}/{path}", body)

    assert (response.status_code, [fault["field"] for fault in response.json()["details"]]) == (400, [field])
    assert Hold.objects.get().status == "PENDING"


def test_release_gives_back_what_is_left_and_running_calls_keep_their_parts(api: APIClient, account: Account):
    hold = place(api, "10")
    call = draw(account, hold["id"], 4)

    released = post(api, f"{HOLDS}/{hold['id']}/release")
    account.refresh_from_db()
    during = account.held
    settle_call(call, 3)
    account.refresh_from_db()

    assert (released.status_code, parts(released.json())) == (200, ("RELEASED", "0", "4", "0"))
    assert (during, account.held, account.balance) == (credits(4), 0, credits(97))
    assert parts(api.get(f"{HOLDS}/{hold['id']}").json()) == ("RELEASED", "3", "0", "0")


def test_settle_spends_and_gives_the_rest_back(api: APIClient, account: Account, api_key: str):
    hold = place(api, "10", reason="rendering")

    settled = post(api, f"{HOLDS}/{hold['id']}/settle", {"amount": "2.5"})

    entry = LedgerEntry.objects.get(kind=LedgerEntry.Kind.USAGE)
    key_id = account.customer.api_keys.get().pk
    assert (settled.status_code, parts(settled.json())) == (200, ("SETTLED", "2.5", "0", "0"))
    assert (entry.amount, entry.memo, entry.actor) == (-25_000_000, "rendering", f"key:{key_id}")


def test_settle_of_more_than_is_free_is_refused_and_ends_nothing(api: APIClient, account: Account):
    hold = place(api, "10")
    draw(account, hold["id"], 4)

    response = post(api, f"{HOLDS}/{hold['id']}/settle", {"amount": "7"})

    assert (response.status_code, response.json()["required"], response.json()["available"]) == (402, 7, 6)
    assert parts(api.get(f"{HOLDS}/{hold['id']}").json()) == ("PENDING", "0", "4", "6")


def test_hold_that_has_ended_stays_as_it_was(api: APIClient, account: Account):
    hold = place(api)
    post(api, f"{HOLDS}/{hold['id']}/settle", {"amount": "2"})

    late = [
        post(api, f"{HOLDS}/{hold['id']}/settle", {"amount": "3"}),
        post(api, f"{HOLDS}/{hold['id']}/release"),
    ]

    assert [(response.status_code, parts(response.json())) for response in late] == [
        (200, ("SETTLED", "2", "0", "0"))
    ] * 2


@pytest.mark.parametrize("path", ["", "/settle", "/release"])
@pytest.mark.parametrize("id_", [MISSING, "1", "x" * 100])
def test_hold_that_is_not_there_is_not_found(api: APIClient, account: Account, path: str, id_: str):
    response = (
        post(api, f"{HOLDS}/{id_}{path}", {"amount": "1"} if path == "/settle" else None)
        if path
        else api.get(f"{HOLDS}/{id_}")
    )

    assert (response.status_code, response.json()["code"]) == (404, "HOLD_NOT_FOUND")


def test_hold_of_others_is_not_found_and_stays(api: APIClient, account: Account):
    others = factories.account(balance="10").customer
    hold = place(client(customer=others))

    answers = [
        api.get(f"{HOLDS}/{hold['id']}"),
        post(api, f"{HOLDS}/{hold['id']}/settle", {"amount": "1"}),
        post(api, f"{HOLDS}/{hold['id']}/release"),
    ]

    assert [answer.json()["code"] for answer in answers] == ["HOLD_NOT_FOUND"] * 3
    assert api.get(HOLDS).json()["holds"] == []
    assert Hold.objects.get().status == Hold.Status.PENDING


def test_hold_that_pays_for_a_call_or_for_our_own_work_is_none_of_the_customers(api: APIClient, account: Account, now):
    ours = [
        HoldRequest(services.new_hold_id(), account.pk, key, 5, now + timedelta(hours=1)) for key in (None, "job-1")
    ]
    services.place_holds(ours, now=now)

    answers = [post(api, f"{HOLDS}/{hold.id}/release") for hold in ours]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert api.get(HOLDS).json()["pagination"]["total"] == 0
    assert Hold.objects.filter(status=Hold.Status.PENDING).count() == 2


def test_list_has_pending_holds_first_then_the_newest(api: APIClient, account: Account):
    oldest, older, newest = (place(api, reason=reason) for reason in ("oldest", "older", "newest"))
    post(api, f"{HOLDS}/{newest['id']}/release")

    first, second = (api.get(HOLDS, {"page": page, "pageSize": 2}).json() for page in (1, 2))

    assert [hold["id"] for hold in first["holds"] + second["holds"]] == [older["id"], oldest["id"], newest["id"]]
    assert first["pagination"] == {"page": 1, "pageSize": 2, "total": 3, "pages": 2}


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"scopes": ["read"]}, (200, 403)),
        ({"scopes": ["ai"]}, (403, 201)),
        ({"mode": "test"}, (200, 402)),
        ({}, (200, 201)),
    ],
)
def test_looking_needs_read_and_spending_needs_ai(account: Account, terms: dict[str, Any], status: tuple[int, int]):
    caller = client(customer=account.customer, **terms)

    assert (caller.get(HOLDS).status_code, post(caller, HOLDS, {"amount": "1"}).status_code) == status


def test_nobody_without_a_credential_is_served(anonymous: APIClient, db):
    assert [anonymous.get(HOLDS).status_code, post(anonymous, HOLDS, {"amount": "1"}).status_code] == [401, 401]


def test_answers_to_changes_are_not_kept_by_caches(api: APIClient, account: Account):
    assert post(api, HOLDS, {"amount": "1"}).headers["Cache-Control"] == "no-store"
