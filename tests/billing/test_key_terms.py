"""What a key is for and how much it may be used: said when it is made, changed, inherited by its successor."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys
from accounts.models import ApiKey, AuditEntry, Customer
from accounts.services import rotate_key
from credits.models import Account
from tests import factories
from tests.racing import at_once

URL = "/api/keys"
TERMS = {
    "name": "production",
    "models": ["openai/*", "anthropic/claude-3.5", "openai/*"],
    "features": ["ai_text_chat"],
    "addresses": ["192.0.2.7", "2001:db8::/32"],
    "budget": {"amount": "12.5", "period": "MONTH"},
    "limits": {"requestsPerMinute": 60, "tokensPerMinute": None},
    "cacheSeconds": 3600,
    "metadata": {"team": "search", "note": ""},
}
SHOWN = {
    "name": "production",
    "models": ["openai/*", "anthropic/claude-3.5"],
    "features": ["ai_text_chat"],
    "addresses": ["192.0.2.7/32", "2001:db8::/32"],
    "budget": {"amount": "12.5", "period": "MONTH", "currency": "credits"},
    "limits": {"requestsPerMinute": 60, "tokensPerMinute": None, "concurrentCalls": None},
    "cacheSeconds": 3600,
    "metadata": {"team": "search", "note": ""},
}

pytestmark = pytest.mark.django_db


def made(api: APIClient, **terms: Any) -> Any:
    response = api.post(URL, {"name": "A key", **terms})
    assert response.status_code == 201, response.content
    return response.json()


def using(text: str) -> APIClient:
    return APIClient(headers={"x-api-key": text})


def details(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400, response.content
    return sorted((detail["field"], detail["code"]) for detail in response.json()["details"])


def test_terms_are_kept_as_they_are_said(api: APIClient) -> None:
    key = made(api, **TERMS)

    assert {name: key[name] for name in SHOWN} == SHOWN
    assert {name: value for name, value in api.get(f"{URL}/{key['id']}").json().items() if name in SHOWN} == SHOWN
    row = ApiKey.objects.get(pk=key["id"])
    assert (row.budget, row.budget_period, row.requests_per_minute) == (125_000_000, "MONTH", 60)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"models": ["open ai"]}, [("body.models[0]", "INVALID_MODEL")]),
        ({"models": ["a[b]"]}, [("body.models[0]", "INVALID_MODEL")]),
        ({"models": [7]}, [("body.models[0]", "INVALID_MODEL")]),
        ({"models": "openai/*"}, [("body.models", "NOT_A_LIST")]),
        ({"models": ["a"] * 51}, [("body.models", "MAX_LENGTH")]),
        ({"models": None}, [("body.models", "NULL")]),
        ({"features": ["ai_text"]}, [("body.features[0]", "INVALID_CHOICE")]),
        ({"addresses": ["192.0.2.7/24"]}, [("body.addresses[0]", "INVALID_NETWORK")]),
        ({"addresses": ["here"]}, [("body.addresses[0]", "INVALID_NETWORK")]),
        ({"addresses": [3221225985]}, [("body.addresses[0]", "INVALID_NETWORK")]),
        ({"budget": {"amount": "5"}}, [("body.budget.period", "REQUIRED")]),
        ({"budget": {"amount": 5, "period": "DAY"}}, [("body.budget.amount", "INVALID")]),
        ({"budget": {"amount": "0", "period": "DAY"}}, [("body.budget.amount", "INVALID")]),
        ({"budget": {"amount": "5", "period": "YEAR"}}, [("body.budget.period", "INVALID_CHOICE")]),
        ({"budget": {"amount": "5", "period": "DAY", "reset": 1}}, [("body.budget", "UNRECOGNIZED_KEYS")]),
        ({"limits": {"requestsPerMinute": 0}}, [("body.limits.requestsPerMinute", "MIN_VALUE")]),
        ({"limits": {"concurrentCalls": 2**31}}, [("body.limits.concurrentCalls", "MAX_VALUE")]),
        ({"limits": []}, [("body.limits", "INVALID")]),
        ({"cacheSeconds": -1}, [("body.cacheSeconds", "MIN_VALUE")]),
        ({"cacheSeconds": 2_592_001}, [("body.cacheSeconds", "MAX_VALUE")]),
        ({"cacheSeconds": "1h"}, [("body.cacheSeconds", "INVALID")]),
        ({"metadata": {"a": 1}}, [("body.metadata.a", "INVALID")]),
        ({"metadata": {str(number): "" for number in range(21)}}, [("body.metadata", "TOO_MANY")]),
        ({"metadata": {"": "x"}}, [("body.metadata", "TOO_MANY")]),
    ],
)
@pytest.mark.parametrize("method", ["post", "patch"])
def test_a_wrong_term_is_named(api: APIClient, method: str, terms: Any, expected: list[tuple[str, str]]) -> None:
    key = made(api)
    path, body = (URL, {"name": "x", **terms}) if method == "post" else (f"{URL}/{key['id']}", terms)

    assert details(getattr(api, method)(path, body)) == expected
    assert list(ApiKey.objects.values_list("name", "budget").order_by("pk")) == [
        ("Key of a test", None),
        ("A key", None),
    ]


def test_what_is_changed_counts_and_the_rest_stays(api: APIClient) -> None:
    key = made(api, **TERMS)

    changed = api.patch(f"{URL}/{key['id']}", {"models": [], "budget": None, "limits": {"concurrentCalls": 3}}).json()

    limits = {"requestsPerMinute": None, "tokensPerMinute": None, "concurrentCalls": 3}
    assert {name: changed[name] for name in SHOWN} == SHOWN | {"models": [], "budget": None, "limits": limits}
    entry = AuditEntry.objects.filter(action="key.changed").get()
    fields = ["allowed_models", "budget", "budget_period", "concurrent_calls", "requests_per_minute"]
    assert (entry.subject, entry.details) == (f"key:{key['id']}", {"fields": fields})


def test_a_key_that_is_over_cannot_be_changed_or_rotated(api: APIClient) -> None:
    path = f"{URL}/{made(api)['id']}"
    api.delete(path)

    for response in (api.patch(path, {"name": "x"}), api.post(f"{path}/rotate")):
        assert (response.status_code, response.json()["code"]) == (409, "KEY_IS_OVER")


def test_a_limited_key_makes_and_changes_none(api: APIClient) -> None:
    limited = using(made(api, scopes=["manage", "read"], models=["openai/*"])["key"])
    path = f"{URL}/{made(api, scopes=['read'])['id']}"

    assert limited.post(URL, {"name": "More", "scopes": ["read"]}).status_code == 403
    assert limited.patch(path, {"name": "Mine"}).status_code == 403
    assert limited.post(f"{path}/rotate").status_code == 403
    assert limited.delete(path).status_code == 204


def test_an_expiring_key_makes_none_that_outlives_it(api: APIClient) -> None:
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    later = (timezone.now() + timedelta(hours=2)).isoformat()
    expiring = using(made(api, scopes=["manage"], expiresAt=soon)["key"])

    assert expiring.post(URL, {"name": "x", "scopes": ["manage"]}).status_code == 403
    assert expiring.post(URL, {"name": "x", "scopes": ["manage"], "expiresAt": later}).status_code == 403
    assert expiring.post(URL, {"name": "x", "scopes": ["manage"], "expiresAt": soon}).status_code == 201


def test_nobody_gets_hold_of_a_key_that_may_do_more(api: APIClient) -> None:
    """Rotating shows a key; so does making one. Whoever manages only gets keys that only manage."""
    manager = using(made(api, scopes=["manage"])["key"])
    path = f"{URL}/{made(api, scopes=['ai'])['id']}"

    assert manager.post(f"{path}/rotate").status_code == 403
    assert manager.patch(path, {"scopes": ["ai", "manage"]}).status_code == 403


def test_a_test_key_touches_no_live_key(api: APIClient) -> None:
    test = using(made(api, mode="test", scopes=["ai", "read", "manage"])["key"])
    path = f"{URL}/{made(api)['id']}"

    assert test.patch(path, {"name": "x"}).status_code == 403
    assert test.post(f"{path}/rotate").status_code == 403
    assert test.delete(path).status_code == 403


# Rotation


def test_both_keys_work_until_the_overlap_is_over(api: APIClient, customer: Customer) -> None:
    old = made(api, **{**TERMS, "addresses": []})

    response = api.post(f"{URL}/{old['id']}/rotate", {"overlap": 600})

    assert response.status_code == 201
    new = response.json()
    assert {name: new[name] for name in SHOWN} == {name: old[name] for name in SHOWN}
    assert (new["replaces"]["id"], new["replaces"]["replacedBy"]) == (old["id"], new["id"])
    assert [using(key["key"]).get(URL).status_code for key in (old, new)] == [200, 200]
    listed = {key["id"]: key["status"] for key in api.get(URL).json()["keys"]}
    assert (listed[old["id"]], listed[new["id"]]) == ("active", "active")
    ApiKey.objects.filter(pk=old["id"]).update(
        created_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now()
    )
    assert [using(key["key"]).get(URL).status_code for key in (old, new)] == [401, 200]


def test_without_an_overlap_the_old_key_ends_at_once(api: APIClient) -> None:
    old = made(api)

    new = api.post(f"{URL}/{old['id']}/rotate", {"overlap": 0}).json()

    assert [using(key["key"]).get(URL).status_code for key in (old, new)] == [401, 200]
    assert new["replaces"]["status"] == "revoked"


def test_a_key_is_rotated_once_and_its_successor_again(api: APIClient) -> None:
    first = made(api)
    second = api.post(f"{URL}/{first['id']}/rotate").json()

    again = api.post(f"{URL}/{first['id']}/rotate")
    third = api.post(f"{URL}/{second['id']}/rotate").json()

    assert (again.status_code, again.json()["code"], again.json()["replacedBy"]) == (
        409,
        "KEY_ALREADY_ROTATED",
        second["id"],
    )
    assert [using(key["key"]).get(URL).status_code for key in (first, second, third)] == [200, 200, 200]


def test_an_overlap_lengthens_nothing(api: APIClient) -> None:
    soon = (timezone.now() + timedelta(minutes=1)).replace(microsecond=0)
    old = made(api, expiresAt=soon.isoformat())

    new = api.post(f"{URL}/{old['id']}/rotate", {"overlap": 86400}).json()

    assert new["replaces"]["expiresAt"] == new["expiresAt"] == soon.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("overlap", [-1, 30 * 86400 + 1, "soon", None])
def test_an_overlap_is_at_most_thirty_days(api: APIClient, overlap: Any) -> None:
    path = f"{URL}/{made(api)['id']}/rotate"

    assert [field for field, _ in details(api.post(path, {"overlap": overlap}))] == ["body.overlap"]


def test_a_limited_key_may_replace_itself(api: APIClient) -> None:
    key = made(api, scopes=["manage", "read"], models=["openai/*"])

    new = using(key["key"]).post(f"{URL}/{key['id']}/rotate").json()

    assert (new["models"], new["scopes"]) == (["openai/*"], ["read", "manage"])


@pytest.mark.django_db(transaction=True)
def test_of_many_rotations_at_once_one_happens(customer: Customer) -> None:
    factories.api_key(customer)
    key = ApiKey.objects.get()

    def rotate() -> str:
        try:
            rotate_key(key, overlap=timedelta(hours=1), actor="system", now=timezone.now())
        except Exception as refusal:
            return type(refusal).__name__
        return "rotated"

    outcomes = at_once(rotate, rotate, rotate, rotate)

    assert sorted(outcomes) == ["KeyAlreadyRotated"] * 3 + ["rotated"]
    assert ApiKey.objects.count() == 2


# Lists, usage, and who did it


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=active", ["Zed", "alpha", "Beta", "Key of a test"]),
        ("status=revoked", ["Gone"]),
        ("status=expired", ["Old"]),
        ("mode=test", ["Zed"]),
        ("search=ALPH", ["alpha"]),
        ("search=nothing", []),
        ("sort=createdAt&status=active", ["Key of a test", "Beta", "alpha", "Zed"]),
        ("sort=name&status=active", ["alpha", "Beta", "Key of a test", "Zed"]),
        ("sort=-lastUsedAt&pageSize=1", ["Key of a test"]),
    ],
)
def test_keys_are_found(api: APIClient, customer: Customer, query: str, names: list[str]) -> None:
    now = timezone.now()
    for name in ("Gone", "Old", "Beta", "alpha", "Zed"):
        factories.api_key(customer, name=name, mode="test" if name == "Zed" else "live")
    ApiKey.objects.filter(name="Gone").update(revoked_at=now)
    ApiKey.objects.filter(name="Old").update(created_at=now - timedelta(days=2), expires_at=now)

    found = [key["name"] for key in api.get(f"{URL}?{query}").json()["keys"]]

    assert found == names


@pytest.mark.parametrize("query", ["status=gone", "mode=prod", "sort=id", "search=" + "x" * 101])
def test_a_wrong_filter_is_named(api: APIClient, query: str) -> None:
    assert [field for field, _ in details(api.get(f"{URL}?{query}"))] == [f"query.{query.split('=')[0]}"]


def test_a_list_is_not_sent_again_while_it_is_the_same(api: APIClient) -> None:
    ApiKey.objects.update(last_used_at=timezone.now())
    tag = api.get(URL).headers["ETag"]

    assert api.get(URL, headers={"if-none-match": tag}).status_code == 304


def test_a_key_tells_what_it_used(api: APIClient, account: Account) -> None:
    one, other = made(api)["id"], made(api)["id"]
    factories.usage(account, "2", api_key_id=one)
    factories.usage(account, "5", api_key_id=other)

    body = api.get(f"{URL}/{one}/usage?groupBy=feature").json()

    assert (body["totals"]["charged"], body["totals"]["calls"]) == ("2", 1)
    assert api.get(f"{URL}/{one}/usage?key={other}").status_code == 400


def test_a_strangers_key_tells_nothing(api: APIClient) -> None:
    factories.api_key()
    stranger = ApiKey.objects.latest("pk").pk

    for response in (
        api.get(f"{URL}/{stranger}/usage"),
        api.patch(f"{URL}/{stranger}", {"name": "x"}),
        api.post(f"{URL}/{stranger}/rotate"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "API_KEY_NOT_FOUND")


def test_who_made_and_revoked_a_key_is_written_down(api: APIClient, api_key: str) -> None:
    own = ApiKey.objects.get(digest=keys.digest(api_key, pepper=settings.API_KEY_PEPPER)).pk
    key = made(api)["id"]
    api.delete(f"{URL}/{key}")
    api.delete(f"{URL}/{key}")

    written = AuditEntry.objects.filter(subject=f"key:{key}").order_by("pk").values_list("action", "actor")
    assert list(written) == [("key.created", f"key:{own}"), ("key.revoked", f"key:{own}")]
    assert ApiKey.objects.get(pk=key).revoked_by == f"key:{own}"
