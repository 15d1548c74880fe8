"""
Many rows in one statement, on SQLite and PostgreSQL alike.

A batch of requests touches the same few tables, so each table is read or written once
however many requests there are. The rows travel as one JSON parameter, which both
databases unfold into a table; the text of a statement does not depend on their number, so
PostgreSQL plans it once a connection.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

Row = Mapping[str, Any]
Columns = tuple[tuple[str, str], ...]
Found = list[tuple[Any, ...]]

#: PostgreSQL's types of the columns that statements name. An INSTANT is a datetime in UTC.
BIGINT, TEXT, UUID_, INSTANT, JSON, BOOLEAN = "bigint", "text", "uuid", "timestamptz", "jsonb", "boolean"


@cache
def table_of(columns: Columns, vendor: str) -> str:
    """
    Return the FROM item, called ``rows``, that unfolds one JSON parameter into ``columns``.

    Names and types come from the code, never from a caller.
    """
    if vendor == "postgresql":
        typed = ", ".join(f"{name} {type_}" for name, type_ in columns)
        return f"json_to_recordset(%s::json) AS rows({typed})"
    picked = ", ".join(f"{_picked(name, type_)} AS {name}" for name, type_ in columns)
    return f"(SELECT {picked} FROM json_each(%s)) AS rows"


def _picked(name: str, type_: str) -> str:
    value = f"json_extract(value, '$.{name}')"
    return f"replace(replace({value}, 'T', ' '), '+00:00', '')" if type_ == INSTANT else value


def insert(table: str, columns: Columns, rows: Sequence[Row]) -> None:
    """Insert ``rows`` into ``table``."""
    if rows:
        database = connections[DEFAULT_DB_ALIAS]
        _execute(database, _insertion(table, columns, database.vendor), rows)


def update(table: str, columns: Columns, rows: Sequence[Row], *, where: str = "true") -> None:
    """Set ``columns`` of the rows of ``table`` with the ids that ``rows`` name; ``id`` is the first column."""
    if rows:
        database = connections[DEFAULT_DB_ALIAS]
        _execute(database, _assignment(table, columns, where, database.vendor), rows)


def select(sql: str, columns: Columns, rows: Sequence[Row]) -> Found:
    """Return what ``sql`` finds; ``{rows}`` in it stands for the table of ``rows``."""
    return select_all((sql, columns, rows))[0]


def select_all(*queries: tuple[str, Columns, Sequence[Row]]) -> list[Found]:
    """
    Return what each of ``queries`` finds. They run in their order, each on what is committed when it begins.

    On PostgreSQL they are sent in one go. ``{lock}`` in a query locks the rows it finds.
    """
    database = connections[DEFAULT_DB_ALIAS]
    with together():
        cursors = [
            _execute(database, _selection(sql, columns, database.vendor), rows) for sql, columns, rows in queries
        ]
        return [cursor.fetchall() for cursor in cursors]


@contextmanager
def together() -> Iterator[None]:
    """Send the statements of the block in one go, where the database can."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor == "postgresql":
        database.ensure_connection()
        with database.wrap_database_errors, database.connection.pipeline():
            yield
    else:
        yield


def read_id(value: UUID | str) -> str:
    """A UUID as 32 hexadecimal digits, which is how SQLite keeps it and PostgreSQL accepts it."""
    return value.hex if isinstance(value, UUID) else value


def aware(instant: datetime) -> datetime:
    """An instant as a statement found it; SQLite's come without their time zone."""
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _execute(database: Any, sql: str, rows: Sequence[Row]) -> Any:
    """
    Execute ``sql`` with ``rows`` as its one parameter.

    On PostgreSQL with a cursor that binds on the server, so that the plan is kept; behind
    PgBouncer, where ``prepare_threshold`` is None, it is made each time.
    """
    if database.vendor == "postgresql":
        database.ensure_connection()
        with database.wrap_database_errors:
            return psycopg.Cursor(database.connection).execute(sql, (orjson.dumps(rows).decode(),))
    cursor = database.cursor()
    cursor.execute(sql, [orjson.dumps(rows).decode()])
    return cursor


@cache
def _insertion(table: str, columns: Columns, vendor: str) -> str:
    names = ", ".join(name for name, _ in columns)
    picked = ", ".join(f"rows.{name}" for name, _ in columns)
    return f"INSERT INTO {table} ({names}) SELECT {picked} FROM {table_of(columns, vendor)}"  # noqa: S608 (no caller's text)


@cache
def _assignment(table: str, columns: Columns, where: str, vendor: str) -> str:
    assigned = ", ".join(f"{name} = rows.{name}" for name, _ in columns[1:])
    source = table_of(columns, vendor)
    return f"UPDATE {table} SET {assigned} FROM {source} WHERE {table}.id = rows.id AND {where}"  # noqa: S608 (no caller's text)


@cache
def _selection(sql: str, columns: Columns, vendor: str) -> str:
    """SQLite has no locking clause and needs none: its transactions begin IMMEDIATE."""
    lock = "FOR UPDATE" if vendor == "postgresql" else ""
    return sql.format(rows=table_of(columns, vendor), lock=lock)
