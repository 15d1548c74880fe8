"""Who asks: API keys and people, read in one statement for a whole batch."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from billing.admission import Caller
from credits import rows
from credits.models import Account, Currency

#: ``last_used_at`` is written at most this often, so that a busy key is not a hot row.
LAST_USED_STEP = timedelta(minutes=1)

KEYS = """
    SELECT rows.digest, customer.id, account.id, key.id, key.mode, key.scopes, person.is_active,
           customer.suspended_at, key.expires_at, key.revoked_at, key.last_used_at
    FROM {asked}
    JOIN accounts_apikey key ON key.digest = rows.digest
    JOIN accounts_customer customer ON customer.id = key.customer_id
    LEFT JOIN accounts_user person ON person.id = customer.user_id
    LEFT JOIN credits_account account ON account.customer_id = customer.id AND account.currency = '{currency}'
"""
PEOPLE = """
    SELECT rows.external_id, customer.id, account.id, NULL, 'live', '', person.is_active,
           customer.suspended_at, NULL, NULL, NULL
    FROM {asked}
    JOIN accounts_user person ON person.external_id = rows.external_id
    JOIN accounts_customer customer ON customer.user_id = person.id
    LEFT JOIN credits_account account ON account.customer_id = customer.id AND account.currency = '{currency}'
"""


def read(digests: Collection[str], external_ids: Collection[str]) -> dict[str, Caller]:
    """
    Return the callers by key digest or external id; those that nobody knows are missing.

    A customer that has no account yet gets an empty one.
    """
    found = [*_read(KEYS, "digest", digests), *_read(PEOPLE, "external_id", external_ids)]
    unopened = {row[1] for row in found if row[2] is None}
    if unopened:
        Account.objects.bulk_create([Account(customer_id=id_) for id_ in unopened], ignore_conflicts=True)
        return read(digests, external_ids)
    return {
        name: Caller(
            customer_id=customer_id,
            account_id=account_id,
            key_id=key_id,
            mode=mode,
            scopes=scopes,
            is_active=is_active is None or bool(is_active),
            suspended_at=rows.read_instant(suspended_at),
            expires_at=rows.read_instant(expires_at),
            revoked_at=rows.read_instant(revoked_at),
            last_used_at=rows.read_instant(last_used_at),
        )
        for (
            name, customer_id, account_id, key_id, mode, scopes, is_active,
            suspended_at, expires_at, revoked_at, last_used_at,
        ) in found
    }  # fmt: skip


def mark_used(callers: Iterable[Caller], *, now: datetime) -> None:
    """Keep when each key was last used, to the minute."""
    stale = {
        caller.key_id
        for caller in callers
        if caller.key_id is not None and (caller.last_used_at is None or caller.last_used_at <= now - LAST_USED_STEP)
    }
    used = [{"id": key_id, "last_used_at": rows.write_instant(now)} for key_id in sorted(stale)]
    rows.update("accounts_apikey", {"id": rows.BIGINT, "last_used_at": rows.INSTANT}, used)


def _read(statement: str, column: str, values: Collection[str]) -> list[tuple]:  # type: ignore[type-arg]
    if not values:
        return []
    asked = rows.table_of({column: rows.TEXT})
    return rows.select(statement.format(asked=asked, currency=Currency.CREDITS.value), [{column: value} for value in values])
