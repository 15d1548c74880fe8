"""People who are asked to sign up: once, by a mail that leads somewhere, and forgotten with them."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.leaving import leave_for_good
from accounts.models import AuditEntry, SignUpInvitation, User
from accounts.profiles import forget_user
from tests.accounts.people import person
from tests.administration import fields_of, queries, refusals

pytestmark = pytest.mark.django_db

INVITE, LIST = "/api/admin/users/invite", "/api/admin/users/invitations"
CHARLES = {"email": "Charles+1@Example.com", "name": "Charles"}


@pytest.fixture(autouse=True)
def sign_up_url(settings: Settings) -> None:
    settings.SIGN_UP_URL = "https://app.example.com/sign-up?email={email}"


def invited(client: APIClient, **body: Any) -> int:
    id_: int = client.post(INVITE, {**CHARLES, **body}).json()["invitation"]["id"]
    return id_


def sent_long_ago() -> None:
    SignUpInvitation.objects.update(sent_at=timezone.now() - timedelta(hours=1))


def listed(client: APIClient, **asked: str) -> list[tuple[str, str]]:
    return [(row["emailAddress"], row["status"]) for row in client.get(LIST, asked).json()["invitations"]]


def test_others_are_refused(administrator: APIClient, api: APIClient) -> None:
    asked = [
        ("POST", INVITE, CHARLES),
        ("GET", LIST, None),
        ("POST", f"{LIST}/1/resend", {}),
        ("POST", f"{LIST}/1/revoke", {}),
    ]

    assert [refusals(each, api=api) for each in asked] == [[401, 403, 403]] * 4
    assert (len(mail.outbox), SignUpInvitation.objects.count()) == (0, 0)


def test_who_is_invited_gets_a_mail_that_leads_to_the_page(administrator: APIClient) -> None:
    response = administrator.post(INVITE, CHARLES)

    body = response.json()
    assert (response.status_code, body["status"], body["mailed"]) == (201, "invited", True)
    assert {name: body["invitation"][name] for name in ("emailAddress", "status", "revoked")} == {
        "emailAddress": "charles+1@example.com", "status": "pending", "revoked": False,
    }  # fmt: skip
    [message] = mail.outbox
    assert message.to == ["charles+1@example.com"]
    assert "Boss invites you" in message.body
    assert "https://app.example.com/sign-up?email=charles%2B1%40example.com" in message.body
    boss = User.objects.get(external_id="user_boss")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.customer) == ("sign_up.invited", f"user:{boss.pk}", None)
    assert "charles" not in str(entry.details)


def test_who_is_there_already_is_not_invited(administrator: APIClient) -> None:
    known = person(email="charles+1@example.com")

    response = administrator.post(INVITE, CHARLES)

    assert (response.status_code, response.json()) == (
        200, {"status": "exists", "userId": known.pk, "clerkUserId": known.external_id},
    )  # fmt: skip
    assert mail.outbox == []


def test_an_address_is_invited_once_until_that_is_over(administrator: APIClient) -> None:
    first = invited(administrator)
    again = administrator.post(INVITE, CHARLES)
    SignUpInvitation.objects.update(expires_at=timezone.now())
    later = invited(administrator)
    administrator.post(f"{LIST}/{later}/revoke")

    assert (again.status_code, again.json()["error"]) == (409, "already_invited")
    assert len({first, later, invited(administrator)}) == 3


def test_an_invitation_is_sent_again_for_another_time(administrator: APIClient) -> None:
    id_ = invited(administrator)
    too_soon = administrator.post(f"{LIST}/{id_}/resend")
    sent_long_ago()
    SignUpInvitation.objects.update(expires_at=timezone.now())
    assert listed(administrator, status="expired") == [("charles+1@example.com", "expired")]

    resent = administrator.post(f"{LIST}/{id_}/resend")

    assert (too_soon.status_code, too_soon["Retry-After"]) == (429, "60")
    assert resent.json() == {"status": "resent", "mailed": True}
    assert len(mail.outbox) == 2
    assert listed(administrator, status="pending") == [("charles+1@example.com", "pending")]


def test_what_is_over_stays_so(administrator: APIClient) -> None:
    taken_back, accepted = invited(administrator), invited(administrator, email="ada@example.com")
    revoked = [administrator.post(f"{LIST}/{taken_back}/revoke").json() for _ in range(2)]
    person(email="ada@example.com")
    sent_long_ago()

    refused = [
        administrator.post(f"{LIST}/{taken_back}/resend"),
        administrator.post(f"{LIST}/{accepted}/resend"),
        administrator.post(f"{LIST}/{accepted}/revoke"),
    ]

    assert revoked == [{"status": "revoked"}] * 2
    assert [(answer.status_code, answer.json()["error"]) for answer in refused] == [(409, "invitation_is_over")] * 3
    assert listed(administrator) == [("ada@example.com", "accepted"), ("charles+1@example.com", "revoked")]
    assert AuditEntry.objects.filter(action="sign_up.revoked").count() == 1


def test_the_list_is_narrowed_and_paged(administrator: APIClient) -> None:
    for number in range(3):
        invited(administrator, email=f"person{number}@example.com", name=f"N{number}")

    assert listed(administrator, search="PERSON1") == [("person1@example.com", "pending")]
    assert listed(administrator, search="n2") == [("person2@example.com", "pending")]
    assert listed(administrator, status="revoked") == []
    assert listed(administrator, page="2", pageSize="2") == [("person0@example.com", "pending")]
    few = queries(lambda: administrator.get(LIST))
    for number in range(3, 8):
        invited(administrator, email=f"person{number}@example.com")
    assert queries(lambda: administrator.get(LIST)) == few


def test_a_wrong_field_is_named(administrator: APIClient) -> None:
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"email": "nobody"}, "body.email"),
        ({"email": "x" * 250 + "@example.com"}, "body.email"),
        ({"email": 7}, "body.email"),
        ({"name": "x" * 201}, "body.name"),
        ({"role": "ADMIN"}, "body"),
    ]
    parameters = [({"status": "open"}, "query.status"), ({"page": "0"}, "query.page"), ({"q": "x"}, "query"),
                  ({"search": "a\0"}, "query.search")]  # fmt: skip

    named = [(field, fields_of(administrator.post(INVITE, {**CHARLES, **body}))) for body, field in bodies]
    named += [(field, fields_of(administrator.get(LIST, asked))) for asked, field in parameters]

    assert [each for each in named if each[1] != [each[0]]] == []
    assert mail.outbox == []


def test_without_a_page_nobody_is_invited(administrator: APIClient, settings: Settings) -> None:
    id_ = invited(administrator)
    settings.SIGN_UP_URL = ""

    refused = [administrator.post(INVITE, {"email": "x@example.com"}), administrator.post(f"{LIST}/{id_}/resend")]

    assert [(answer.status_code, answer.json()["error"]) for answer in refused] == [(501, "sign_up_not_configured")] * 2
    assert len(mail.outbox) == 1


def test_what_is_not_there_is_not_found(administrator: APIClient) -> None:
    answers = [administrator.post(f"{LIST}/999999/{what}") for what in ("resend", "revoke")]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(404, "invitation_not_found")] * 2


@pytest.mark.parametrize("how", ["they leave", "the identity provider tells"])
def test_the_address_is_forgotten_with_the_person(administrator: APIClient, how: str) -> None:
    invited(administrator)
    charles = person(email="charles+1@example.com")

    if how == "they leave":
        leave_for_good(charles, now=timezone.now())
    else:
        forget_user(charles.external_id, now=timezone.now())

    assert SignUpInvitation.objects.count() == 0
