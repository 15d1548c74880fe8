"""People in the admin: created with their customer, switched off instead of deleted, never made staff by stealth."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Customer, Membership, User
from tests import factories

NEW_PASSWORD = "correct horse battery"


def url(model, page, *args):
    return reverse(f"admin:accounts_{model._meta.model_name}_{page}", args=args)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def superuser(db):
    return User.objects.create_superuser("root@example.com", name="Root")


@pytest.fixture
def console(superuser):
    return signed_in(superuser)


@pytest.fixture
def support(db):
    """A browser of staff who may change users, and no more."""
    user = User.objects.create_user("support@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    return signed_in(user)


def user_fields(user, **changes):
    inline = {f"memberships-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    return {"email": user.email, "name": user.name, "is_active": "on", **inline, **changes}


def act(client, model, action, *rows):
    return client.post(url(model, "changelist"), {"action": action, "_selected_action": [row.pk for row in rows]})


def new_user(**changes):
    return {
        "email": "New@Example.com",
        "name": "New",
        "usable_password": "true",
        "password1": NEW_PASSWORD,
        "password2": NEW_PASSWORD,
        **changes,
    }


def test_a_new_user_has_a_personal_customer_and_can_sign_in(console):
    console.post(url(User, "add"), new_user())

    user = User.objects.get(email="new@example.com")
    assert (user.personal_customer.name, user.check_password(NEW_PASSWORD)) == ("New", True)
    assert user.memberships.get().role == Membership.Role.OWNER


def test_a_new_user_may_be_without_password(console):
    console.post(url(User, "add"), new_user(usable_password="false", password1="", password2=""))

    assert User.objects.get(email="new@example.com").has_usable_password() is False


def test_an_address_that_is_taken_in_another_case_is_refused(console, user):
    page = console.post(url(User, "add"), new_user(email=user.email.upper()))

    assert page.context["adminform"].form.errors == {"email": ["User with this Email already exists."]}


def test_a_user_can_be_renamed(console, user):
    console.post(url(User, "change", user.pk), user_fields(user, email="Other@example.com", name="Other"))

    user.refresh_from_db()
    assert (user.email, user.name) == ("other@example.com", "Other")


def test_a_password_can_be_changed(console, user):
    page = reverse("admin:auth_user_password_change", args=[user.pk])
    console.post(page, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"})

    user.refresh_from_db()
    assert user.check_password(NEW_PASSWORD)


def test_users_are_deactivated_and_reactivated(console, user):
    act(console, User, "deactivate", user)
    assert User.objects.get(pk=user.pk).is_active is False

    act(console, User, "reactivate", user)
    assert User.objects.get(pk=user.pk).is_active is True


def test_a_deleted_user_is_not_reactivated(console, user):
    User.objects.filter(pk=user.pk).update(is_active=False, deleted_at=timezone.now())

    act(console, User, "reactivate", user)

    user.refresh_from_db()
    assert user.is_active is False


def test_operators_cannot_deactivate_themselves(console, superuser):
    act(console, User, "deactivate", superuser)
    assert User.objects.get(pk=superuser.pk).is_active is True


def test_only_a_superuser_says_who_is_staff(support, user):
    role = Group.objects.create(name="Finance")
    support.post(
        url(User, "change", user.pk),
        user_fields(user, name="Other", is_staff="on", is_superuser="on", groups=[role.pk]),
    )

    user.refresh_from_db()
    assert (user.name, user.is_staff, user.is_superuser, user.groups.count()) == ("Other", False, False, 0)


@pytest.mark.parametrize("rank", ["is_staff", "is_superuser"])
def test_only_a_superuser_touches_staff(support, rank):
    colleague = factories.UserFactory.create(**{rank: True})
    password = reverse("admin:auth_user_password_change", args=[colleague.pk])

    answers = [
        support.post(url(User, "change", colleague.pk), user_fields(colleague, name="Other")).status_code,
        support.post(password, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}).status_code,
        act(support, User, "deactivate", colleague).status_code,
    ]

    colleague.refresh_from_db()
    assert answers == [403, 403, 302]
    assert (colleague.name != "Other", colleague.check_password(factories.PASSWORD), colleague.is_active) == (True,) * 3


def test_a_team_is_added_by_name(console):
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    console.post(url(Customer, "add"), {"name": "Lumen", "time_zone": "Asia/Tokyo", **inline})

    added = Customer.objects.get(name="Lumen")
    assert (added.kind, added.time_zone) == (Customer.Kind.TEAM, "Asia/Tokyo")


def test_members_of_a_team_are_added_on_its_page(console, user):
    team = factories.TeamFactory.create()
    inline = {
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 0,
        "memberships-0-customer": team.pk,
        "memberships-0-user": user.pk,
        "memberships-0-role": "BILLING",
    }
    console.post(url(Customer, "change", team.pk), {"name": team.name, "time_zone": "UTC", **inline})

    assert team.memberships.values_list("user", "role").get() == (user.pk, "BILLING")


def test_a_time_zone_that_nobody_knows_is_refused(console, customer):
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    page = console.post(
        url(Customer, "change", customer.pk), {"name": "Name", "time_zone": "Europe/Atlantis", **inline}
    )

    assert page.context["adminform"].form.errors == {
        "time_zone": ["Select a valid choice. Europe/Atlantis is not one of the available choices."]
    }


def test_the_owner_of_a_personal_customer_stays(console, customer):
    row = customer.memberships.get()
    inline = {
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 1,
        "memberships-0-id": row.pk,
        "memberships-0-customer": customer.pk,
        "memberships-0-role": "READ_ONLY",
        "memberships-0-DELETE": "on",
    }
    console.post(url(Customer, "change", customer.pk), {"name": "Renamed", "time_zone": "UTC", **inline})

    customer.refresh_from_db()
    assert (customer.name, customer.memberships.get().role) == ("Renamed", Membership.Role.OWNER)


def test_customers_are_suspended_and_reactivated_from_the_list(console, customer):
    act(console, Customer, "suspend", customer)
    assert Customer.objects.get(pk=customer.pk).suspended_at is not None

    act(console, Customer, "reactivate", customer)
    assert Customer.objects.get(pk=customer.pk).suspended_at is None


def test_a_customer_is_suspended_from_their_page_only_when_confirmed(console, customer):
    page = reverse("admin:accounts_customer_suspend_this", args=[customer.pk])

    assert console.get(page).status_code == 200
    assert Customer.objects.get(pk=customer.pk).suspended_at is None

    answer = console.post(page, {"_form_submitted": "True"})
    assert answer.headers["HX-Redirect"] == url(Customer, "change", customer.pk)
    assert Customer.objects.get(pk=customer.pk).suspended_at is not None


def test_a_customer_page_leads_to_all_that_is_theirs(console, account):
    html = console.get(url(Customer, "change", account.customer_id)).content.decode()

    for name in ("credits_account", "accounts_apikey", "billing_usagerecord"):
        assert f"{reverse(f'admin:{name}_changelist')}?customer__id__exact={account.customer_id}" in html


def new_key(customer, **changes):
    return {"customer": customer.pk, "name": "Laptop", "mode": "live", "scopes": ["read", "ai"], **changes}


def test_a_new_key_is_shown_once_and_works(console, customer, superuser, settings):
    page = console.post(url(ApiKey, "add"), new_key(customer))

    text = page.context["key"].text
    kept = ApiKey.objects.get()
    assert (page.status_code, page.headers["Cache-Control"].startswith("max-age=0")) == (200, True)
    assert text in page.content.decode()
    assert (kept.customer, kept.created_by, kept.scopes) == (customer, superuser, "ai read")
    assert kept.digest == keys.digest(text, pepper=settings.API_KEY_PEPPER)
    for later in (url(ApiKey, "change", kept.pk), url(ApiKey, "changelist"), reverse("admin:index")):
        html = console.get(later).content.decode()
        assert (text in html, kept.digest in html) == (False, False)


def test_a_key_that_has_expired_already_is_refused(console, customer):
    page = console.post(url(ApiKey, "add"), new_key(customer, expires_at_0="2020-01-01", expires_at_1="00:00"))

    assert page.context["adminform"].form.errors == {
        "expires_at": ["Choose an instant in the future, or leave it empty."]
    }
    assert ApiKey.objects.count() == 0


def test_of_a_key_only_the_name_can_be_changed(console, customer, api_key):
    key = ApiKey.objects.get()
    console.post(
        url(ApiKey, "change", key.pk),
        {"name": "Renamed", "scopes": "ai read manage", "mode": "test", "digest": "0" * 64, "revoked_at_0": ""},
    )

    after = ApiKey.objects.get()
    assert (after.name, after.scopes, after.mode, after.digest) == ("Renamed", key.scopes, key.mode, key.digest)


def test_keys_are_revoked_from_the_list_and_stay_revoked(console, api_key):
    act(console, ApiKey, "revoke", ApiKey.objects.get())
    first = ApiKey.objects.get().revoked_at
    act(console, ApiKey, "revoke", ApiKey.objects.get())

    assert first is not None
    assert ApiKey.objects.get().revoked_at == first


def test_a_key_is_revoked_from_its_page_only_when_confirmed(console, api_key):
    page = reverse("admin:accounts_apikey_revoke_this", args=[ApiKey.objects.get().pk])

    console.get(page)
    assert ApiKey.objects.get().revoked_at is None

    console.post(page, {"_form_submitted": "True"})
    assert ApiKey.objects.get().revoked_at <= timezone.now()
