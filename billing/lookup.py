"""What the decision needs to know, read in one go for a whole batch: who asks, and the prices in force."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from billing.admission import Caller
from billing.pricing import Terms
from billing.services import AT, PRICES_IN_FORCE, terms_of
from credits import rows
from credits.models import Account

#: ``last_used_at`` is written at most this often, so that a busy key is not a hot row.
LAST_USED_STEP = timedelta(minutes=1)

DIGEST = (("digest", rows.TEXT),)
EXTERNAL_ID = (("external_id", rows.TEXT),)
LAST_USED = (("id", rows.BIGINT), ("last_used_at", rows.INSTANT))

KEYS = """
    SELECT rows.digest, customer.id, account.id, key.id, NULL, key.mode, key.scopes, person.is_active,
           customer.suspended_at, key.expires_at, key.revoked_at, key.last_used_at, customer.time_zone
    FROM {rows}
    JOIN accounts_apikey key ON key.digest = rows.digest
    JOIN accounts_customer customer ON customer.id = key.customer_id
    LEFT JOIN accounts_user person ON person.id = COALESCE(customer.user_id, key.created_by_id)
    LEFT JOIN credits_account account ON account.customer_id = customer.id AND account.currency = 'credits'
"""
PEOPLE = """
    SELECT rows.external_id, customer.id, account.id, NULL, person.id, 'live', '', person.is_active,
           customer.suspended_at, NULL, NULL, NULL, customer.time_zone
    FROM {rows}
    JOIN accounts_user person ON person.external_id = rows.external_id
    JOIN accounts_customer customer ON customer.user_id = person.id
    LEFT JOIN credits_account account ON account.customer_id = customer.id AND account.currency = 'credits'
"""


def read(
    digests: Collection[str], external_ids: Collection[str], *, now: datetime
) -> tuple[dict[str, Caller], dict[str, Terms]]:
    """
    Return the callers by key digest or external id, and the price of each feature.

    Whom nobody knows is missing. A customer that has no account yet gets an empty one.
    """
    queries: list[rows.Query] = [(PRICES_IN_FORCE, AT, [{"instant": now}])]
    if digests:
        queries.append((KEYS, DIGEST, [{"digest": digest} for digest in digests]))
    if external_ids:
        queries.append((PEOPLE, EXTERNAL_ID, [{"external_id": id_} for id_ in external_ids]))
    prices, *people = rows.select_all(*queries)
    found = [row for part in people for row in part]

    unopened = {row[1] for row in found if row[2] is None}
    if unopened:
        Account.objects.bulk_create([Account(customer_id=id_) for id_ in sorted(unopened)], ignore_conflicts=True)
        return read(digests, external_ids, now=now)
    return {row[0]: _caller(*row[1:]) for row in found}, terms_of(prices)


def mark_used(callers: Iterable[Caller], *, now: datetime) -> rows.Change:
    """Say when each key was last used, to the minute."""
    stale = {
        caller.key_id
        for caller in callers
        if caller.key_id is not None and (caller.last_used_at is None or caller.last_used_at <= now - LAST_USED_STEP)
    }
    return rows.update("accounts_apikey", LAST_USED, [{"id": key_id, "last_used_at": now} for key_id in sorted(stale)])


def _caller(
    customer_id: int,
    account_id: int,
    key_id: int | None,
    user_id: int | None,
    mode: str,
    scopes: str,
    is_active: bool | None,
    suspended_at: datetime | None,
    expires_at: datetime | None,
    revoked_at: datetime | None,
    last_used_at: datetime | None,
    time_zone: str,
) -> Caller:
    """Behind a team's key that nobody made there is nobody who could be inactive; SQLite's booleans are 0 and 1."""
    return Caller(
        customer_id=customer_id,
        account_id=account_id,
        key_id=key_id,
        user_id=user_id,
        mode=mode,
        scopes=scopes,
        is_active=is_active is None or bool(is_active),
        suspended_at=suspended_at and rows.aware(suspended_at),
        expires_at=expires_at and rows.aware(expires_at),
        revoked_at=revoked_at and rows.aware(revoked_at),
        last_used_at=last_used_at and rows.aware(last_used_at),
        time_zone=time_zone,
    )
