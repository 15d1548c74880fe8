"""
Many rows in one statement, on SQLite and PostgreSQL alike.

A batch of requests touches the same few tables, so each table is read or written once
however many requests there are. The rows travel as one JSON parameter, which both
databases unfold into a table; the text of a statement does not depend on their number, so
PostgreSQL plans it once a connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import orjson
import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

#: The names of the statements that each connection has prepared.
PREPARED: WeakKeyDictionary[PGconn, dict[str, bytes]] = WeakKeyDictionary()
NUMBERS = count()

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


def insert(table: str, columns: Columns, rows: Sequence[Row], *, unless_there: bool = False) -> Change:
    """Insert ``rows`` into ``table``; ``unless_there`` leaves out those that a unique constraint finds there."""
    # SQLite needs a WHERE, to tell ON CONFLICT from the condition of a join.
    insertion = _insertion(table, columns)
    return Change(f"{insertion} WHERE true ON CONFLICT DO NOTHING" if unless_there else insertion, columns, rows)


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

    ``{lock}`` in a query locks the rows it finds.
    """
    database = connections[DEFAULT_DB_ALIAS]
    return [_execute(database, _completed(sql, columns, database.vendor), rows) for sql, columns, rows in queries]


def read_id(value: UUID | str) -> str:
    """A UUID as 32 hexadecimal digits, which is how SQLite keeps it and PostgreSQL accepts it."""
    return value.hex if isinstance(value, UUID) else value


def aware(instant: datetime) -> datetime:
    """An instant as a statement found it; SQLite's come without their time zone."""
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _execute(database: Any, sql: str, *tables: Sequence[Row]) -> Found:
    """Execute ``sql`` with each of ``tables`` as one parameter, and return what it finds."""
    parameters = [orjson.dumps(rows) for rows in tables]
    if database.vendor == "postgresql":
        return _execute_on_postgresql(database, sql, parameters)
    cursor = database.cursor()
    cursor.execute(sql, [parameter.decode() for parameter in parameters])
    return cursor.fetchall()


def _execute_on_postgresql(database: Any, sql: str, parameters: list[bytes]) -> Found:
    """
    Through libpq, in one blocking call, prepared once a connection and so planned once.

    A psycopg cursor gives up the interpreter's lock a dozen times a statement, and the event
    loop's thread and the ledger's would spend their time handing it to each other
    (``docs/performance.md``).
    """
    database.ensure_connection()
    with database.wrap_database_errors:
        connection = database.connection
        pgconn = connection.pgconn
        if pgconn.transaction_status == TransactionStatus.IDLE and not connection.autocommit:
            _checked(pgconn, pgconn.exec_(b"BEGIN"))
        if settings.DATABASE_BEHIND_PGBOUNCER:
            result = pgconn.exec_params(_numbered(sql), parameters)
        else:
            result = pgconn.exec_prepared(_prepared(pgconn, sql), parameters)
        _checked(pgconn, result)
        if not result.nfields:
            return []
        transformer = Transformer(connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)


def _prepared(pgconn: PGconn, sql: str) -> bytes:
    """The name under which this connection has prepared ``sql``. PgBouncer before 1.21 would lose it."""
    names = PREPARED.setdefault(pgconn, {})
    name = names.get(sql)
    if name is None:
        name = b"ledger_%d" % next(NUMBERS)
        _checked(pgconn, pgconn.prepare(name, _numbered(sql)))
        names[sql] = name
    return name


def _checked(pgconn: PGconn, result: PGresult) -> None:
    """
    :raises psycopg.Error: if the statement failed; OperationalError if the connection broke
    """
    if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return
    if pgconn.status == ConnStatus.BAD:
        raise psycopg.OperationalError("The connection to the database broke.")
    error = psycopg.errors.error_from_result(result, encoding="utf-8")
    if isinstance(error, psycopg.errors.InvalidSqlStatementName):
        PREPARED.pop(pgconn, None)  # somebody has deallocated what was prepared; the next try prepares it again
    raise error


@cache
def _numbered(sql: str) -> bytes:
    """``sql`` with libpq's numbered parameters for its ``%s``."""
    first, *rest = sql.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))).encode()


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
