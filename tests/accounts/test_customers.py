"""Teams: made, joined, left and handed over, with one owner at every instant."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry, Customer, Invitation, Membership, User
from accounts.roles import MAY, Capability, Role
from accounts.teams import customers, invitations, members
from tests import factories
from tests.accounts.people import join, person, role_of, signed_in, team_of
from tests.racing import at_once, raised

URL = "/api/customers"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("service_secret")]


@pytest.fixture
def owner(db: None) -> User:
    return person(email="owner@example.com")


@pytest.fixture
def team(owner: User) -> Customer:
    return team_of(owner)


@pytest.fixture
def client(owner: User, service_secret: str) -> APIClient:
    return signed_in(owner)


def refused(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def actions(team: Customer) -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.filter(customer=team).order_by("pk").values_list("action", "subject", "actor"))


# Customers


def test_customers_are_ones_own_and_ones_teams(client: APIClient, owner: User, team: Customer) -> None:
    team_of(person())

    body = client.get(URL).json()

    assert [(row["id"], row["kind"], row["role"]) for row in body["customers"]] == [
        (owner.personal_customer.pk, "PERSONAL", "OWNER"),
        (team.pk, "TEAM", "OWNER"),
    ]
    assert body["pagination"]["total"] == 2


def test_a_team_belongs_to_whoever_creates_it(client: APIClient, owner: User) -> None:
    response = client.post(URL, {"name": "Analytical Engines", "timeZone": "Europe/Berlin"})

    assert response.status_code == 201
    body = response.json()
    team = Customer.objects.get(pk=body["id"])
    assert (body["role"], team.kind, team.time_zone, role_of(owner, team)) == (
        "OWNER",
        "TEAM",
        "Europe/Berlin",
        "OWNER",
    )
    assert actions(team) == [("customer.created", f"customer:{team.pk}", f"user:{owner.pk}")]


@pytest.mark.parametrize("body", [{}, {"name": " "}, {"name": "x" * 201}, {"name": "x", "timeZone": "Mars"}, {"x": 1}])
def test_a_team_needs_a_name_and_a_place(client: APIClient, body: Any) -> None:
    assert client.post(URL, body).status_code == 400


def test_a_team_is_renamed(client: APIClient, team: Customer) -> None:
    assert client.patch(f"{URL}/{team.pk}", {"name": "New", "timeZone": "Asia/Tokyo"}).json()["name"] == "New"
    assert client.patch(f"{URL}/{team.pk}", {}).json()["timeZone"] == "Asia/Tokyo"
    assert [action for action, _, _ in actions(team)] == ["customer.changed"]


def test_a_team_is_given_up_by_its_name_and_its_books_stay(client: APIClient, owner: User, team: Customer) -> None:
    account = factories.account(team, "5")
    text = factories.api_key(team)
    join(member := person(), team)

    wrong = client.delete(f"{URL}/{team.pk}", {"confirm": "another"})
    right = client.delete(f"{URL}/{team.pk}", {"confirm": team.name})

    assert (wrong.status_code, right.status_code) == (400, 204)
    assert APIClient(headers={"x-api-key": text}).get("/api/keys").status_code == 401
    assert signed_in(member, team).get("/api/credits/me").status_code == 404
    assert client.get(f"{URL}/{team.pk}").status_code == 404
    account.refresh_from_db()
    assert account.balance == 50_000_000


def test_nobody_gives_up_their_own_customer(client: APIClient, owner: User) -> None:
    own = owner.personal_customer

    assert refused(client.delete(f"{URL}/{own.pk}", {"confirm": own.name})) == (409, "NOT_A_TEAM")


# Who may: every cell of the table


def reading(client: APIClient, team: Customer, other: User) -> Any:
    return client.get(f"{URL}/{team.pk}/members")


def calling(client: APIClient, team: Customer, other: User) -> Any:
    headers = {"x-customer-id": str(team.pk), "idempotency-key": "k"}
    return client.post("/api/credits/holds", {"amount": "1"}, headers=headers)


def making_keys(client: APIClient, team: Customer, other: User) -> Any:
    return client.post("/api/keys", {"name": "x", "scopes": ["read"]}, headers={"x-customer-id": str(team.pk)})


def managing_members(client: APIClient, team: Customer, other: User) -> Any:
    return client.patch(f"{URL}/{team.pk}/members/{other.pk}", {"role": "BILLING"})


def changing_it(client: APIClient, team: Customer, other: User) -> Any:
    return client.patch(f"{URL}/{team.pk}", {"name": "New"})


def transferring(client: APIClient, team: Customer, other: User) -> Any:
    return client.post(f"{URL}/{team.pk}/transfer", {"userId": other.pk})


def giving_it_up(client: APIClient, team: Customer, other: User) -> Any:
    return client.delete(f"{URL}/{team.pk}", {"confirm": team.name})


DEEDS = {
    Capability.READ: reading,
    Capability.CALL_MODELS: calling,
    Capability.MANAGE_KEYS: making_keys,
    Capability.MANAGE_MEMBERS: managing_members,
    Capability.CHANGE_CUSTOMER: changing_it,
    Capability.TRANSFER: transferring,
    Capability.DELETE: giving_it_up,
}


@pytest.mark.parametrize("role", [*Role], ids=lambda role: role.value)
@pytest.mark.parametrize("capability", [*DEEDS], ids=lambda capability: capability.name)
def test_every_cell_of_the_table(capability: Capability, role: Role, owner: User, team: Customer) -> None:
    factories.account(team, "5")
    other = join(person(), team)
    doer = owner if role is Role.OWNER else join(person(), team, role.value)

    response = DEEDS[capability](signed_in(doer), team, other)

    assert (response.status_code < 300) is (capability in MAY[role]), response.content
    assert response.status_code < 300 or response.status_code == 403


def test_every_capability_is_tried_but_buying() -> None:
    assert {*Capability} - {*DEEDS} == {Capability.BUY}


@pytest.mark.parametrize("capability", [*DEEDS], ids=lambda capability: capability.name)
def test_a_stranger_finds_nothing(capability: Capability, team: Customer) -> None:
    response = DEEDS[capability](signed_in(person()), team, join(person(), team))

    assert refused(response) == (404, "CUSTOMER_NOT_FOUND")


def test_keys_have_no_say_about_people(team: Customer, owner: User) -> None:
    key = APIClient(headers={"x-api-key": factories.api_key(team, created_by=owner)})

    assert [
        key.get(URL).status_code,
        key.post(URL, {"name": "x"}).status_code,
        key.get(f"{URL}/{team.pk}/members").status_code,
        key.patch(f"{URL}/{team.pk}", {"name": "x"}).status_code,
    ] == [403] * 4


# Members


def test_members_are_listed_by_role(client: APIClient, owner: User, team: Customer) -> None:
    readers, admins = join(person(), team, "READ_ONLY"), join(person(), team, "ADMIN")

    body = client.get(f"{URL}/{team.pk}/members").json()

    assert [row["userId"] for row in body["members"]] == [owner.pk, admins.pk, readers.pk]
    assert body["members"][0]["email"] == "owner@example.com"


def test_a_role_is_given_but_not_the_owners(client: APIClient, owner: User, team: Customer) -> None:
    other = join(person(), team)

    def give(user: User, role: str) -> Any:
        return client.patch(f"{URL}/{team.pk}/members/{user.pk}", {"role": role})

    assert give(other, "ADMIN").json()["role"] == "ADMIN"
    assert give(other, "OWNER").status_code == 400
    assert refused(give(owner, "ADMIN")) == (409, "OWNER_MUST_TRANSFER")
    assert refused(give(person(), "ADMIN")) == (404, "MEMBER_NOT_FOUND")
    assert [action for action, _, _ in actions(team)] == ["member.changed"]


def test_anybody_but_the_owner_leaves(client: APIClient, owner: User, team: Customer) -> None:
    other = join(person(), team, "READ_ONLY")
    path = f"{URL}/{team.pk}/members"

    assert signed_in(other).delete(f"{path}/{other.pk}").status_code == 204
    assert refused(client.delete(f"{path}/{owner.pk}")) == (409, "OWNER_MUST_TRANSFER")
    assert actions(team) == [("member.left", f"user:{other.pk}", f"user:{other.pk}")]


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?revokeKeys=true", 401)])
def test_keys_of_who_is_removed_go_on_unless_they_are_revoked(
    client: APIClient, team: Customer, query: str, status: int
) -> None:
    other = join(person(), team, "ADMIN")
    text = factories.api_key(team, created_by=other)

    assert client.delete(f"{URL}/{team.pk}/members/{other.pk}{query}").status_code == 204

    assert APIClient(headers={"x-api-key": text}).get("/api/keys").status_code == status
    assert signed_in(other, team).get("/api/credits/me").status_code == 404


def test_ownership_passes_on(client: APIClient, owner: User, team: Customer) -> None:
    heir = join(person(), team)

    assert client.post(f"{URL}/{team.pk}/transfer", {"userId": heir.pk}).json()["role"] == "OWNER"
    assert (role_of(heir, team), role_of(owner, team)) == ("OWNER", "ADMIN")
    assert client.post(f"{URL}/{team.pk}/transfer", {"userId": owner.pk}).status_code == 403


def test_a_stranger_or_an_inactive_member_inherits_nothing(client: APIClient, owner: User, team: Customer) -> None:
    gone = join(person(is_active=False), team)

    for heir in (gone.pk, person().pk, 2**62):
        response = client.post(f"{URL}/{team.pk}/transfer", {"userId": heir})
        assert refused(response) == (404, "MEMBER_NOT_FOUND")
    assert role_of(owner, team) == "OWNER"


@pytest.mark.django_db(transaction=True)
def test_there_is_one_owner_whoever_is_faster(owner: User, team: Customer) -> None:
    heirs = [join(person(), team) for _ in range(3)]
    now = timezone.now()

    def take(heir: User) -> Any:
        return members.transfer(team, heir.pk, actor="system", now=now)

    def leave(heir: User) -> Any:
        return members.remove_member(team, heir.pk, revoke_keys=False, actor="system", now=now)

    at_once(*(lambda heir=heir: take(heir) for heir in heirs), *(lambda heir=heir: leave(heir) for heir in heirs))

    assert Membership.objects.filter(customer=team, role="OWNER").count() == 1


# Whose members are not managed here


def test_teams_of_the_identity_provider_are_changed_there(client: APIClient, owner: User, team: Customer) -> None:
    other = join(person(), team)
    Customer.objects.filter(pk=team.pk).update(external_id="org_1")
    path = f"{URL}/{team.pk}"

    for response in (
        client.patch(f"{path}/members/{other.pk}", {"role": "ADMIN"}),
        client.delete(f"{path}/members/{other.pk}"),
        client.post(f"{path}/transfer", {"userId": other.pk}),
        client.post(f"{path}/invitations", {"email": "new@example.com"}),
        client.patch(path, {"name": "New"}),
        client.delete(path, {"confirm": team.name}),
        signed_in(other).delete(f"{path}/members/{other.pk}"),
    ):
        assert refused(response) == (409, "MANAGED_AT_IDENTITY_PROVIDER")
    assert client.patch(path, {"timeZone": "Asia/Tokyo"}).status_code == 200
    assert client.get(f"{path}/members").status_code == 200


def test_a_suspended_team_stays_as_it_is(client: APIClient, team: Customer) -> None:
    join(other := person(), team)
    customers.suspend(team, reason="unpaid", actor="user:1", now=timezone.now())

    assert refused(client.delete(f"{URL}/{team.pk}/members/{other.pk}")) == (403, "SUSPENDED")
    assert client.get(f"{URL}/{team.pk}").json()["suspendedAt"] is not None


def test_suspending_and_reactivating_say_who_and_why(team: Customer) -> None:
    now = timezone.now()

    assert customers.suspend(team, reason="chargeback", actor="user:1", now=now)
    assert not customers.suspend(team, reason="again", actor="user:2", now=now)
    team.refresh_from_db()
    assert (team.suspended_at, team.suspended_by, team.suspended_reason) == (now, "user:1", "chargeback")
    assert customers.reactivate(team, actor="user:2", now=now)
    assert not customers.reactivate(team, actor="user:2", now=now)
    entries = AuditEntry.objects.filter(customer=team).order_by("pk").values_list("action", "actor", "details")
    assert list(entries) == [
        ("customer.suspended", "user:1", {"reason": "chargeback"}),
        ("customer.reactivated", "user:2", {}),
    ]


# Invitations


def invite(client: APIClient, team: Customer, email: str = "new@example.com", **terms: Any) -> Any:
    return client.post(f"{URL}/{team.pk}/invitations", {"email": email, **terms})


def accept(user: User, token: str) -> Any:
    return signed_in(user).post("/api/invitations/accept", {"token": token})


def test_who_is_invited_gets_a_mail_and_joins_once(client: APIClient, team: Customer, settings: Any) -> None:
    settings.INVITATION_URL = "https://app.example.com/join?token={token}"
    response = invite(client, team, "New@Example.com", role="ADMIN")

    assert response.status_code == 201
    token, message = response.json()["token"], mail.outbox[0]
    assert isinstance(message, EmailMultiAlternatives)
    assert (message.to, response.json()["mailed"]) == (["new@example.com"], True)
    html = message.alternatives[0][0]
    assert all(f"https://app.example.com/join?token={token}" in text for text in (message.body, html))
    assert Invitation.objects.filter(digest__contains=token).count() == 0

    new = person(email="new@example.com")
    first, second = accept(new, token), accept(new, token)
    assert [first.status_code, second.status_code] == [200, 200]
    assert (first.json()["id"], first.json()["role"], role_of(new, team)) == (team.pk, "ADMIN", "ADMIN")
    assert Membership.objects.filter(customer=team).count() == 2
    assert [action for action, _, _ in actions(team)] == ["invitation.invited", "invitation.accepted"]


def test_names_cannot_write_a_mail(client: APIClient, team: Customer) -> None:
    Customer.objects.filter(pk=team.pk).update(name="Evil\r\nBcc: all@example.com <b>")

    assert invite(client, team).status_code == 201
    message = mail.outbox[0]
    assert isinstance(message, EmailMultiAlternatives)
    assert message.subject == "Join Evil Bcc: all@example.com <b>"
    assert "<b>" not in message.alternatives[0][0]


def test_a_mail_that_cannot_be_sent_loses_no_invitation(client: APIClient, team: Customer, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    body = invite(client, team).json()

    assert body["mailed"] is False
    assert accept(person(email="new@example.com"), body["token"]).status_code == 200


@pytest.mark.parametrize("email", [None, "", "other@example.com"])
def test_nobody_else_accepts(client: APIClient, team: Customer, email: str | None) -> None:
    token = invite(client, team).json()["token"]

    for response in (
        accept(other := person(email=email), token),
        signed_in(other).post("/api/invitations/decline", {"token": token}),
    ):
        assert refused(response) == (403, "INVITATION_FOR_ANOTHER")
        assert "new@" not in response.content.decode()


def test_an_unknown_token_opens_nothing(team: Customer) -> None:
    assert refused(accept(person(), "x" * 43)) == (404, "INVITATION_NOT_FOUND")


@pytest.mark.parametrize("token", ["", " " + "x" * 43, "x" * 43 + "\n", "x" * 101, "é"])
def test_what_can_be_no_token_is_named(team: Customer, token: Any) -> None:
    response = accept(person(), token)

    assert (response.status_code, [fault["field"] for fault in response.json()["details"]]) == (400, ["body.token"])


def test_an_invitation_ends_with_its_time(client: APIClient, team: Customer) -> None:
    token = invite(client, team).json()["token"]
    Invitation.objects.update(expires_at=timezone.now())

    assert refused(accept(person(email="new@example.com"), token)) == (409, "INVITATION_IS_OVER")
    assert client.get(f"{URL}/{team.pk}/invitations").json()["invitations"][0]["status"] == "expired"
    assert invite(client, team).status_code == 201


def test_a_declined_invitation_is_over(client: APIClient, team: Customer) -> None:
    token = invite(client, team).json()["token"]
    new = person(email="new@example.com")

    answers = [signed_in(new).post("/api/invitations/decline", {"token": token}).status_code for _ in range(2)]

    assert answers == [204, 204]
    assert refused(accept(new, token)) == (409, "INVITATION_IS_OVER")


def test_a_revoked_invitation_is_over(client: APIClient, team: Customer) -> None:
    body = invite(client, team).json()
    path = f"{URL}/{team.pk}/invitations/{body['id']}"

    assert [client.delete(path).status_code for _ in range(2)] == [204, 204]
    assert refused(accept(person(email="new@example.com"), body["token"])) == (409, "INVITATION_IS_OVER")
    assert refused(client.post(f"{path}/resend")) == (409, "INVITATION_IS_OVER")


def test_sent_again_there_is_a_new_token_and_the_old_is_good_for_nothing(client: APIClient, team: Customer) -> None:
    old = invite(client, team).json()
    path = f"{URL}/{team.pk}/invitations/{old['id']}/resend"

    soon = client.post(path)
    Invitation.objects.update(sent_at=timezone.now() - timedelta(minutes=1))
    new = client.post(path).json()

    assert (soon.status_code, soon.headers["Retry-After"]) == (429, "60")
    user = person(email="new@example.com")
    assert refused(accept(user, old["token"])) == (404, "INVITATION_NOT_FOUND")
    assert accept(user, new["token"]).status_code == 200
    assert len(mail.outbox) == 2


def test_nobody_is_invited_twice_or_into_what_they_have(client: APIClient, team: Customer) -> None:
    assert refused(invite(client, team, "owner@example.com")) == (409, "ALREADY_MEMBER")
    assert invite(client, team).status_code == 201
    assert refused(invite(client, team, "NEW@example.com")) == (409, "ALREADY_INVITED")


@pytest.mark.parametrize(
    "body",
    [{}, {"email": "x"}, {"email": "a@b.example", "role": "OWNER"}, {"email": "a@b.example\r\nBcc: c@d.example"}],
)
def test_a_wrong_invitation_is_refused(client: APIClient, team: Customer, body: Any) -> None:
    assert client.post(f"{URL}/{team.pk}/invitations", body).status_code == 400
    assert mail.outbox == []


def test_a_team_floods_nobody(client: APIClient, owner: User, team: Customer, monkeypatch: Any) -> None:
    monkeypatch.setattr(invitations, "MOST_OPEN", 2)

    answers = [invite(client, team, f"{number}@example.com").status_code for number in range(3)]

    assert answers == [201, 201, 409]


def test_invitations_of_another_team_are_not_found(client: APIClient, team: Customer) -> None:
    other = person()
    theirs = invite(signed_in(other), team_of(other)).json()["id"]

    assert refused(client.delete(f"{URL}/{team.pk}/invitations/{theirs}")) == (404, "INVITATION_NOT_FOUND")
    assert client.get(f"{URL}/{team.pk}/invitations").json()["invitations"] == []


def test_no_list_shows_a_token(client: APIClient, team: Customer) -> None:
    token = invite(client, team).json()["token"]
    stored = Invitation.objects.get().digest

    text = client.get(f"{URL}/{team.pk}/invitations").content.decode()

    assert not re.search(f"{token}|{stored}", text)


@pytest.mark.django_db(transaction=True)
def test_accepted_and_revoked_at_once_is_one_of_them(owner: User, team: Customer) -> None:
    now = timezone.now()
    new = person(email="new@example.com")
    invitation, token = invitations.invite(team, email="new@example.com", role="MEMBER", invited_by=owner, now=now)

    outcomes = at_once(
        lambda: invitations.accept(token, user=new, now=now),
        lambda: invitations.accept(token, user=new, now=now),
        lambda: invitations.revoke(team, invitation.pk, actor="system", now=now),
    )

    invitation.refresh_from_db()
    assert (invitation.accepted_at is None) is (invitation.revoked_at is not None) is (role_of(new, team) is None)
    assert 1 <= len(raised(outcomes)) <= 2


def test_a_deactivated_user_can_do_nothing_with_any_credential(owner: User, team: Customer) -> None:
    clients = [
        signed_in(owner),
        signed_in(owner, team),
        APIClient(headers={"x-api-key": factories.api_key(owner.personal_customer, created_by=owner)}),
        APIClient(headers={"x-api-key": factories.api_key(team, created_by=owner)}),
    ]
    assert [each.get("/api/keys").status_code for each in clients] == [200] * 4

    User.objects.filter(pk=owner.pk).update(is_active=False)

    assert [refused(each.get("/api/keys")) for each in clients] == [(403, "SUSPENDED")] * 4
    assert ApiKey.objects.count() == 2
