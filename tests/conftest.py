"""What every test may ask for."""

import os
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings
from rest_framework.test import APIClient

from accounts.models import Customer, User
from credits.models import Account
from tests import factories
from tests.accounts.people import signed_in
from tests.accounts.tokens import SERVICE_SECRET
from tests.proving import check_books, sums

hypothesis_settings.register_profile("default", deadline=None)
hypothesis_settings.register_profile("thorough", deadline=None, max_examples=5_000)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Remember what the migrations wrote, which ``flush`` puts back, and what the proof of the books asks."""
    with django_db_blocker.unblock():
        contents = connection.creation.serialize_db_to_string()
        connection._test_serialized_contents = contents  # type: ignore[attr-defined]
        sums()


@pytest.fixture(autouse=True)
def ledger_in_balance(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Whatever a test does to the database, it leaves the books in balance.

    A test that falsifies the books on purpose says ``@pytest.mark.books_are_cooked``.
    """
    uses_database = request.node.get_closest_marker("django_db") or "db" in request.fixturenames
    if not uses_database or request.node.get_closest_marker("books_are_cooked"):
        yield
        return
    request.getfixturevalue("db")
    yield
    check_books()


@pytest.fixture
def now() -> datetime:
    """The instant at which the test began."""
    return timezone.now()


@pytest.fixture
def user(db: None) -> User:
    return factories.UserFactory.create()


@pytest.fixture
def customer(user: User) -> Customer:
    """The personal customer of ``user``."""
    return user.personal_customer


@pytest.fixture
def account(customer: Customer) -> Account:
    """The credits of ``customer``: 100, from one grant without expiry."""
    return factories.account(customer, "100")


@pytest.fixture
def api_key(customer: Customer) -> str:
    """The text of a live key of ``customer`` with every scope."""
    return factories.api_key(customer)


@pytest.fixture
def anonymous() -> APIClient:
    """A REST client without any credential."""
    return APIClient()


@pytest.fixture
def api(api_key: str) -> APIClient:
    """A REST client that signs in with ``api_key``."""
    return APIClient(headers={"authorization": f"Bearer {api_key}"})


@pytest.fixture
def administrator(db: None, settings: Settings) -> APIClient:
    """A REST client of somebody who runs the installation, in person."""
    settings.SERVICE_JWT_SECRET = SERVICE_SECRET
    boss = factories.UserFactory.create(external_id="user_boss", email="boss@example.com", name="Boss", is_staff=True)
    return signed_in(boss)


@pytest.fixture
def one_database() -> None:
    """For what no database has a say in: told on SQLite, once."""
    if connection.vendor != "sqlite":
        pytest.skip("told on SQLite")


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The test database as a ``DATABASE_URL``, for processes that the test starts."""
    return url_of_database()


def url_of_database() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = f"{quote(database['USER'], safe='')}:{quote(database['PASSWORD'], safe='')}"
    return f"postgresql://{login}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
