"""Users and customers as administrators change them: each change once, written down, and never above one's station."""

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry, Customer, User
from accounts.profiles import forget_user
from tests import factories
from tests.accounts.people import person, signed_in, team_of
from tests.administration import ask, fields_of, refusals

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return person(email="ada@example.com", name="Ada Lovelace")


def written() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "subject", "actor"))


def boss() -> User:
    return User.objects.get(external_id="user_boss")


# Who may


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "users/1"),
        ("DELETE", "users/1"),
        ("POST", "users/1/activate"),
        ("POST", "customers/1/suspend"),
        ("POST", "customers/1/reactivate"),
    ],
)
def test_others_are_refused(administrator: APIClient, api: APIClient, method: str, path: str) -> None:
    assert refusals((method, f"/api/admin/{path}", {}), api=api) == [401, 403, 403]
    assert AuditEntry.objects.exclude(action__startswith="key.").count() == 0


def test_an_administrators_key_is_no_administrator(administrator: APIClient) -> None:
    key = factories.api_key(boss().personal_customer)
    client = APIClient(headers={"authorization": f"Bearer {key}"})

    assert client.get("/api/admin/users").status_code == 403


def test_everybody_may_ask_whether_they_are_one(administrator: APIClient, ada: User, api: APIClient, settings) -> None:
    url = "/api/admin/verify"

    assert administrator.get(url).json() == {"isAdmin": True, "email": boss().email, "userId": "user_boss"}
    assert signed_in(ada).get(url).json()["isAdmin"] is False
    settings.ADMIN_EMAILS = ["ada@example.com"]
    assert signed_in(ada).get(url).json()["isAdmin"] is True
    assert APIClient().get(url).status_code == 401
    assert api.get(url).status_code == 403


# Users


def test_name_and_address_are_changed(administrator: APIClient, ada: User) -> None:
    url = f"/api/admin/users/{ada.pk}"

    body = administrator.put(url, {"name": "Countess", "email": "Ada@New.example"}).json()

    assert (body["name"], body["email"], body["customer"]["name"]) == ("Countess", "ada@new.example", "Countess")
    assert administrator.put(url, {"email": None}).json()["email"] is None
    assert administrator.put(url, {"email": None}).status_code == 200
    changed = [("user.changed", f"user:{ada.pk}", f"user:{boss().pk}")]
    assert written() == changed * 2
    assert [entry.details for entry in AuditEntry.objects.order_by("pk")] == [
        {"fields": ["email", "name"]}, {"fields": ["email"]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": "x" * 201}, "body.name"),
        ({"name": 7}, "body.name"),
        ({"name": None}, "body.name"),
        ({"email": "nobody"}, "body.email"),
        ({"email": "x" * 250 + "@example.com"}, "body.email"),
        ({"email": ["a@example.com"]}, "body.email"),
        ({"isStaff": True}, "body"),
        ({"is_superuser": True}, "body"),
        ([], "body"),
    ],
)
def test_a_wrong_field_of_a_user_is_named(administrator: APIClient, ada: User, body, field: str) -> None:
    assert fields_of(administrator.put(f"/api/admin/users/{ada.pk}", body)) == [field]


def test_text_that_cannot_be_kept_is_refused(administrator: APIClient, ada: User) -> None:
    response = administrator.put(f"/api/admin/users/{ada.pk}", {"name": "a\0b"})

    assert (response.status_code, response.json()["error"]) == (400, "malformed_json")


def test_an_address_is_one_users(administrator: APIClient, ada: User) -> None:
    person(email="taken@example.com")

    response = administrator.put(f"/api/admin/users/{ada.pk}", {"email": "TAKEN@example.com"})

    assert (response.status_code, response.json()["error"]) == (409, "address_taken")
    assert written() == []


def test_a_deactivated_user_can_do_nothing_until_activated(administrator: APIClient, ada: User) -> None:
    url, key = f"/api/admin/users/{ada.pk}", factories.api_key(ada.personal_customer)
    by_key = APIClient(headers={"authorization": f"Bearer {key}"})

    off = [administrator.delete(url).json() for _ in range(2)]
    refused = [client.get("/api/credits/me").status_code for client in (signed_in(ada), by_key)]
    on = administrator.post(f"{url}/activate").json()

    assert off == [{"success": True, "user": {"id": ada.pk, "isActive": False}}] * 2
    assert refused == [403, 403]
    assert on == {"success": True, "user": {"id": ada.pk, "isActive": True}}
    assert signed_in(ada).get("/api/credits/me").status_code == 200
    assert [action for action, *_ in written()][1:] == ["user.deactivated", "user.activated"]


def test_nobody_shuts_themselves_out(administrator: APIClient) -> None:
    own = f"/api/admin/customers/{boss().personal_customer.pk}/suspend"
    answers = [administrator.delete(f"/api/admin/users/{boss().pk}"), administrator.post(own, {"reason": "x"})]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(409, "not_on_oneself")] * 2


def test_staff_is_changed_by_superusers_alone(administrator: APIClient) -> None:
    root = person(is_staff=True, is_superuser=True)
    url = f"/api/admin/users/{root.pk}"

    assert administrator.put(url, {"email": "mine@example.com"}).status_code == 403
    assert administrator.delete(url).status_code == 403
    suspension = f"/api/admin/customers/{root.personal_customer.pk}/suspend"
    assert administrator.post(suspension, {"reason": "mine"}).status_code == 403
    assert signed_in(root).delete(f"/api/admin/users/{boss().pk}").status_code == 200
    assert administrator.get("/api/admin/users").status_code == 403


def test_nobody_makes_administrators_by_their_address(administrator: APIClient, ada: User, settings) -> None:
    settings.ADMIN_EMAILS = ["chief@example.com"]
    url, body = f"/api/admin/users/{ada.pk}", {"email": "Chief@example.com"}

    assert administrator.put(url, body).status_code == 403
    assert signed_in(person(is_superuser=True, is_staff=True)).put(url, body).status_code == 200


def test_a_deleted_user_stays_forgotten(administrator: APIClient, ada: User) -> None:
    forget_user(ada.external_id, now=timezone.now())
    url = f"/api/admin/users/{ada.pk}"

    answers = [administrator.put(url, {"name": "Ada"}), administrator.post(f"{url}/activate")]

    assert [answer.json()["error"] for answer in answers] == ["user_is_gone"] * 2
    assert administrator.delete(url).status_code == 200


@pytest.mark.parametrize("id_", ["999999", "9" * 40])
def test_a_user_who_is_not_there_is_not_found(administrator: APIClient, id_: str) -> None:
    answers = [
        administrator.get(f"/api/admin/users/{id_}"),
        administrator.put(f"/api/admin/users/{id_}", {}),
        administrator.delete(f"/api/admin/users/{id_}"),
        administrator.post(f"/api/admin/users/{id_}/activate"),
        ask(administrator, "PUT", f"/api/admin/users/{id_}/credits", {"credits": 1, "reason": "x"}),
        ask(administrator, "POST", f"/api/admin/users/{id_}/grants", {"amount": "1", "reason": "x"}),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["error"] for answer in answers} <= {"user_not_found", "not_found"}


# Customers


def test_a_customer_is_suspended_with_a_reason_and_let_in_again(administrator: APIClient, ada: User) -> None:
    team = team_of(ada)
    url = f"/api/admin/customers/{team.pk}"

    body = administrator.post(f"{url}/suspend", {"reason": "chargeback"}).json()
    refused = signed_in(ada, team).get("/api/credits/me").status_code
    again = administrator.post(f"{url}/reactivate").json()

    assert (body["kind"], body["suspendedReason"], body["suspendedBy"]) == ("TEAM", "chargeback", f"user:{boss().pk}")
    assert (refused, again["suspendedAt"], again["suspendedReason"]) == (403, None, "")
    assert [action for action, *_ in written()] == ["customer.suspended", "customer.reactivated"]


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 201}, {"reason": 1}])
def test_suspending_needs_a_reason(administrator: APIClient, ada: User, body) -> None:
    assert fields_of(administrator.post("/api/admin/customers/1/suspend", body)) == ["body.reason"]


def test_a_customer_who_is_not_there_is_not_found(administrator: APIClient) -> None:
    Customer.objects.filter(pk=999_999).delete()

    response = administrator.post("/api/admin/customers/999999/suspend", {"reason": "x"})

    assert (response.status_code, response.json()["error"]) == (404, "customer_not_found")
