"""A run of calls is paid from the budget that was held for it, whatever else happens to the account."""

from typing import Any
from uuid import uuid4

import pytest

from credits.models import Account, Hold
from tests import factories
from tests.ai.prepaid import MODEL, QUESTION, Prepaid, balance, until
from tests.simulator import RunningSimulator

HOLDS = "/api/credits/holds"


def post(caller: Prepaid, path: str, body: Any) -> dict[str, Any]:
    answer = caller.post(path, body, Idempotency_Key=str(uuid4()))
    assert answer.ok, answer.text
    return answer.json()


def hold(caller: Prepaid, amount: str) -> str:
    return post(caller, HOLDS, {"amount": amount})["id"]


def chat(caller: Prepaid, hold_id: str) -> Any:
    return caller.post("/v1/chat/completions", {"model": MODEL, "messages": QUESTION}, X_Hold_Id=hold_id)


def test_run_goes_on_though_the_account_is_spent_by_others(prepaid: Prepaid, account: Account):
    budget = hold(prepaid, "5")
    others = hold(prepaid, "95")
    post(prepaid, f"{HOLDS}/{others}/settle", {"amount": "95"})

    without = prepaid.chat()
    calls = [chat(prepaid, budget) for _ in range(3)]
    released = post(prepaid, f"{HOLDS}/{budget}/release", {})

    assert (without.status_code, [call.status_code for call in calls]) == (402, [200, 200, 200])
    assert balance(account) == (2, 0)
    seen = prepaid.get(f"{HOLDS}/{budget}").json()
    assert (released["status"], seen["spent"], seen["lent"], seen["calls"]) == ("RELEASED", "3", "0", 3)


def test_call_that_fails_gives_its_part_back_to_the_hold(prepaid: Prepaid, simulator: RunningSimulator):
    budget = hold(prepaid, "5")
    simulator.faults(status=500)  # however often it is tried

    failed = chat(prepaid, budget)

    assert failed.status_code == 502
    seen = until(lambda: (told := prepaid.get(f"{HOLDS}/{budget}").json())["lent"] == "0" and told)
    assert (seen["spent"], seen["free"]) == ("0", "5")


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        ("not an id", 400, "validation_error"),
        ("unknown", 404, "hold_not_found"),
        ("another's", 404, "hold_not_found"),
        ("over", 409, "hold_is_over"),
        ("too small", 402, "insufficient_credits"),
    ],
)
def test_hold_that_cannot_pay_is_refused_before_the_provider_hears_of_it(
    prepaid: Prepaid, simulator: RunningSimulator, account: Account, spoil: str, status: int, code: str
):
    budget = {
        "not an id": lambda: "17",
        "unknown": lambda: str(uuid4()),
        "another's": lambda: hold(Prepaid(prepaid.url, factories.api_key(factories.account(None, "10").customer)), "5"),
        "over": lambda: post(prepaid, f"{HOLDS}/{hold(prepaid, '5')}/release", {})["id"],
        "too small": lambda: hold(prepaid, "0.5"),
    }[spoil]()

    answer = chat(prepaid, budget)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert simulator.requests() == []
    assert not Hold.objects.exclude(parent=None).exists()
