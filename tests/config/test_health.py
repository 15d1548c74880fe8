"""The probes."""

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from psycopg_pool import PoolTimeout
from pytest_django import DjangoAssertNumQueries, Settings

from config import health


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Migrations, "applied", False)


def test_the_process_lives_without_a_database(client: Client) -> None:
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_migrated_database_is_ready(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})
    assert "no-store" in response["Cache-Control"]

    with django_assert_num_queries(1):
        assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_a_missing_migration_is_not_ready(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="webhooks").delete()

    response = client.get("/readyz", headers={"x-request-id": "r1"})

    assert (response.status_code, response.json()) == (
        503,
        {
            "error": "not_ready",
            "code": "NOT_READY",
            "message": "The database lacks migrations: run manage.py migrate.",
            "requestId": "r1",
        },
    )


@pytest.mark.django_db
@pytest.mark.parametrize("outage", [OperationalError("no route to 10.0.0.7"), PoolTimeout("10 s")])
def test_a_database_that_is_away_is_not_ready(client: Client, outage: Exception) -> None:
    def fail(*args: object) -> None:
        raise outage

    with connection.execute_wrapper(fail):
        response = client.get("/readyz")

    assert (response.status_code, response.json()["message"]) == (503, "The database does not answer.")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_is_not_sent_to_https(client: Client, settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.post(path).status_code == 405
    assert client.get("/api/keys").status_code == 301
