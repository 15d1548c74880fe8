"""People who appear, and keys that are made and revoked."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, connection

from accounts import keys
from accounts.identities import Identity
from accounts.models import ApiKey, Customer, Membership, User
from accounts.principals import principal_of_person
from accounts.provisioning import provision_user
from accounts.services import create_key, revoke_key
from tests import factories


def all_at_once(action: Callable[[], object], times: int = 8) -> list[object]:
    """Return what ``action`` returned, or the exception it raised, for each of ``times`` threads."""
    outcomes: list[object] = []
    start = threading.Barrier(times)

    def act() -> None:
        start.wait()
        try:
            outcomes.append(action())
        except Exception as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.django_db(transaction=True)
def test_a_user_who_comes_at_once_from_everywhere_appears_once() -> None:
    outcomes = all_at_once(lambda: provision_user("anna", email="anna@example.com", name="Anna").pk)

    anna = User.objects.get()
    assert outcomes == [anna.pk] * 8
    assert (anna.external_id, anna.email, anna.name) == ("anna", "anna@example.com", "Anna")
    assert Customer.objects.get().user == anna
    assert Membership.objects.get().role == Membership.Role.OWNER


@pytest.mark.django_db(transaction=True)
def test_a_token_used_at_once_from_everywhere_signs_one_user_in() -> None:
    outcomes = all_at_once(lambda: principal_of_person(Identity("anna")).actor)

    assert outcomes == [f"user:{User.objects.get().pk}"] * 8


@pytest.mark.django_db
def test_a_known_user_keeps_their_name_and_address() -> None:
    first = provision_user("anna", email="anna@example.com", name="Anna")

    assert provision_user("anna", email="other@example.com", name="Other") == first
    first.refresh_from_db()
    assert (first.email, first.name) == ("anna@example.com", "Anna")


@pytest.mark.django_db
def test_a_shared_address_joins_nobody() -> None:
    operator = factories.UserFactory.create(email="anna@example.com", is_staff=True)

    anna = provision_user("anna", email="Anna@Example.com", name="Anna")

    assert (anna.pk != operator.pk, anna.email, anna.name, anna.is_staff) == (True, None, "Anna", False)
    operator.refresh_from_db()
    assert (operator.email, operator.external_id) == ("anna@example.com", None)


@pytest.mark.django_db
def test_a_failure_of_another_kind_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise IntegrityError("something else")

    monkeypatch.setattr(Customer.objects, "create_personal", fail)

    with pytest.raises(IntegrityError, match="something else"):
        provision_user("anna")
    assert not User.objects.exists()


def test_a_new_key_is_remembered_by_its_digest_alone(customer: Customer, now: datetime) -> None:
    key, text = create_key(customer=customer, name="Mine", now=now, expires_at=now + timedelta(days=1))

    assert keys.is_well_formed(text)
    assert text.startswith("ppd_live_")
    stored = ApiKey.objects.values().get()
    assert stored == {
        "id": key.pk,
        "customer_id": customer.pk,
        "cache_seconds": 0,
        "created_by_id": None,
        "name": "Mine",
        "mode": "live",
        "digest": keys.digest(text, pepper=settings.API_KEY_PEPPER),
        "last_four": text[-4:],
        "scopes": "ai read",
        "allowed_models": "",
        "allowed_features": "",
        "allowed_addresses": "",
        "metadata": {},
        "budget": None,
        "budget_period": "",
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "concurrent_calls": None,
        "limited_at": None,
        "replaced_by_id": None,
        "expires_at": now + timedelta(days=1),
        "revoked_at": None,
        "revoked_by": "",
        "leaked_at": None,
        "last_used_at": None,
        "created_at": now,
    }


def test_revoking_twice_keeps_the_first_instant(customer: Customer, now: datetime) -> None:
    key, _ = create_key(customer=customer, name="Mine", now=now)

    revoke_key(key, now=now)
    revoke_key(key, now=now + timedelta(days=1))

    key.refresh_from_db()
    assert key.revoked_at == now
