"""Statements narrowed, exported and explained."""

import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer
from billing.statements import reading
from billing.statements.reading import Statement
from credits import services
from credits.amounts import credits, display, parse
from credits.books import HoldRequest
from credits.models import Account, Currency, Grant, LedgerEntry
from credits.services import adjust
from tests import factories

TRANSACTIONS = "/api/credits/transactions"
CSV = "/api/credits/transactions.csv"
USDC_CSV = "/api/billing/credits/transactions.csv"
EXPLAIN = "/api/credits/explain"

HEADER = b"id,kind,amount,balanceAfter,grantId,holdId,usageId,feature,model,generationId,reference,memo,createdAt\r\n"


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def client_of(customer: Customer, **key: Any) -> APIClient:
    return APIClient(headers={"authorization": f"Bearer {factories.api_key(customer, **key)}"})


def faults(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400
    return [(fault["field"], fault["code"]) for fault in response.json()["details"]]


def ids(response: Any) -> list[int]:
    assert response.status_code == 200, response.content
    return [entry["id"] for entry in response.json()["transactions"]]


def download(api: APIClient, path: str = CSV, parameters: Any = None, **more: Any) -> bytes:
    response: Any = api.get(path, parameters, **more)
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def paid(record: Any) -> int:
    """The id of the entry that paid for a call."""
    return record.hold.entries.get().pk


# Filters


def test_statement_can_be_narrowed_to_what_a_feature_or_a_key_cost(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    chat = factories.usage(account, api_key=key)
    image = factories.usage(account, feature="ai_image_generation")

    assert ids(api.get(TRANSACTIONS, {"feature": "AI_Text_Chat"})) == [paid(chat)]
    assert ids(api.get(TRANSACTIONS, {"feature": "ai_image_generation"})) == [paid(image)]
    assert ids(api.get(TRANSACTIONS, {"key": key.pk})) == [paid(chat)]
    assert ids(api.get(TRANSACTIONS, {"key": key.pk, "feature": "ai_image_generation"})) == []
    assert ids(api.get(TRANSACTIONS, {"key": key.pk, "kind": "GRANT"})) == []


def test_key_of_somebody_else_finds_nothing(api: APIClient, account: Account):
    stranger = factories.account(balance="5")
    factories.api_key(stranger.customer)
    key = ApiKey.objects.get(customer=stranger.customer)
    factories.usage(stranger, api_key=key)

    assert ids(api.get(TRANSACTIONS, {"key": key.pk})) == []


def test_search_finds_references_memos_and_generations(api: APIClient, account: Account, now: datetime):
    [apology] = adjust(account=account, amount=-credits(3), reference="t-1", memo="Sorry", actor="system", now=now)
    chat = factories.usage(account, generation_id="gen-abc-1")
    factories.usage(account, generation_id="gen-abc-2")
    given = account.entries.get(kind="GRANT")

    assert ids(api.get(TRANSACTIONS, {"search": "sorr"})) == [apology.pk]
    assert ids(api.get(TRANSACTIONS, {"search": given.reference})) == [given.pk]
    assert ids(api.get(TRANSACTIONS, {"search": "gen-abc-1"})) == [paid(chat)]
    assert len(ids(api.get(TRANSACTIONS, {"search": "GEN-ABC"}))) == 2
    assert ids(api.get(TRANSACTIONS, {"search": "nothing like it"})) == []
    assert ids(api.get(TRANSACTIONS, {"search": "100%"})) == []


def test_search_finds_no_generation_of_somebody_else(api: APIClient, account: Account):
    factories.usage(factories.account(balance="5"), generation_id="gen-theirs")

    assert ids(api.get(TRANSACTIONS, {"search": "gen-theirs"})) == []


def test_dates_include_from_and_exclude_to(api: APIClient, customer: Customer):
    account = factories.account(customer)
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
    made = [factories.grant(account, "1", now=day).entries.get().pk for day in days]

    def between(**parameters: str) -> list[int]:
        return ids(api.get(TRANSACTIONS, {name.strip("_"): value for name, value in parameters.items()}))

    assert between(from_="2026-03-02") == [made[2], made[1]]
    assert between(to="2026-03-02") == [made[0]]
    assert between(from_="2026-03-02T00:00:00.000001Z", to="2026-03-03T00:00:00.000001Z") == [made[2]]
    assert between(from_="2026-04-01") == []
    assert between(to="2026-02-01") == []


def test_balance_runs_along(api: APIClient, account: Account):
    for _ in range(3):
        factories.usage(account, "1.5")

    rows = api.get(TRANSACTIONS).json()["transactions"]

    for newer, older in pairwise(rows):
        assert parse(newer["balanceAfter"]) == parse(older["balanceAfter"]) + parse(newer["amount"])


def test_rare_entries_are_found_a_bounded_number_of_entries_at_a_time(
    api: APIClient, account: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "LOOKED_AT", 3)
    image = factories.usage(account, feature="ai_image_generation")
    for _ in range(6):
        factories.usage(account)

    pages: list[list[int]] = []
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        page = api.get(TRANSACTIONS, {"feature": "ai_image_generation", **cursor}).json()
        pages.append([entry["id"] for entry in page["transactions"]])
        cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else None

    assert pages == [[], [], [paid(image)]]
    assert download(api, parameters={"feature": "ai_image_generation"}).count(b"\r\n") == 2


def test_statement_costs_no_more_queries_when_it_is_narrowed(api: APIClient, account: Account):
    record = factories.usage(account, generation_id="gen-1", api_key=ApiKey.objects.get())
    bounds = {"from": "2020-01-01", "to": "2100-01-01"}
    everything = {"kind": "USAGE", "feature": "ai_text_chat", "key": record.api_key_id, "search": "gen-1", **bounds}
    entry = paid(record)
    api.get(TRANSACTIONS)

    with CaptureQueriesContext(connection) as queries:
        assert ids(api.get(TRANSACTIONS, everything)) == [entry]

    assert len(queries) <= 6  # key, account, the two bounds in one, reference, generation, entries


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"search": "x"}, ("query.search", "MIN_LENGTH")),
        ({"search": "x" * 256}, ("query.search", "MAX_LENGTH")),
        ({"search": "a\0b"}, ("query.search", "NULL_CHARACTERS_NOT_ALLOWED")),
        ({"key": "0"}, ("query.key", "MIN_VALUE")),
        ({"feature": "x" * 51}, ("query.feature", "MAX_LENGTH")),
        ({"format": "csv"}, ("query", "UNRECOGNIZED_KEYS")),
    ],
)
def test_wrong_parameter_is_named(api: APIClient, account: Account, parameters: Any, fault: tuple[str, str]):
    assert faults(api.get(TRANSACTIONS, parameters)) == [fault]
    assert faults(api.get(CSV, parameters)) == [fault]


def test_cursor_is_stable_while_entries_are_booked(account: Account):
    for _ in range(5):
        factories.usage(account)
    account.refresh_from_db()
    statement = Statement.of(account)

    seen: list[int] = []
    before: int | None = 10**9
    while before is not None:
        entries, before = statement.page(before, 2)
        seen += [entry.sequence for entry in entries]
        factories.usage(account)

    assert seen == [6, 5, 4, 3, 2, 1]


# CSV


def test_csv_has_the_columns_and_entries_of_the_list(api: APIClient, account: Account, now: datetime):
    record = factories.usage(account, "1.5", generation_id="gen-1", created_at=now)
    spent, given = LedgerEntry.objects.order_by("-sequence")

    response: Any = api.get(CSV)
    body = b"".join(response.streaming_content)

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="statement-credits.csv"'
    assert response["Cache-Control"] == "private, no-cache"
    assert (
        body
        == HEADER
        + (
            f"{spent.pk},USAGE,-1.5,98.5,{given.grant_id},{spent.hold_id},{record.pk},ai_text_chat,openai/gpt-4o-mini,"
            f"gen-1,,,{instant(spent.created_at)}\r\n"
            f"{given.pk},GRANT,100,100,{given.grant_id},,,,,,{given.reference},,{instant(given.created_at)}\r\n"
        ).encode()
    )


@pytest.mark.parametrize(
    "memo",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(1)",
        "＝1+1",
        '=HYPERLINK("http://x","y")',
        "=cmd|' /C calc'!A0",
        "-",
        "--1",
        "-1e5",
    ],
)
def test_csv_has_no_cell_that_a_spreadsheet_would_calculate(api: APIClient, account: Account, now: datetime, memo: str):
    adjust(account=account, amount=-credits(3), reference="t-1", memo=memo, actor="system", now=now)

    newest = next(csv.DictReader(io.StringIO(download(api).decode())))

    assert newest["memo"] == f"'{memo}"
    assert newest["amount"] == "-3"


def test_csv_keeps_what_needs_quotes(api: APIClient, account: Account, now: datetime):
    memo = 'A "quoted", long\nmemo; ünïcödé 🪙'
    adjust(account=account, amount=-credits(3), reference="t-1", memo=memo, actor="system", now=now)

    newest = next(csv.DictReader(io.StringIO(download(api).decode(), newline="")))

    assert newest["memo"] == memo


def test_csv_is_read_in_parts_and_ends_where_it_began(
    api: APIClient, account: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "ROWS_A_READ", 4)
    for _ in range(9):
        factories.usage(account)
    response: Any = api.get(CSV)
    factories.usage(account)

    with CaptureQueriesContext(connection) as queries:
        body = b"".join(response.streaming_content)

    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert [row["balanceAfter"] for row in rows] == [str(number) for number in (*range(91, 101),)]
    assert len(queries) == 3


def test_csv_can_be_narrowed(api: APIClient, account: Account, now: datetime):
    factories.usage(account)

    assert download(api, parameters={"kind": "GRANT"}).count(b"\r\n") == 2
    assert download(api, parameters={"to": "2020-01-01"}) == HEADER


def test_csv_of_usdc_has_two_places(api: APIClient, customer: Customer, account: Account):
    factories.account(customer, "100.5", currency=Currency.USDC)

    [row] = csv.DictReader(io.StringIO(download(api, USDC_CSV).decode()))
    [same] = csv.DictReader(io.StringIO(download(api, CSV, {"currency": "usdc"}).decode()))

    assert (row["amount"], row["balanceAfter"]) == ("100.50", "100.50")
    assert same["amount"] == "100.5"


def test_csv_of_nobody_is_a_header(api: APIClient, customer: Customer):
    factories.account(balance="9")

    assert download(api) == HEADER
    assert not Account.objects.filter(customer=customer).exists()


@pytest.mark.parametrize("accept", ["text/csv", "application/json", "*/*"])
def test_csv_comes_whatever_is_accepted_and_refusals_are_json(
    api: APIClient, anonymous: APIClient, account: Account, accept: str
):
    assert download(api, headers={"accept": accept}).startswith(HEADER)
    refused = anonymous.get(CSV, headers={"accept": accept})
    assert (refused.status_code, refused["Content-Type"]) == (401, "application/json")


def test_csv_is_304_until_something_is_booked(api: APIClient, account: Account, customer: Customer):
    first = api.get(CSV)
    with CaptureQueriesContext(connection) as queries:
        same = api.get(CSV, headers={"if-none-match": first["ETag"]})
        assert len(queries) == 2  # the key, the account
    other = api.get(CSV, {"kind": "GRANT"}, headers={"if-none-match": first["ETag"]})
    factories.usage(account)
    changed = api.get(CSV, headers={"if-none-match": first["ETag"]})

    assert (same.status_code, other.status_code, changed.status_code) == (304, 200, 200)


@pytest.mark.django_db(transaction=True)
def test_csv_is_sent_part_by_part_under_asgi(account: Account, api_key: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("accounts.spreadsheets.ROWS_A_PART", 2)
    for _ in range(3):
        factories.usage(account)

    async def read() -> list[bytes]:
        response: Any = await AsyncClient().get(CSV, headers={"authorization": f"Bearer {api_key}"})
        return [part async for part in response]

    parts = async_to_sync(read)()

    assert [part.count(b"\r\n") for part in parts] == [2, 2, 1]
    assert b"".join(parts).startswith(HEADER)


# Explanations


def test_balance_is_explained_with_what_caused_it(api: APIClient, account: Account, now: datetime):
    key = ApiKey.objects.get()
    grant = account.grants.get()
    record = factories.usage(
        account, "1.5", api_key=key, request_id="r-1", generation_id="gen-1", prompt_tokens=12, completion_tokens=34,
        cached_tokens=5, reasoning_tokens=6, created_at=now,
    )  # fmt: skip
    request = HoldRequest(services.new_hold_id(), account.pk, None, credits(2), now + timedelta(minutes=20))
    [hold] = services.place_holds([request], now=now)
    spent, given = account.entries.order_by("-sequence")

    body = api.get(EXPLAIN).json()

    assert body == {
        "currency": "credits",
        "at": body["at"],
        "sequence": 2,
        "balance": "98.5",
        "held": "2",
        "available": "96.5",
        "lots": [
            {
                "grantId": grant.pk,
                "category": "PROMOTION",
                "source": grant.source,
                "amount": "100",
                "remaining": "98.5",
                "held": "2",
                "priority": 100,
                "effectiveAt": instant(grant.effective_at),
                "expiresAt": None,
            }
        ],
        "due": [],
        "holds": [{"id": str(hold.pk), "amount": "2", "reference": "", "createdAt": instant(now), "resolvedAt": None}],
        "difference": None,
        "entries": [
            {
                "sequence": 2,
                "kind": "USAGE",
                "amount": "-1.5",
                "balanceAfter": "98.5",
                "grantId": grant.pk,
                "holdId": str(spent.hold_id),
                "reference": "",
                "memo": "",
                "actor": "system",
                "createdAt": instant(now),
                "usage": {
                    "id": str(record.pk),
                    "feature": "ai_text_chat",
                    "quantity": 1,
                    "model": "openai/gpt-4o-mini",
                    "status": "COMPLETED",
                    "requestId": "r-1",
                    "generationId": "gen-1",
                    "keyId": key.pk,
                    "keyName": key.name,
                    "priceId": record.price_id,
                    "promptTokens": 12,
                    "completionTokens": 34,
                    "cachedTokens": 5,
                    "reasoningTokens": 6,
                },
            },
            {
                "sequence": 1,
                "kind": "GRANT",
                "amount": "100",
                "balanceAfter": "100",
                "grantId": grant.pk,
                "holdId": None,
                "reference": given.reference,
                "memo": "",
                "actor": "system",
                "createdAt": instant(given.created_at),
                "usage": None,
            },
        ],
        "nextCursor": None,
    }


@pytest.fixture
def march(customer: Customer) -> Account:
    """An account that got 5 on 1 March 2026, which fell due on the 3rd and was booked on the 5th, and 7 on the 4th."""
    account = factories.account(customer)
    days = {day: datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 6)}
    factories.grant(account, "5", now=days[1], expires_at=days[3], category=Grant.Category.PLAN)
    services.bring_up_to_date([account.pk], now=days[5])
    factories.grant(account, "7", now=days[5])
    return account


def test_expiry_counts_when_it_fell_due_and_says_when_it_was_booked(api: APIClient, march: Account):
    before = api.get(EXPLAIN, {"at": "2026-03-02"}).json()
    after = api.get(EXPLAIN, {"at": "2026-03-04"}).json()

    assert (before["balance"], before["due"], len(before["lots"])) == ("5", [], 1)
    assert (after["balance"], after["lots"]) == ("0", [])
    assert after["due"] == [
        {
            "kind": "EXPIRY",
            "grantId": before["lots"][0]["grantId"],
            "amount": "-5",
            "dueAt": "2026-03-03T00:00:00.000Z",
            "bookedAs": 2,
            "bookedAt": "2026-03-05T00:00:00.000Z",
        }
    ]


def test_difference_lists_what_changed_and_only_its_entries(api: APIClient, march: Account):
    body = api.get(EXPLAIN, {"from": "2026-03-02", "at": "2026-03-06"}).json()

    assert body["difference"] == {
        "from": "2026-03-02T00:00:00.000Z",
        "opening": "5",
        "movements": [
            {"kind": "GRANT", "counterAccount": "issued", "entries": 1, "amount": "7"},
            {"kind": "EXPIRY", "counterAccount": "breakage", "entries": 1, "amount": "-5"},
        ],
        "closing": "7",
    }
    assert [entry["sequence"] for entry in body["entries"]] == [3, 2]


def test_explanation_comes_in_pages(api: APIClient, march: Account):
    first = api.get(EXPLAIN, {"limit": 2}).json()
    factories.grant(march, "1")
    second = api.get(EXPLAIN, {"limit": 2, "cursor": first["nextCursor"]}).json()

    assert [entry["sequence"] for entry in first["entries"] + second["entries"]] == [3, 2, 1]
    assert (first["nextCursor"], second["nextCursor"]) == ("2", None)


def test_the_past_is_304_whatever_happens_now(api: APIClient, march: Account):
    past = api.get(EXPLAIN, {"at": "2026-03-06"})
    factories.usage(march)

    assert api.get(EXPLAIN, {"at": "2026-03-06"}, headers={"if-none-match": past["ETag"]}).status_code == 304


def test_explanation_is_the_callers_alone_and_of_one_currency(api: APIClient, customer: Customer, march: Account):
    factories.account(customer, "3", currency=Currency.USDC)
    stranger = client_of(factories.account(balance="9").customer)

    assert api.get(EXPLAIN).json()["balance"] == "7"
    assert api.get(EXPLAIN, {"currency": "usdc"}).json()["balance"] == "3"
    assert stranger.get(EXPLAIN).json()["balance"] == "9"


def test_who_was_never_given_anything_has_nothing_to_explain(api: APIClient, customer: Customer):
    body = api.get(EXPLAIN, {"from": "2026-03-01"}).json()

    assert (body["balance"], body["lots"], body["entries"], body["sequence"]) == ("0", [], [], 0)
    assert body["difference"] == {"from": "2026-03-01T00:00:00.000Z", "opening": "0", "movements": [], "closing": "0"}
    assert not Account.objects.filter(customer=customer).exists()


def test_explanation_costs_the_same_however_much_there_is_to_explain(api: APIClient, account: Account, now: datetime):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(EXPLAIN, {"from": "2020-01-01"}).status_code == 200
        return len(captured)

    def spend() -> None:
        factories.grant(account, "1")
        factories.usage(account, "1", api_key=ApiKey.objects.get())

    queries()
    spend()
    few = queries()
    for _ in range(5):
        spend()

    assert queries() == few


def test_amounts_of_lots_add_up_to_the_balance(api: APIClient, account: Account):
    factories.grant(account, "0.0000001")
    factories.usage(account, "3.5")

    body = api.get(EXPLAIN).json()

    assert display(sum(parse(lot["remaining"]) for lot in body["lots"])) == body["balance"] == "96.5000001"


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"at": "2100-01-01"}, ("query.at", "INVALID")),
        ({"at": "yesterday"}, ("query.at", "INVALID")),
        ({"at": "2026-03-01", "from": "2026-03-01"}, ("query.from", "INVALID")),
        ({"from": "2100-01-01"}, ("query.from", "INVALID")),
        ({"to": "2026-03-01"}, ("query", "UNRECOGNIZED_KEYS")),
        ({"currency": "eur"}, ("query.currency", "INVALID_CHOICE")),
        ({"cursor": "x"}, ("query.cursor", "OUT_OF_RANGE")),
    ],
)
def test_wrong_parameter_of_an_explanation_is_named(api: APIClient, parameters: Any, fault: tuple[str, str]):
    assert faults(api.get(EXPLAIN, parameters)) == [fault]


@pytest.mark.parametrize("path", [CSV, USDC_CSV, EXPLAIN])
def test_reading_needs_a_credential_with_the_scope_read(anonymous: APIClient, customer: Customer, path: str):
    refused = anonymous.get(path)
    forbidden = client_of(customer, scopes=["ai"]).get(path)

    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "FORBIDDEN")
    assert client_of(customer).post(path, {}).status_code == 405
