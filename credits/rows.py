"""
Many rows in one statement, on SQLite and PostgreSQL alike.

A batch of requests touches the same few tables, so each table is read or written once
however many requests there are. The rows travel as one JSON parameter, which both
databases unfold into a table; the text of a statement does not depend on their number.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import connection

Row = Mapping[str, Any]

#: PostgreSQL types of the columns that statements name.
BIGINT, TEXT, UUID_, INSTANT, JSON, BOOLEAN = "bigint", "text", "uuid", "timestamptz", "jsonb", "boolean"


def table_of(columns: Mapping[str, str]) -> str:
    """
    Return the FROM item, called ``rows``, that unfolds one JSON parameter into ``columns``.

    ``columns`` maps a name to its PostgreSQL type; names and types come from the code, never from a caller.
    """
    if connection.vendor == "postgresql":
        typed = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
        return f"json_to_recordset(%s::json) AS rows({typed})"
    picked = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {picked} FROM json_each(%s)) AS rows"


def insert(table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Insert ``rows`` into ``table``."""
    if rows:
        names = ", ".join(columns)
        picked = ", ".join(f"rows.{name}" for name in columns)
        run(f"INSERT INTO {table} ({names}) SELECT {picked} FROM {table_of(columns)}", rows)  # noqa: S608 (no caller's text)


def update(table: str, columns: Mapping[str, str], rows: Sequence[Row], *, where: str = "") -> None:
    """Set ``columns`` of the rows of ``table`` with the ids that ``rows`` name; ``id`` is the first column."""
    if rows:
        assigned = ", ".join(f"{name} = rows.{name}" for name in columns if name != "id")
        condition = f"{table}.id = rows.id" + (f" AND {where}" if where else "")
        run(f"UPDATE {table} SET {assigned} FROM {table_of(columns)} WHERE {condition}", rows)  # noqa: S608 (no caller's text)


def select(sql: str, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Return what ``sql`` finds; it holds one ``table_of``."""
    with _cursor() as cursor:
        cursor.execute(sql, [orjson.dumps(rows).decode()])
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def run(sql: str, rows: Sequence[Row]) -> None:
    with _cursor() as cursor:
        cursor.execute(sql, [orjson.dumps(rows).decode()])


@contextmanager
def _cursor() -> Iterator[Any]:
    """
    On PostgreSQL a cursor that binds on the server, so that a statement is planned once a connection, not once a batch.

    Behind PgBouncer, where ``prepare_threshold`` is None, it is planned each time.
    """
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            yield cursor
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor


def for_update(of: str) -> str:
    """The locking clause; SQLite has none and needs none, since its transactions begin IMMEDIATE."""
    return f"FOR UPDATE OF {of}" if connection.vendor == "postgresql" else ""


def write_instant(instant: datetime) -> str:
    """An instant as both databases keep it: UTC, which is also the session's time zone."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def read_instant(value: datetime | None) -> datetime | None:
    """An instant as a statement found it; SQLite's come without their time zone."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def read_id(value: UUID | str) -> str:
    """A UUID as 32 hexadecimal digits, which is how SQLite keeps it and PostgreSQL accepts it."""
    return value.hex if isinstance(value, UUID) else value
