"""
Many rows in one statement, on SQLite and PostgreSQL alike.

A batch of requests touches the same few tables, so each table is read or written once
however many requests there are. The rows travel as one JSON parameter, which both
databases unfold into a table; the text of a statement does not depend on their number, so
PostgreSQL plans it once a connection.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
Query = tuple[str, Columns, Sequence[Row]]

#: PostgreSQL's types of the columns that statements name. An INSTANT is a datetime in UTC.
BIGINT, TEXT, UUID_, INSTANT, DATE, JSON, BOOLEAN = "bigint", "text", "uuid", "timestamptz", "date", "jsonb", "boolean"


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
    return f"(SELECT {picked} FROM json_each(%s)) AS rows"  # noqa: S608 (no caller's text)


def _picked(name: str, type_: str) -> str:
    value = f"json_extract(value, '$.{name}')"
    return f"replace(replace({value}, 'T', ' '), '+00:00', '')" if type_ == INSTANT else value


@dataclass(frozen=True, slots=True)
class Change:
    """One statement over many rows, as ``insert``, ``update`` and ``upsert`` make it."""

    template: str
    columns: Columns
    rows: Sequence[Row]


def insert(table: str, columns: Columns, rows: Sequence[Row]) -> Change:
    """Insert ``rows`` into ``table``."""
    return Change(_insertion(table, columns), columns, rows)


def update(table: str, columns: Columns, rows: Sequence[Row], *, where: str = "true") -> Change:
    """Set ``columns`` of the rows of ``table`` with the ids that ``rows`` name; ``id`` is the first column."""
    return Change(_assignment(table, columns, where), columns, rows)


def upsert(table: str, key: Columns, sums: Columns, rows: Sequence[Row]) -> Change:
    """
    Add ``sums`` to the row of ``table`` with the same ``key``, or insert it; the key is unique in ``table``.

    No two of ``rows`` may have the same key, and they come in its order, in which they are locked.
    """
    return Change(_addition(table, key, sums), key + sums, rows)


def write(*changes: Change) -> None:
    """
    Make ``changes``, leaving out those without rows. No two of them may touch the same row.

    On PostgreSQL they are one statement, which costs one journey and one plan.
    """
    needed = [change for change in changes if change.rows]
    if not needed:
        return
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor == "postgresql":
        sql = _joined(tuple((change.template, change.columns) for change in needed))
        _execute(database, sql, *(change.rows for change in needed))
    else:
        for change in needed:
            _execute(database, _completed(change.template, change.columns, database.vendor), change.rows)


def select(sql: str, columns: Columns, rows: Sequence[Row]) -> Found:
    """Return what ``sql`` finds; ``{rows}`` in it stands for the table of ``rows``."""
    return select_all((sql, columns, rows))[0]


def select_all(*queries: Query) -> list[Found]:
    """
    Return what each of ``queries`` finds. They run in their order, each on what is committed when it begins.

    On PostgreSQL they are sent in one go. ``{lock}`` in a query locks the rows it finds.
    """
    database = connections[DEFAULT_DB_ALIAS]
    with _pipeline(database):
        cursors = [
            _execute(database, _completed(sql, columns, database.vendor), rows) for sql, columns, rows in queries
        ]
        return [cursor.fetchall() for cursor in cursors]


def read_id(value: UUID | str) -> str:
    """A UUID as 32 hexadecimal digits, which is how SQLite keeps it and PostgreSQL accepts it."""
    return value.hex if isinstance(value, UUID) else value


def aware(instant: datetime) -> datetime:
    """An instant as a statement found it; SQLite's come without their time zone."""
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


@contextmanager
def _pipeline(database: Any) -> Iterator[None]:
    """Send the statements of the block in one go, where the database can."""
    if database.vendor == "postgresql":
        database.ensure_connection()
        with database.wrap_database_errors, database.connection.pipeline():
            yield
    else:
        yield


def _execute(database: Any, sql: str, *tables: Sequence[Row]) -> Any:
    """
    Execute ``sql`` with each of ``tables`` as one parameter.

    On PostgreSQL with a cursor that binds on the server, so that the plan is kept; behind
    PgBouncer, where ``prepare_threshold`` is None, it is made each time.
    """
    parameters = [orjson.dumps(rows).decode() for rows in tables]
    if database.vendor == "postgresql":
        database.ensure_connection()
        with database.wrap_database_errors:
            return psycopg.Cursor(database.connection).execute(sql, parameters)
    cursor = database.cursor()
    cursor.execute(sql, parameters)
    return cursor


@cache
def _insertion(table: str, columns: Columns) -> str:
    names = ", ".join(name for name, _ in columns)
    picked = ", ".join(f"rows.{name}" for name, _ in columns)
    return f"INSERT INTO {table} ({names}) SELECT {picked} FROM {{rows}}"  # noqa: S608 (no caller's text)


@cache
def _addition(table: str, key: Columns, sums: Columns) -> str:
    """SQLite needs a WHERE, to tell ON CONFLICT from the condition of a join."""
    conflict = ", ".join(name for name, _ in key)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name, _ in sums)
    return f"{_insertion(table, key + sums)} WHERE true ON CONFLICT ({conflict}) DO UPDATE SET {added}"


@cache
def _assignment(table: str, columns: Columns, where: str) -> str:
    assigned = ", ".join(f"{name} = rows.{name}" for name, _ in columns[1:])
    return f"UPDATE {table} SET {assigned} FROM {{rows}} WHERE {table}.id = rows.id AND {where}"  # noqa: S608 (no caller's text)


@cache
def _completed(sql: str, columns: Columns, vendor: str) -> str:
    """SQLite has no locking clause and needs none: its transactions begin IMMEDIATE."""
    lock = "FOR UPDATE" if vendor == "postgresql" else ""
    return sql.format(rows=table_of(columns, vendor), lock=lock)


@cache
def _joined(changes: tuple[tuple[str, Columns], ...]) -> str:
    parts = [f"change_{n} AS ({_completed(sql, columns, 'postgresql')})" for n, (sql, columns) in enumerate(changes)]
    return f"WITH {', '.join(parts)} SELECT"
