"""What the decision needs to know of those who ask, read in one go for a whole batch."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from accounts.roles import scopes_of
from accounts.zones import UTC
from billing.admission import CREDITS, NOBODY, Caller
from billing.limits import Allowance, Budget
from credits import rows
from credits.models import Account, currency_of

#: ``last_used_at`` is written at most this often, so that a busy key is not a hot row.
LAST_USED_STEP = timedelta(minutes=1)

#: The limits of a key and of a customer, as the queries tell them, where there are none.
UNLIMITED = (None, "", None, None, None, None) * 2

DIGEST = (("digest", rows.TEXT),)
PERSON = (("external_id", rows.TEXT), ("customer_id", rows.BIGINT), ("team_id", rows.TEXT))
LAST_USED = (("id", rows.BIGINT), ("last_used_at", rows.INSTANT))

KEYS = """
    SELECT rows.digest, 0, '', customer.id, account.id, key.id, NULL, key.mode, key.scopes, person.is_active,
           customer.suspended_at, key.expires_at, key.revoked_at, key.last_used_at, customer.time_zone,
           key.allowed_models, key.allowed_features, key.allowed_addresses, '', usdc.id, customer.allowed_models,
           key.cache_seconds, key.budget, key.budget_period, key.requests_per_minute, key.tokens_per_minute,
           key.concurrent_calls, key.limited_at, customer.budget, customer.budget_period, customer.requests_per_minute,
           customer.tokens_per_minute, customer.concurrent_calls, customer.limited_at,
           customer.end_user_budget, customer.end_user_budget_period, customer.end_users_limited_at
    FROM {rows}
    JOIN accounts_apikey key ON key.digest = rows.digest
    JOIN accounts_customer customer ON customer.id = key.customer_id
    LEFT JOIN accounts_user person ON person.id = COALESCE(customer.user_id, key.created_by_id)
    LEFT JOIN credits_account account ON account.customer_id = customer.id
         AND account.currency = CASE key.mode WHEN 'test' THEN 'test' ELSE 'credits' END
    LEFT JOIN credits_account usdc ON usdc.customer_id = customer.id AND usdc.currency = 'usdc' AND key.mode <> 'test'
"""
# Whom they are no member of is there without a customer: they exist, and what they chose does not, for them.
PEOPLE = """
    SELECT rows.external_id, COALESCE(rows.customer_id, 0), rows.team_id, customer.id, account.id, NULL, person.id,
           'live', member.role, person.is_active, customer.suspended_at, NULL, NULL, NULL, customer.time_zone,
           '', '', '', member.external_role, usdc.id, customer.allowed_models,
           0, NULL, '', NULL, NULL, NULL, NULL, customer.budget, customer.budget_period, customer.requests_per_minute,
           customer.tokens_per_minute, customer.concurrent_calls, customer.limited_at,
           customer.end_user_budget, customer.end_user_budget_period, customer.end_users_limited_at
    FROM {rows}
    JOIN accounts_user person ON person.external_id = rows.external_id
    LEFT JOIN accounts_customer own ON own.user_id = person.id
    LEFT JOIN accounts_customer team ON rows.team_id <> '' AND team.external_id = rows.team_id
    LEFT JOIN accounts_membership member ON member.user_id = person.id
         AND member.customer_id = COALESCE(rows.customer_id, CASE WHEN rows.team_id = '' THEN own.id ELSE team.id END)
    LEFT JOIN accounts_customer customer ON customer.id = member.customer_id
    LEFT JOIN credits_account account ON account.customer_id = customer.id AND account.currency = 'credits'
    LEFT JOIN credits_account usdc ON usdc.customer_id = customer.id AND usdc.currency = 'usdc'
"""

END_USERS = """
    SELECT own.customer_id, own.name, own.budget, own.budget_period, own.limited_at
    FROM {rows}
    JOIN billing_enduser own ON own.customer_id = rows.customer_id AND own.name = rows.name
"""
END_USER = (("customer_id", rows.BIGINT), ("name", rows.TEXT))

#: Who asks: a key's digest, or a person's external id with the customer that they choose here (0 is none) and
#: the team that they have chosen at the identity provider. With neither they act for themselves.
Who = tuple[str, int, str]


def read(digests: Collection[str], people: Collection[Who]) -> dict[Who, Caller]:
    """
    Return the callers by who asks.

    Whom nobody knows is missing; who is no member of the customer that they choose has none (id 0). A customer
    that has no account in credits yet gets an empty one; one in USDC is opened when there is something for it.
    """
    queries: list[rows.Query] = []
    if digests:
        queries.append((KEYS, DIGEST, [{"digest": digest} for digest in digests]))
    if people:
        asking = [
            {"external_id": external_id, "customer_id": chosen or None, "team_id": team_id}
            for external_id, chosen, team_id in people
        ]
        queries.append((PEOPLE, PERSON, asking))
    found = [row for part in rows.select_all(*queries) for row in part]

    unopened = {(row[3], row[7]) for row in found if row[3] is not None and row[4] is None}
    if unopened:
        accounts = [Account(customer_id=id_, currency=currency_of(mode)) for id_, mode in sorted(unopened)]
        Account.objects.bulk_create(accounts, ignore_conflicts=True)
        return read(digests, people)
    return {row[:3]: _caller(*row[3:]) for row in found}


def mark_used(callers: Iterable[Caller], *, now: datetime) -> rows.Change:
    """Say when each key was last used, to the minute."""
    stale = {
        caller.key_id
        for caller in callers
        if caller.key_id is not None and (caller.last_used_at is None or caller.last_used_at <= now - LAST_USED_STEP)
    }
    return rows.update("accounts_apikey", LAST_USED, [{"id": key_id, "last_used_at": now} for key_id in sorted(stale)])


def _caller(
    customer_id: int | None,
    account_id: int | None,
    key_id: int | None,
    user_id: int | None,
    mode: str,
    scopes: str | None,
    is_active: bool | None,
    suspended_at: datetime | None,
    expires_at: datetime | None,
    revoked_at: datetime | None,
    last_used_at: datetime | None,
    time_zone: str | None,
    allowed_models: str,
    allowed_features: str,
    allowed_addresses: str,
    external_role: str | None,
    usdc_account_id: int | None,
    customers_models: str | None,
    cache_seconds: int,
    *limits: Any,
) -> Caller:
    """
    Behind a team's key that nobody made there is nobody who could be inactive; SQLite's booleans are 0 and 1.

    Of a person ``scopes`` is the role. ``limits`` are the key's, the customer's, and those of its end users.
    """
    return Caller(
        customer_id=customer_id or NOBODY,
        account_id=account_id or NOBODY,
        usdc_account_id=usdc_account_id or NOBODY,
        customers_models=customers_models or "",
        key_id=key_id,
        user_id=user_id,
        mode=mode,
        scopes=(scopes or "") if key_id is not None else " ".join(scopes_of(scopes) if scopes else ()),
        is_active=is_active is None or bool(is_active),
        suspended_at=suspended_at and rows.aware(suspended_at),
        expires_at=expires_at and rows.aware(expires_at),
        revoked_at=revoked_at and rows.aware(revoked_at),
        last_used_at=last_used_at and rows.aware(last_used_at),
        time_zone=time_zone or UTC,
        allowed_models=allowed_models,
        allowed_features=allowed_features,
        allowed_addresses=allowed_addresses,
        external_role=external_role or "",
        cache_seconds=cache_seconds,
        allowances=_allowances(customer_id or NOBODY, key_id, mode, time_zone or UTC, limits[: len(UNLIMITED)]),
        end_users=_end_users(*limits[len(UNLIMITED) :]),
    )


def _end_users(budget: int | None, period: str | None, limited_at: datetime | None) -> Budget | None:
    return None if limited_at is None else Budget(budget, period or "", rows.aware(limited_at))


def budgets_of(end_users: Collection[tuple[int, str]]) -> dict[tuple[int, str], Budget]:
    """Return the budgets of their own that ``end_users``, each a customer's id and a name, have."""
    asked = [{"customer_id": customer_id, "name": name} for customer_id, name in sorted(end_users)]
    return {
        (customer_id, name): Budget(budget, period, rows.aware(limited_at))
        for customer_id, name, budget, period, limited_at in rows.select(END_USERS, END_USER, asked)
    }


def _allowances(
    customer_id: int, key_id: int | None, mode: str, time_zone: str, limits: tuple[Any, ...]
) -> tuple[Allowance, ...]:
    """What the key and its customer are limited to; nothing for whom nobody has limited."""
    if limits == UNLIMITED:
        return ()
    half = len(UNLIMITED) // 2
    found = (
        _allowance(f"key:{key_id}", customer_id, key_id, currency_of(mode), time_zone, *limits[:half]),
        _allowance(f"customer:{customer_id}", customer_id, None, CREDITS, time_zone, *limits[half:]),
    )
    return tuple(allowance for allowance in found if allowance.is_limited)


def _allowance(
    subject: str,
    customer_id: int,
    key_id: int | None,
    currency: str,
    time_zone: str,
    budget: int | None,
    period: str,
    requests: int | None,
    tokens: int | None,
    calls: int | None,
    limited_at: datetime | None,
) -> Allowance:
    return Allowance(
        subject=subject,
        customer_id=customer_id,
        key_id=key_id,
        currency=currency,
        time_zone=time_zone,
        limited_at=limited_at and rows.aware(limited_at),
        budget=budget,
        period=period,
        requests=requests,
        tokens=tokens,
        calls=calls,
    )
