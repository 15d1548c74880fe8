"""
What a customer reads of usage and statement, at millions of calls: ``make bench-size ROWS=10000000``, on PostgreSQL.

The rows are made up in SQL: ``ROWS`` calls in 400 days by 1,000 customers, of which the first has
a tenth, each with its hold, its entry and its part of a day. So the sums are right, and the
digests are not: nothing here is proved. Each read goes through the whole of Django and is asked
for 30 times. The plans of what it asked the database are written to ``build/plans.txt``.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

CUSTOMERS = 1000
DAYS = 400
CALLS = 30
PLANS = Path(__file__).resolve().parent.parent / "build" / "plans.txt"

#: Whose call number ``n`` is: every tenth is the first customer's.
OWNER = "CASE WHEN n % 10 = 0 THEN 1 ELSE 1 + (n * 7919) % %(customers)s END"
HOLDS = f"""
    INSERT INTO credits_hold (id, account_id, key, parent_id, amount, lent, settled, status, lapse, reference, context,
                              expires_at, created_at, resolved_at)
    SELECT md5(n::text)::uuid, accounts[{OWNER}], NULL, NULL, 10000000, 0, 10000000, 'SETTLED', 'RESOLVE',
           'gen-' || n, '{{}}', made + interval '20 minutes', made, made + interval '2 seconds'
    FROM (SELECT n, now() - n * interval '%(days)s days' / %(rows)s AS made FROM generate_series(1, %(rows)s) n) calls
"""  # noqa: S608 (no text from outside)
USAGE = f"""
    INSERT INTO billing_usagerecord (hold_id, customer_id, api_key_id, request_id, feature, quantity, price_id, status,
        error_code, currency, held, charged, shortfall, provider_cost, provider_cost_picos, provider, model,
        generation_id, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, streamed, latency_ms,
        first_token_ms, created_at, day)
    SELECT md5(n::text)::uuid, customers[{OWNER}], CASE WHEN n %% 3 = 0 THEN NULL ELSE %(key)s END, md5(n::text),
           CASE WHEN n %% 20 = 0 THEN 'ai_image_generation' ELSE 'ai_text_chat' END, 1, 1,
           CASE WHEN n %% 50 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END, '', 'credits', 10000000, 10000000, 0,
           '0.00012', 120000000, 'openrouter', 'maker/model-' || n %% 40, 'gen-' || n, 100, 200, 0, 0, true, 1800, 400,
           made, (made AT TIME ZONE 'UTC')::date
    FROM (SELECT n, now() - n * interval '%(days)s days' / %(rows)s AS made FROM generate_series(1, %(rows)s) n) calls
"""  # noqa: S608 (no text from outside)
ENTRIES = """
    INSERT INTO credits_ledgerentry (account_id, sequence, grant_id, hold_id, kind, amount, balance_after, reference,
                                     memo, actor, created_at, digest)
    SELECT account_id, 1 + row_number() OVER owner, grants[array_position(accounts, account_id)], id, 'USAGE',
           -10000000, 1000000000000000 - 10000000 * row_number() OVER owner, '', '', 'key:1', created_at, md5(id::text)
    FROM credits_hold WINDOW owner AS (PARTITION BY account_id ORDER BY created_at, id)
"""
SUMS = """
    INSERT INTO billing_usageday (customer_id, day, feature, model, currency, key_id, calls, failed_calls, erased_calls,
        charged, provider_cost_picos, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens)
    SELECT customer_id, day, feature, model, currency, COALESCE(api_key_id, 0), count(*), 0, 0, sum(charged),
           sum(provider_cost_picos), sum(prompt_tokens), sum(completion_tokens), 0, 0
    FROM billing_usagerecord GROUP BY 1, 2, 3, 4, 5, 6
"""
ACCOUNTS = """
    UPDATE credits_account SET entry_count = newest.sequence, balance = newest.balance_after, head = newest.digest
    FROM (SELECT DISTINCT ON (account_id) * FROM credits_ledgerentry ORDER BY account_id, sequence DESC) newest
    WHERE newest.account_id = credits_account.id
"""
REMAINING = """
    UPDATE credits_grant SET remaining = account.balance FROM credits_account account WHERE account.id = account_id
"""


def reads(past: str, generation: str) -> dict[str, str]:
    """Every list and summary, by what it is called in the report."""
    year = "from=2025-11-26&to=2026-11-26"
    return {
        "balance": "/api/credits/me",
        "grants": "/api/credits/grants",
        "usage, newest": "/api/credits/usage",
        "usage, a year of one model": "/api/credits/usage?days=366&model=maker/model-7",
        "usage, a year of one key": "/api/credits/usage?days=366&key={key}",
        "usage, a year that was cancelled": "/api/credits/usage?days=366&status=CANCELLED",
        "usage, page 1,000 of a year": "/api/credits/usage?days=366&limit=50&page=1000",
        "summary of 30 days by day": "/api/credits/usage/summary",
        **{f"summary of a year by {by}": f"/api/credits/usage/summary?groupBy={by}&{year}"
           for by in ("day", "feature", "model", "key")},
        "forecast": "/api/credits/forecast?days=90",
        "statement, newest": "/api/credits/transactions",
        "statement, from the middle": f"/api/credits/transactions?to={past}",
        "statement, grants alone": "/api/credits/transactions?kind=GRANT",
        "statement, one feature": "/api/credits/transactions?feature=ai_image_generation",
        "statement, search of an id": f"/api/credits/transactions?search={generation}",
        "explanation of now": "/api/credits/explain",
        "explanation of the past": f"/api/credits/explain?at={past}",
        "explanation of half a year": f"/api/credits/explain?from={past}",
    }  # fmt: skip


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    rows = int(os.environ.get("ROWS") or 10_000_000)
    began = time.monotonic()
    keys = fill(rows)
    print(f"{rows:,} calls were made up in {time.monotonic() - began:,.0f} s.\n", flush=True)
    report(keys, rows)


def fill(rows: int) -> dict[str, tuple[str, int]]:
    """Make everything up. Returns a key's text and id for the first customer and for one like all the others."""
    from django.core.management import call_command  # noqa: PLC0415 (after django.setup)
    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from accounts.models import ApiKey, User  # noqa: PLC0415
    from accounts.services import create_key  # noqa: PLC0415
    from credits import services  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    now = timezone.now()
    customers = [User.objects.create_user(f"size-{n}@example.com").personal_customer for n in range(CUSTOMERS)]
    accounts = [services.account_of(customer) for customer in customers]
    grants = [
        services.grant(
            account=account, amount=10**15, category="PURCHASE", source=f"size:{account.pk}", actor="system",
            now=now - timedelta(days=DAYS + 1),
        )
        for account in accounts
    ]  # fmt: skip
    made = {
        name: create_key(customer=customer, name=name, scopes=ApiKey.Scope.values, now=now)
        for name, customer in (("a tenth of all calls", customers[0]), ("one of a thousand", customers[7]))
    }
    arrays = {
        "accounts": [account.pk for account in accounts],
        "customers": [customer.pk for customer in customers],
        "grants": [grant.pk for grant in grants],
    }
    numbers = {"rows": rows, "days": DAYS, "customers": CUSTOMERS, "key": made["a tenth of all calls"][0].pk}
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no foreign key, no trigger: the rows are right
        cursor.execute("SET synchronous_commit = off")
        for template in (HOLDS, USAGE, ENTRIES, SUMS, ACCOUNTS, REMAINING):
            statement = template
            for name, number in numbers.items():
                statement = statement.replace(f"%({name})s", str(number))
            for name, ids in arrays.items():
                statement = statement.replace(f"{name}[", f"({ids_of(ids)})[").replace(f"({name},", f"({ids_of(ids)},")
            cursor.execute(statement.replace("%%", "%"))
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")
    return {name: (text, key.pk) for name, (key, text) in made.items()}


def ids_of(ids: list[int]) -> str:
    return f"ARRAY[{','.join(map(str, ids))}]::bigint[]"


def report(keys: dict[str, tuple[str, int]], rows: int) -> None:
    """Print the table, and write the plans of each read."""
    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415
    from rest_framework.test import APIClient  # noqa: PLC0415

    past = (timezone.now() - timedelta(days=DAYS // 2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    PLANS.parent.mkdir(exist_ok=True)
    print("| read | customer | p50 ms | p95 ms | statements |\n|---|---|--:|--:|--:|")
    with PLANS.open("w") as plans:
        for whose, (text, key_id) in keys.items():
            client = APIClient(headers={"authorization": f"Bearer {text}"})
            for name, path in reads(past, f"gen-{rows // 20 * 10}").items():
                address = path.replace("{key}", str(key_id))
                read = _reader(client, address)
                asked: list[tuple[str, Any]] = []
                with connection.execute_wrapper(_noting(asked)):
                    read()
                times = sorted(_timed(read) for _ in range(CALLS))
                p95 = times[int(len(times) * 0.95)]
                print(f"| {name} | {whose} | {statistics.median(times):.1f} | {p95:.1f} | {len(asked)} |", flush=True)
                plans.write(f"==== {name}, {whose}: {address}\n{_plans(asked)}\n")
    print(f"\nThe plans are in {PLANS.name}.", file=sys.stderr)


def _reader(client: Any, address: str) -> Callable[[], None]:
    def read() -> None:
        answer = client.get(address, secure=True, SERVER_NAME="prepaid.example")
        assert answer.status_code == 200, answer.content

    return read


def _timed(read: Callable[[], None]) -> float:
    began = time.perf_counter()
    read()
    return (time.perf_counter() - began) * 1000


def _noting(asked: list[tuple[str, Any]]) -> Callable[..., Any]:
    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    return note


def _plans(asked: list[tuple[str, Any]]) -> str:
    from django.db import connection  # noqa: PLC0415

    parts = []
    for sql, params in asked:
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
                parts.append(sql + "\n" + "\n".join(row[0] for row in cursor.fetchall()))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
