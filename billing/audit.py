"""
The proof of what was used: every call was charged what its hold settled, none was forgotten,
the daily roll-up is the sum of them, and so are the counters of limits.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.models import ApiKey
from billing.days import FAILED, KEY, MEASURES, SUMS
from billing.models import Price, UsageRecord
from credits.audit import differences
from credits.findings import ENTRIES_A_READ, Finding, subject_of
from credits.models import Currency, Hold

NAMES = [name for name, _ in SUMS]
OF_RECORD = {
    "calls": "1",
    "failed_calls": f"CASE WHEN status IN ({', '.join(repr(status) for status in sorted(FAILED))}) THEN 1 ELSE 0 END",
    "erased_calls": "0",
    **{name: f"COALESCE({name}, 0)" for name, _ in MEASURES},
}


def _difference() -> str:
    """
    Find the days on which what is kept and what is proved are not the same.

    Where records have been erased they are counted, and those that are left make up no more than what is kept.
    """
    key = ", ".join(name for name, _ in KEY)
    kept = ", ".join(f"{name} AS kept_{name}, 0 AS proved_{name}" for name in NAMES)
    proved = ", ".join(f"0, {OF_RECORD[name]}" for name in NAMES)
    sums = ", ".join(f"SUM(kept_{name}), SUM(proved_{name})" for name in NAMES)
    erased = "SUM(kept_erased_calls)"
    others = [name for name in NAMES if name not in ("calls", "erased_calls")]
    changed = " OR ".join(f"SUM(kept_{name}) <> SUM(proved_{name})" for name in others)
    more = " OR ".join(f"SUM(kept_{name}) < SUM(proved_{name})" for name in others)
    return f"""
        SELECT {key}, {sums} FROM (
            SELECT {key}, {kept} FROM billing_usageday
            UNION ALL
            SELECT customer_id, day, currency, feature, model, COALESCE(api_key_id, 0), {proved}
            FROM billing_usagerecord
        ) AS both_sides
        GROUP BY {key}
        HAVING SUM(kept_calls) - {erased} <> SUM(proved_calls) OR ({erased} = 0 AND ({changed})) OR {more}
        ORDER BY {key}
    """  # noqa: S608 (names from the code)


DIFFERENCE = _difference()

RUNNING = """
    SELECT hold.amount, hold.context->>'currency' AS currency, hold.context->>'counted_on' AS day,
           CAST(hold.context->>'customer_id' AS bigint) AS customer_id,
           CAST(hold.context->>'key_id' AS bigint) AS key_id, hold.context->>'end_user' AS end_user
    FROM credits_hold hold
    WHERE hold.status = 'PENDING' AND hold.context->>'terms' IS NOT NULL
"""
IS_LIMITED = """(
    {0}.budget IS NOT NULL OR {0}.requests_per_minute IS NOT NULL OR {0}.tokens_per_minute IS NOT NULL
    OR {0}.concurrent_calls IS NOT NULL
) AND {0}.limited_at IS NOT DISTINCT FROM counter.limited_at"""
# Of limits that are in force: what has counted under others is counted anew before it is used. What was spent for end
# users is in the records alone, which may be erased.
IS_ITS_OWN = """running.customer_id = counter.customer_id
                  AND (counter.key_id IS NULL OR running.key_id = counter.key_id)
                  AND (counter.end_user = '' OR running.end_user = counter.end_user)"""
DIFFERENCE_OF_COUNTERS = f"""
    SELECT subject, spent, proved_spent, held, proved_held, open_calls, proved_open_calls FROM (
        SELECT counter.subject, counter.spent, counter.held, counter.open_calls,
            CASE WHEN counter.end_user = '' THEN COALESCE((
                SELECT SUM(day.charged) FROM billing_usageday day
                WHERE day.customer_id = counter.customer_id AND day.day >= counter.period_start
                  AND day.currency = counter.currency AND (counter.key_id IS NULL OR day.key_id = counter.key_id)
            ), 0) ELSE counter.spent END AS proved_spent,
            COALESCE((
                SELECT SUM(running.amount) FROM ({RUNNING}) AS running
                WHERE {IS_ITS_OWN} AND running.currency = counter.currency
                  AND running.day >= CAST(counter.period_start AS text)
            ), 0) AS proved_held,
            (SELECT COUNT(*) FROM ({RUNNING}) AS running WHERE {IS_ITS_OWN}) AS proved_open_calls
        FROM billing_counter counter
        JOIN accounts_customer customer ON customer.id = counter.customer_id
        LEFT JOIN accounts_apikey key ON key.id = counter.key_id
        LEFT JOIN billing_enduser own ON own.customer_id = counter.customer_id AND own.name = counter.end_user
        WHERE counter.is_complete AND (
            (counter.key_id IS NOT NULL AND {IS_LIMITED.format("key")})
            OR (counter.key_id IS NULL AND counter.end_user = '' AND {IS_LIMITED.format("customer")})
            OR (own.budget IS NOT NULL AND own.limited_at = counter.limited_at)
            OR (counter.end_user <> '' AND own.id IS NULL AND customer.end_user_budget IS NOT NULL
                AND customer.end_users_limited_at = counter.limited_at)
        )
    ) AS counted
    WHERE spent <> proved_spent OR held <> proved_held OR open_calls <> proved_open_calls
    ORDER BY subject
"""  # noqa: S608 (names from the code)


def findings() -> Iterator[Finding]:
    """Yield every difference between usage records and the holds that they are of."""
    records = UsageRecord.objects.annotate(
        account_id=F("hold__account"),
        payer=F("hold__account__customer"),
        paid_in=F("hold__account__currency"),
        status_of_hold=F("hold__status"),
        settled=F("hold__settled"),
        set_aside=F("hold__amount"),
    )
    yield from differences(records, "charged", "settled", "what its hold settled")
    yield from differences(records, "held", "set_aside", "what its hold set aside")
    yield from _strange(records.exclude(customer=F("payer")), "customer_id", "whose account its hold is on")
    yield from _strange(records.exclude(currency=F("paid_in")), "currency", "that of the account its hold is on")
    yield from _strange(records.filter(status_of_hold=Hold.Status.PENDING), "status_of_hold", "a resolved hold")
    yield from _strange(
        records.filter(shortfall__gt=0).exclude(charged=F("held")), "shortfall", "none as long as its hold is not spent"
    )
    # The database does not check these two, since that would cost every call.
    key = ApiKey.objects.filter(pk=OuterRef("api_key_id"), customer=OuterRef("customer_id"))
    price = Price.objects.filter(pk=OuterRef("price_id"), feature=OuterRef("feature"))
    yield from _strange(records.exclude(Q(api_key=None) | Exists(key)), "api_key_id", "one of its customer's keys")
    yield from _strange(records.exclude(Exists(price)), "price_id", "one of its feature's prices")
    # Test credits are spent at the prices in credits.
    paid = records.exclude(currency=Currency.TEST).filter(Exists(price))
    in_currency = Exists(price.filter(currency=OuterRef("currency")))
    yield from _strange(paid.exclude(in_currency), "price_id", "a price in its currency")

    calls = Hold.objects.filter(context__has_key="terms").exclude(status=Hold.Status.PENDING)
    for hold in calls.exclude(Exists(UsageRecord.objects.filter(hold=OuterRef("pk")))).iterator(ENTRIES_A_READ):
        yield Finding(subject_of(hold), "its usage record", "missing", "that it was resolved")


def _strange(records: QuerySet[Any], field: str, proved: str) -> Iterator[Finding]:
    for record in records.iterator(chunk_size=ENTRIES_A_READ):
        yield Finding(subject_of(record), field.replace("_", " "), str(getattr(record, field)), proved)


def findings_of_days() -> Iterator[Finding]:
    """Yield every difference between the daily roll-up and the usage records that it sums up."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCE)
        while found := cursor.fetchmany(ENTRIES_A_READ):
            for row in found:
                yield from _differing(row[: len(KEY)], row[len(KEY) :])


def _differing(key: tuple[Any, ...], sums: tuple[int, ...]) -> Iterator[Finding]:
    customer_id, day, currency, feature, model, key_id = key
    subject = f"usage of customer {customer_id} on {day} in {currency} ({feature}, {model}, key {key_id})"
    kept, proved = dict(zip(NAMES, sums[::2], strict=True)), dict(zip(NAMES, sums[1::2], strict=True))
    erased = kept["erased_calls"]
    proved["calls"] += erased
    for name in NAMES:
        is_wrong = kept[name] != proved[name] if name == "calls" or not erased else kept[name] < proved[name]
        if is_wrong:
            yield Finding(subject, name.replace("_", " "), str(kept[name]), f"the sum of its records, {proved[name]},")


def findings_of_counters() -> Iterator[Finding]:
    """Yield every difference between the counters of limits and what they count."""
    rules = ("spent", "held", "open calls")
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCE_OF_COUNTERS)
        while found := cursor.fetchmany(ENTRIES_A_READ):
            for subject, *counts in found:
                for rule, kept, proved in zip(rules, counts[::2], counts[1::2], strict=True):
                    if kept != proved:
                        meaning = "the sum of its calls" if rule != "open calls" else "the number of its calls that run"
                        yield Finding(f"counter of {subject}", rule, str(kept), f"{meaning}, {proved},")
