"""People and teams read from Clerk: page by page, taken up again, tried without a trace, kept as by its webhooks."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import Customer, Membership, User
from accounts.profiles import forget_user
from tests.administration import fields_of, refusals
from tests.webhooks.clerk_server import KEY, FakeClerk, running_clerk
from tests.webhooks.test_clerk import EPOCH, user_data
from tests.webhooks.test_clerk_teams import TEAM_ID, membership, organization
from webhooks.clerk_sync import api
from webhooks.clerk_sync.services import sync
from webhooks.errors import ClerkUnreachable
from webhooks.models import SyncProgress

pytestmark = pytest.mark.django_db

URL = "/api/admin/users/sync"


def user(number: int, **more: Any) -> dict[str, Any]:
    return user_data() | {"id": f"user_{number:012}", "first_name": f"N{number}", "email_addresses": []} | more


@pytest.fixture
def clerk(settings: Settings) -> Iterator[FakeClerk]:
    with running_clerk() as clerk:
        settings.CLERK_API_URL, settings.CLERK_SECRET_KEY = clerk.url, KEY
        clerk.users = [user(number) for number in range(5)]
        yield clerk


def run(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("sync_clerk", *arguments, stdout=out)
    return out.getvalue().splitlines()


def names() -> list[str]:
    return [str(name) for name in User.objects.filter(external_id__startswith="user_0").values_list("name", flat=True)]


def test_everybody_is_read_and_the_second_time_changes_nothing(clerk: FakeClerk) -> None:
    clerk.users[3]["email_addresses"] = user_data()["email_addresses"]
    clerk.organizations = [organization()]
    data = {"user_id": clerk.users[1]["id"]}
    clerk.memberships = [membership(public_user_data=data, role="org:admin")]

    first, second = run("--page-size", "2"), run()

    assert first == [
        "users: 5 read: 5 new, 0 changed, 0 unchanged, 0 skipped.",
        "organizations: 1 read: 1 new, 0 changed, 0 unchanged, 0 skipped.",
        "memberships: 1 read: 1 new, 0 changed, 0 unchanged, 0 skipped.",
    ]
    assert second[0] == "users: 5 read: 0 new, 0 changed, 5 unchanged, 0 skipped."
    member = Membership.objects.get(customer__external_id=TEAM_ID)
    assert (member.role, member.user.name, member.customer.name) == ("ADMIN", "N1 Lovelace", "Acme 0")
    assert len([path for path in clerk.asked if path.startswith("/v1/users?")]) == 3 + 1
    assert SyncProgress.objects.count() == 0


def test_a_dry_run_says_by_id_what_would_change_and_changes_nothing(clerk: FakeClerk) -> None:
    run()
    clerk.users[1] = user(1, first_name="Other", updated_at=EPOCH + 10**6)
    clerk.users.append(user(7))
    before = list(User.objects.order_by("pk").values())

    told = run("--dry-run", "--page-size", "3")

    assert told == [
        "changed user_000000000001",
        "new user_000000000007",
        "users: 6 read: 1 new, 1 changed, 4 unchanged, 0 skipped.",
        "organizations: 0 read: 0 new, 0 changed, 0 unchanged, 0 skipped.",
        "memberships: 0 read: 0 new, 0 changed, 0 unchanged, 0 skipped.",
        "Nothing was changed.",
    ]
    assert list(User.objects.order_by("pk").values()) == before
    assert (Customer.objects.count(), SyncProgress.objects.count()) == (len(before), 0)


def test_a_run_that_was_cut_short_is_taken_up_again(clerk: FakeClerk) -> None:
    clerk.faults = [200, 200, 404]

    with pytest.raises(CommandError, match=r"Clerk answered 404\. What was read is kept; run it again to go on"):
        run("--page-size", "2")
    kept, asked = names(), len(clerk.asked)
    again = run("--page-size", "2")

    assert kept == ["N0 Lovelace", "N1 Lovelace"]
    assert again[0] == "users: 3 read: 3 new, 0 changed, 0 unchanged, 0 skipped."
    assert "offset=2" in clerk.asked[asked + 1]
    assert SyncProgress.objects.count() == 0


@pytest.mark.parametrize("how", ["restart", "a day later"])
def test_a_run_begins_at_the_beginning(clerk: FakeClerk, how: str) -> None:
    now = timezone.now() - (timedelta(hours=25) if how == "a day later" else timedelta())
    SyncProgress.objects.create(kind="users", offset=4, started_at=now)

    told = run("--restart") if how == "restart" else run()

    assert told[0].startswith("users: 5 read")


def test_newer_news_and_the_end_of_somebody_stay(clerk: FakeClerk) -> None:
    run()
    forget_user(clerk.users[0]["id"], now=timezone.now())
    clerk.users[1] = user(1, first_name="Older", updated_at=EPOCH - 10**6)

    assert run()[0] == "users: 5 read: 0 new, 0 changed, 5 unchanged, 0 skipped."
    assert names().count("") == 1


def test_what_cannot_be_kept_is_skipped_and_named(clerk: FakeClerk) -> None:
    odd: list[Any] = [{"id": "cpayer_1"}, {"id": 7, "updated_at": EPOCH}, user(8, updated_at=None), {"id": "a\0\n"}]
    clerk.users = [*odd, user(9, first_name="A\0b\ud800")]
    clerk.memberships = [membership(id="orgmem_x", organization=None)]

    told = run()

    assert told[:4] == ["skipped cpayer_1", "skipped 7", "skipped user_000000000008", "skipped ?"]
    assert told[5] == "users: 5 read: 1 new, 0 changed, 0 unchanged, 4 skipped."
    assert names() == ["Ab Lovelace"]


@pytest.mark.parametrize("fault", [429, 503])
def test_it_waits_for_a_clerk_that_is_busy(clerk: FakeClerk, monkeypatch, fault: int) -> None:
    waited: list[int] = []
    clerk.faults = [fault, fault]
    monkeypatch.setattr("time.sleep", waited.append)

    assert run()[0].startswith("users: 5 read")
    assert waited == [7, 7]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (302, "Clerk answered 302"),
        (b"not json", "not JSON"),
        (b'{"data": 1}', "no list"),
        (b"[1]", "no list"),
    ],
)
def test_a_clerk_that_answers_nonsense_is_refused(clerk: FakeClerk, fault: int | bytes, message: str) -> None:
    clerk.faults = [fault]

    with pytest.raises(ClerkUnreachable, match=message):
        api.read_page("/users", offset=0, limit=10)


def test_a_clerk_that_cannot_be_asked_is_said_so(clerk: FakeClerk, settings: Settings, monkeypatch) -> None:
    settings.CLERK_SECRET_KEY = "sk_wrong"
    with pytest.raises(CommandError, match="does not accept CLERK_SECRET_KEY"):
        run()
    settings.CLERK_API_URL = "http://clerk.example/v1"
    with pytest.raises(CommandError, match="CLERK_API_URL is not https"):
        run()
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    settings.CLERK_API_URL = "http://127.0.0.1:1/v1"
    with pytest.raises(CommandError, match="cannot be reached"):
        run()
    with pytest.raises(CommandError, match="page-size"):
        run("--page-size", "501")


def test_a_terminal_sees_how_far_it_has_come(clerk: FakeClerk, monkeypatch) -> None:
    terminal = StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]  # as a terminal says it is one
    call_command("sync_clerk", "--page-size", "4", stdout=StringIO(), stderr=terminal)

    assert f"users: [{'#' * 24}{'.' * 6}] 4 of 5" in terminal.getvalue()
    assert f"users: [{'#' * 30}] 5 of 5" in terminal.getvalue()


def test_a_page_is_kept_whole_with_how_far_the_run_came(clerk: FakeClerk, monkeypatch) -> None:
    def break_down(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SyncProgress.objects, "update_or_create", break_down)
    with pytest.raises(KeyboardInterrupt):
        list(sync(page_size=10, now=timezone.now()))

    assert names() == []


# Over HTTP


def test_others_are_refused(administrator: APIClient, api: APIClient) -> None:
    assert refusals(("POST", URL, {}), api=api) == [401, 403, 403]


def test_an_administrator_reads_users_in_parts(administrator: APIClient, clerk: FakeClerk) -> None:
    tried = administrator.post(URL, {"dryRun": True, "debug": True, "pageSize": 3}).json()
    assert (tried["createdUsers"], tried["debug"]["pagesProcessed"], names()) == (5, 2, [])
    assert tried["debug"]["effects"][0] == {"id": "user_000000000000", "effect": "new"}

    first = administrator.post(URL, {"pageSize": 2, "maxPages": 2}).json()
    rest = administrator.post(URL, {"pageSize": 2, "offset": first["nextOffset"]}).json()

    assert first == {"processed": 4, "createdUsers": 4, "changedUsers": 0, "skippedUsers": 0, "nextOffset": 4}
    assert rest == {"processed": 1, "createdUsers": 1, "changedUsers": 0, "skippedUsers": 0, "nextOffset": None}
    assert administrator.post(URL, {"syncUsers": False}).json()["processed"] == 0


def test_a_wrong_field_is_named(administrator: APIClient, clerk: FakeClerk) -> None:
    wrong = [
        ({"setCredits": True}, "body.setCredits"),
        ({"syncPlans": True}, "body.syncPlans"),
        ({"syncUsers": "true"}, "body.syncUsers"),
        ({"pageSize": 201}, "body.pageSize"),
        ({"maxPages": 21}, "body.maxPages"),
        ({"offset": -1}, "body.offset"),
        ({"offset": 10**30}, "body.offset"),
        ({"overrideCredits": 5}, "body"),
    ]

    named = [(field, fields_of(administrator.post(URL, body))) for body, field in wrong]

    assert [each for each in named if each[1] != [each[0]]] == []
    assert clerk.asked == []


def test_clerks_failures_are_not_ours(administrator: APIClient, clerk: FakeClerk, settings: Settings) -> None:
    clerk.faults = [429, 500]
    busy, broken = administrator.post(URL, {}), administrator.post(URL, {})
    settings.CLERK_SECRET_KEY = ""
    missing = administrator.post(URL, {})

    assert [(answer.status_code, answer.json()["error"]) for answer in (busy, broken, missing)] == [
        (502, "clerk_unreachable"), (502, "clerk_unreachable"), (501, "clerk_not_configured"),
    ]  # fmt: skip
    assert KEY not in json.dumps([busy.json(), broken.json()])
