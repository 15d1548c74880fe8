"""The ``flush`` that ends a transactional test, in the place of Django's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

#: What names the models, which no test adds to: it stays, because putting it back takes longer than all else.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


class Command(flush.Command):
    """
    Empty the test database although ledger entries are final, then put back what the migrations wrote.

    The triggers are away only while the tables are emptied; a test always runs with them. Rows are
    deleted: they are few, and to truncate dozens of tables with all their indexes takes a hundred times as long.
    """

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        tables = [name for name in connection.introspection.django_table_names(only_existing=True) if name not in KEPT]
        with without_triggers(connection), transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                for table in tables:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
            connection.creation.deserialize_db_from_string(connection._test_serialized_contents)  # type: ignore[attr-defined]


@contextmanager
def without_triggers(connection: BaseDatabaseWrapper) -> Iterator[None]:
    drop, restore = {"postgresql": triggers_of_postgresql, "sqlite": triggers_of_sqlite}[connection.vendor](connection)
    with connection.cursor() as cursor:
        for statement in drop:
            cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for statement in restore:
                cursor.execute(statement)


def triggers_of_postgresql(connection: BaseDatabaseWrapper) -> tuple[list[str], list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'A'"
        )
        triggers = cursor.fetchall()
    return (
        [f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name in triggers],
        [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for table, name in triggers],
    )


def triggers_of_sqlite(connection: BaseDatabaseWrapper) -> tuple[list[str], list[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
    return [f"DROP TRIGGER {name}" for name, _ in triggers], [sql for _, sql in triggers]
