"""
How long lists and summaries take among many usage records: ``make bench-size``, on PostgreSQL (``ROWS=``).

One customer has a tenth of the calls of a year, 999 others share the rest; roll-up, holds, draws and ledger entries
of the one are filled in as well. Rows are made by the database: digests are not chained, so ``check_ledger`` has no
say here.
Prints a table of milliseconds, as JSON API calls through all of Django, then the plan of each query.
"""

import os
import statistics
import sys
import time
from datetime import timedelta
from typing import Any

import django

ROWS = int(os.environ.get("ROWS", "10000000"))
CALLS = int(os.environ.get("CALLS", "30"))
OTHERS = 999

FILLED = (
    # In the order of time; every tenth call is the big customer's.
    """INSERT INTO billing_usagerecord (hold_id, customer_id, api_key_id, request_id, feature, quantity, price_id,
        status, error_code, currency, held, charged, shortfall, provider_cost, provider_cost_picos, cost_report,
        provider, model, generation_id, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, streamed,
        latency_ms, first_token_ms, created_at, day)
    SELECT lpad(to_hex(n), 32, '0')::uuid,
        CASE WHEN n % 10 = 0 THEN %(customer)s ELSE %(customer)s + 1 + n % {others} END,
        CASE WHEN n % 10 = 0 THEN %(key)s + n / 200 % 5 END,
        'request-' || n, CASE WHEN n / 10 % 4 = 0 THEN 'ai_title' ELSE 'ai_text_chat' END, 1, %(price)s,
        CASE WHEN n / 10 % 50 = 0 THEN 'FAILED' ELSE 'COMPLETED' END, '', 'credits', 10,
        CASE WHEN n / 10 % 50 = 0 THEN 0 ELSE 10 END, 0, '0.00001', 10000000, 'REPORTED', 'openrouter',
        'vendor/model-' || CASE WHEN n % 10 = 0 THEN n / 10 % 20 ELSE n / 10 % 2 END, 'gen-' || n, 120, 340, 0, 0,
        n % 2 = 0, 1830, 410, at,
        (at AT TIME ZONE 'UTC')::date
    FROM (SELECT n, %(began)s + n * (interval '365 days' / %(rows)s) AS at FROM generate_series(1, %(rows)s) AS n)
        AS calls
    """,
    """INSERT INTO credits_hold (id, account_id, amount, lent, settled, status, lapse, reference, context, expires_at,
        created_at, resolved_at)
    SELECT hold_id, %(account)s, 10, 0, charged, CASE WHEN charged = 0 THEN 'RELEASED' ELSE 'SETTLED' END, 'RESOLVE',
        generation_id, '{{}}', created_at + interval '20 minutes', created_at, created_at
    FROM billing_usagerecord WHERE customer_id = %(customer)s""",
    """INSERT INTO credits_draw (hold_id, grant_id, amount) SELECT id, %(grant)s, 10 FROM credits_hold""",
    """INSERT INTO credits_ledgerentry (account_id, sequence, grant_id, hold_id, kind, amount, balance_after, reference,
        memo, actor, created_at, digest)
    SELECT %(account)s, 1 + number, %(grant)s, hold_id, 'USAGE', -10, %(granted)s - 10 * number, '', '',
        'key:' || api_key_id, created_at, md5(hold_id::text)
    FROM (SELECT *, row_number() OVER (ORDER BY id) AS number FROM billing_usagerecord
        WHERE customer_id = %(customer)s AND charged > 0) AS paid""",
    """UPDATE credits_account SET entry_count = spent.entries + 1, balance = %(granted)s - 10 * spent.entries
    FROM (SELECT count(*) AS entries
        FROM credits_ledgerentry WHERE account_id = %(account)s AND kind = 'USAGE') AS spent
    WHERE id = %(account)s""",
    "UPDATE credits_grant SET remaining = balance FROM credits_account WHERE account_id = %(account)s"
    " AND credits_account.id = account_id",
    """INSERT INTO billing_usageday (customer_id, day, currency, feature, model, key_id, calls, failed_calls,
        erased_calls, charged, provider_cost_picos, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens)
    SELECT customer_id, day, currency, feature, model, coalesce(api_key_id, 0), count(*),
        count(*) FILTER (WHERE status = 'FAILED'), 0, sum(charged), sum(provider_cost_picos), sum(prompt_tokens),
        sum(completion_tokens), 0, 0
    FROM billing_usagerecord GROUP BY customer_id, day, currency, feature, model, coalesce(api_key_id, 0)""",
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    began = time.monotonic()
    token, key_id = _fill()
    print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    _report(token, key_id)


def _fill() -> tuple[str, int]:
    from django.core.management import call_command  # noqa: PLC0415 (after django.setup)
    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from accounts.models import User  # noqa: PLC0415
    from accounts.services import create_key  # noqa: PLC0415
    from billing.models import Price  # noqa: PLC0415
    from credits import services  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    began = timezone.now() - timedelta(days=365)
    granted = ROWS * 10
    user = User.objects.create_user("usage-at-size@example.com")
    account = services.account_of(user.personal_customer)
    grant = services.grant(
        account=account, amount=granted, category="PURCHASE", source="size:1", actor="system", now=began
    )
    keys = [
        create_key(customer=user.personal_customer, name=f"Key {number}", now=began, created_by=user, scopes=["read"])
        for number in range(5)
    ]
    values: dict[str, Any] = {
        "customer": user.personal_customer.pk, "account": account.pk, "grant": grant.pk, "granted": granted,
        "key": keys[0][0].pk, "price": Price.objects.values_list("pk", flat=True)[0], "began": began, "rows": ROWS,
    }  # fmt: skip
    with connection.cursor() as cursor:
        for setting in (
            "session_replication_role = replica", "maintenance_work_mem = '1GB'", "work_mem = '1GB'",
            "synchronous_commit = off",
        ):  # fmt: skip
            cursor.execute(f"SET {setting}")
        indexes = _without_indexes(cursor)
        for statement in FILLED:
            started = time.monotonic()
            text = statement.format(others=OTHERS)
            for name, value in values.items():  # so that a bare % stays one
                literal = str(value) if isinstance(value, int) else f"'{value.isoformat()}'::timestamptz"
                text = text.replace(f"%({name})s", literal)
            cursor.execute(text)
            print(f"{time.monotonic() - started:6.1f} s {text[:50]!r}", file=sys.stderr, flush=True)
        for definition in indexes:
            started = time.monotonic()
            cursor.execute(definition)
            print(f"{time.monotonic() - started:6.1f} s {definition[:50]!r}", file=sys.stderr, flush=True)
        cursor.execute("VACUUM ANALYZE")
        for name in ("session_replication_role", "work_mem", "maintenance_work_mem"):
            cursor.execute(f"RESET {name}")
    return keys[0][1], keys[0][0].pk


def _without_indexes(cursor: Any) -> list[str]:
    """Drop the indexes of usage records that no constraint needs, and return how they are made again."""
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'billing_usagerecord'"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX "{name}"')
    return [definition for _, definition in found]


def _paths(key_id: int) -> list[str]:
    from django.utils import timezone  # noqa: PLC0415 (after django.setup)

    usage, summary, statement = "/api/credits/usage", "/api/credits/usage/summary", "/api/credits/transactions"
    found = ROWS // 2 // 10 * 10
    past = f"{timezone.now().date() - timedelta(days=180)}T00:00:00Z"
    year = f"from={timezone.now().date() - timedelta(days=364)}"
    return [
        f"{usage}?limit=100", f"{usage}?days=366&limit=100", f"{usage}?days=366&status=FAILED",
        f"{usage}?days=366&model=vendor/model-3", f"{usage}?days=366&feature=ai_title",
        f"{usage}?days=366&key={key_id}",
        f"{usage}?days=366&model=none/such",
        *(f"{summary}?{year}&groupBy={by}" for by in ("day", "model", "feature", "key")),
        f"{summary}?groupBy=model", f"{summary}?{year}&groupBy=day&key={key_id}", "/api/credits/forecast",
        f"/api/keys/{key_id}/usage", "/api/keys",
        f"{statement}?limit=100", f"{statement}?kind=GRANT", f"{statement}?feature=ai_title",
        f"{statement}?key={key_id}",
        f"{statement}?search=gen-{found + 10}", f"{statement}?search=nowhere", "/api/credits/me",
        "/api/credits/grants", f"{usage}?days=366&page=1000", f"{statement}?to={past}", "/api/credits/explain",
        f"/api/credits/explain?at={past}", f"/api/credits/explain?from={past}",
    ]  # fmt: skip


def _report(token: str, key_id: int) -> None:
    from django.db import connection  # noqa: PLC0415 (after django.setup)
    from django.test import Client  # noqa: PLC0415

    client = Client(HTTP_HOST="prepaid.example", HTTP_AUTHORIZATION=f"Bearer {token}")
    plans: list[str] = []
    print(f"{ROWS:,} usage records, {CALLS} calls each\n\n| request | p50 ms | p95 ms |\n|---|--:|--:|")
    for path in _paths(key_id):
        asked: list[tuple[str, Any]] = []

        def noted(execute: Any, sql: str, params: Any, many: bool, context: Any, asked: Any = asked) -> Any:
            asked.append((sql, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(noted):
            answer = client.get(path, secure=True)
        if answer.status_code != 200:
            print(f"| `{path}` | {answer.status_code} | |")
            continue
        times = []
        for _ in range(CALLS):
            started = time.perf_counter()
            client.get(path, secure=True)
            times.append((time.perf_counter() - started) * 1000)
        middle, *_, late = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"| `{path}` | {middle:.1f} | {late:.1f} |", flush=True)
        plans.append(f"### `{path}`\n\n```")
        plans += _explained(asked)
        plans.append("```\n")
    print("\n## Plans\n")
    print("\n".join(plans))


def _explained(asked: list[tuple[str, Any]]) -> list[str]:
    """The plans of the queries that touch what is large."""
    from django.db import connection  # noqa: PLC0415 (after django.setup)

    lines: list[str] = []
    large = ("billing_usage", "credits_ledgerentry", "credits_hold", "credits_draw", "credits_grant")
    with connection.cursor() as cursor:
        for sql, params in asked:
            if sql.startswith("SELECT") and any(f'FROM "{table}' in sql for table in large):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
                lines += [line for (line,) in cursor.fetchall()] + [""]
    return lines


if __name__ == "__main__":
    main()
