"""Databases on the benchmark's own PostgreSQL server, which commits as it does in production."""

from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

#: Without these a commit is a promise, and the figures would flatter whoever commits most.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


def create(server_url: str, name: str) -> str:
    """Create the database ``name`` anew on the server that ``server_url`` names, and return its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def describe(server_url: str) -> str:
    """
    Say what server it is and how it commits.

    :raises SystemExit: if it would lose what it committed
    """
    with psycopg.connect(server_url) as connection:
        settings = {
            name: connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone() for name in DURABLE
        }
        version = connection.info.server_version // 10000
    if any(value != ("on",) for value in settings.values()):
        raise SystemExit(f"This PostgreSQL does not keep what it commits: {settings}")
    return f"PostgreSQL {version} with {', '.join(f'{name} on' for name in DURABLE)}"
