"""What a customer reads of prices, usage and statements."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import ApiKey, Customer, User
from billing.catalogue import Feature
from billing.models import Price, UsageRecord
from billing.usage import pagination
from credits.amounts import credits
from credits.models import Account, Currency, LedgerEntry
from credits.services import adjust
from tests import factories

SETTINGS = "/api/credits/settings"
USAGE = "/api/credits/usage"
TRANSACTIONS = "/api/credits/transactions"
USDC = "/api/billing/credits"
USDC_TRANSACTIONS = "/api/billing/credits/transactions"

Status = UsageRecord.Status


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def client_of(customer: Customer, **key: Any) -> APIClient:
    return APIClient(headers={"authorization": f"Bearer {factories.api_key(customer, **key)}"})


def faults(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400
    assert response.json()["code"] == "VALIDATION_ERROR"
    return [(fault["field"], fault["code"]) for fault in response.json()["details"]]


# Prices


@pytest.mark.django_db
def test_anyone_may_read_what_features_cost(anonymous: APIClient):
    response = anonymous.get(SETTINGS)

    assert response.status_code == 200
    assert response.json() == {"featureCosts": {"ai_text_chat": 1, "ai_image_generation": 5}, "planCredits": {}}
    assert response["Cache-Control"] == "public, no-cache"


@pytest.mark.django_db
def test_prices_are_read_whatever_the_credential_is_worth(anonymous: APIClient):
    assert anonymous.get(SETTINGS, headers={"authorization": "Bearer nonsense"}).status_code == 200


@pytest.mark.django_db
def test_price_counts_from_the_instant_it_takes_effect(anonymous: APIClient, now: datetime):
    Price.objects.create(feature=Feature.AI_TEXT_CHAT, amount=credits(2), effective_at=now - timedelta(seconds=1))
    Price.objects.create(feature=Feature.AI_TEXT_CHAT, amount=credits(3), effective_at=now + timedelta(days=1))
    Price.objects.create(
        feature=Feature.AI_IMAGE_GENERATION, amount=25_000_000, effective_at=now - timedelta(seconds=1)
    )

    assert anonymous.get(SETTINGS).json()["featureCosts"] == {"ai_text_chat": 2, "ai_image_generation": "2.5"}


@pytest.mark.django_db
def test_metered_price_is_not_shown_as_a_fixed_one(anonymous: APIClient, now: datetime):
    Price.objects.create(
        feature=Feature.AI_TEXT_CHAT,
        type=Price.Type.METERED,
        amount=1,
        rate=10**9,
        markup=10**6,
        effective_at=now - timedelta(seconds=1),
    )

    assert anonymous.get(SETTINGS).json()["featureCosts"] == {"ai_image_generation": 5}


@pytest.mark.django_db
def test_prices_are_304_until_one_changes(anonymous: APIClient, now: datetime):
    first = anonymous.get(SETTINGS)
    same = anonymous.get(SETTINGS, headers={"if-none-match": first["ETag"]})
    Price.objects.create(feature=Feature.AI_TEXT_CHAT, amount=credits(2), effective_at=now - timedelta(seconds=1))
    changed = anonymous.get(SETTINGS, headers={"if-none-match": first["ETag"]})

    assert (same.status_code, changed.status_code) == (304, 200)


# Usage


def test_usage_paid_in_usdc_cost_no_credits(api: APIClient, account: Account):
    usdc = factories.account(account.customer, "5", currency="usdc")
    factories.usage(usdc, "0.25")
    factories.usage(account, "2")

    calls = api.get("/api/credits/usage").json()["data"]

    assert [(call["creditsUsed"], call["charged"], call["currency"]) for call in calls] == [
        (2, "2", "credits"),
        (0, "0.25", "usdc"),
    ]
    in_usdc = api.get("/api/credits/usage", {"currency": "usdc"}).json()["data"]
    assert [call["charged"] for call in in_usdc] == ["0.25"]


def test_usage_tells_who_what_and_how_much_but_not_what_it_cost_us(api: APIClient, account: Account, now: datetime):
    key = ApiKey.objects.get()
    record = factories.usage(
        account,
        "1",
        api_key=key,
        request_id="r-1",
        prompt_tokens=12,
        completion_tokens=34,
        cached_tokens=5,
        reasoning_tokens=6,
        generation_id="gen-1",
        provider_cost="0.00012",
        provider_cost_picos=120_000_000,
        streamed=True,
        latency_ms=1830,
        first_token_ms=410,
        created_at=now,
    )

    response = api.get(USAGE)

    assert response.status_code == 200
    assert response.json() == {
        "data": [
            {
                "id": str(record.pk),
                "operationType": "AI_TEXT_CHAT",
                "creditsUsed": 1,
                "charged": "1",
                "currency": "credits",
                "timestamp": instant(now),
                "details": {
                    "model": "openai/gpt-4o-mini",
                    "status": "COMPLETED",
                    "errorCode": "",
                    "quantity": 1,
                    "promptTokens": 12,
                    "completionTokens": 34,
                    "cachedTokens": 5,
                    "reasoningTokens": 6,
                    "generationId": "gen-1",
                    "requestId": "r-1",
                    "keyId": key.pk,
                    "keyName": key.name,
                    "streamed": True,
                    "latencyMs": 1830,
                    "firstTokenMs": 410,
                    "endUser": "",
                    "notes": {},
                },
            }
        ],
        "pagination": {"page": 1, "limit": 50, "total": 1, "totalPages": 1, "hasNext": False, "hasPrev": False},
        "success": True,
    }


def test_usage_without_a_key_names_none(api: APIClient, account: Account):
    factories.usage(account)

    details = api.get(USAGE).json()["data"][0]["details"]

    assert (details["keyId"], details["keyName"]) == (None, None)


def test_usage_is_the_callers_alone(api: APIClient, account: Account):
    factories.usage(factories.account(balance="5"))
    mine = factories.usage(account)

    assert [call["id"] for call in api.get(USAGE).json()["data"]] == [str(mine.pk)]


def test_usage_comes_in_pages_newest_first_that_cost_the_same(api: APIClient, account: Account):
    made = [str(factories.usage(account, api_key=ApiKey.objects.get()).pk) for _ in range(5)]
    api.get(USAGE)

    with CaptureQueriesContext(connection) as queries:
        second = api.get(USAGE, {"page": 2, "limit": 2}).json()

    assert [call["id"] for call in second["data"]] == [made[2], made[1]]
    assert second["pagination"] == {
        "page": 2,
        "limit": 2,
        "total": 5,
        "totalPages": 3,
        "hasNext": True,
        "hasPrev": True,
    }
    assert len(queries) == 3


def test_usage_counts_and_shows_no_more_than_the_newest(
    api: APIClient, account: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pagination, "MOST_COUNTED", 3)
    made = [str(factories.usage(account).pk) for _ in range(5)]

    last = api.get(USAGE, {"page": 2, "limit": 2}).json()

    assert [call["id"] for call in last["data"]] == [made[2]]
    assert (last["pagination"]["total"], last["pagination"]["hasNext"]) == (3, False)


def test_usage_is_in_the_order_in_which_calls_began(api: APIClient, account: Account, now: datetime):
    late = factories.usage(account, created_at=now)
    early = factories.usage(account, created_at=now - timedelta(minutes=10))

    assert [call["id"] for call in api.get(USAGE).json()["data"]] == [str(late.pk), str(early.pk)]


def test_usage_reaches_back_thirty_days_unless_told_otherwise(api: APIClient, account: Account, now: datetime):
    factories.usage(account, created_at=now - timedelta(days=40))
    recent = factories.usage(account, created_at=now - timedelta(days=20))
    newest = factories.usage(account, created_at=now - timedelta(days=5))

    def ids(**parameters: str) -> list[int]:
        return [int(call["id"]) for call in api.get(USAGE, parameters).json()["data"]]

    since, until = instant(now - timedelta(days=41)), instant(now - timedelta(days=10))
    assert ids() == [newest.pk, recent.pk]
    assert ids(days="7") == [newest.pk]
    assert len(ids(days="366")) == 3
    assert len(ids(**{"from": since})) == 3
    assert ids(to=until) == [recent.pk]


def test_period_includes_its_start_and_excludes_its_end(api: APIClient, account: Account):
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    record = factories.usage(account, created_at=noon)

    def total(start: str, end: str) -> int:
        total: int = api.get(USAGE, {"from": start, "to": end}).json()["pagination"]["total"]
        return total

    assert record.created_at == noon
    assert total("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.001Z") == 1
    assert total("2026-11-20T13:00:00+01:00", "2026-11-21") == 1
    assert total("2026-11-20", "2026-11-20T12:00:00Z") == 0


def test_usage_can_be_narrowed(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    factories.usage(account)
    image = factories.usage(account, feature=Feature.AI_IMAGE_GENERATION)
    failed = factories.usage(account, "0", status=Status.FAILED, error_code="provider_error")
    other = factories.usage(account, model="anthropic/claude")
    keyed = factories.usage(account, api_key=key)

    def ids(**parameters: str) -> list[int]:
        return [int(call["id"]) for call in api.get(USAGE, parameters).json()["data"]]

    assert ids(feature="AI_IMAGE_GENERATION") == ids(feature="ai_image_generation") == [image.pk]
    assert ids(status="FAILED") == [failed.pk]
    assert ids(model="anthropic/claude") == [other.pk]
    assert ids(key=str(key.pk)) == [keyed.pk]
    assert ids(feature="ai_unheard_of") == []


def test_call_that_failed_is_shown_and_cost_nothing(api: APIClient, account: Account):
    factories.usage(account, "0", status=Status.FAILED, error_code="provider_error")

    call = api.get(USAGE).json()["data"][0]

    assert call["creditsUsed"] == 0
    assert (call["details"]["status"], call["details"]["errorCode"]) == ("FAILED", "provider_error")


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"page": "0"}, ("query.page", "OUT_OF_RANGE")),
        ({"page": "1.5"}, ("query.page", "OUT_OF_RANGE")),
        ({"limit": "101"}, ("query.limit", "OUT_OF_RANGE")),
        ({"days": "0"}, ("query.days", "MIN_VALUE")),
        ({"days": "367"}, ("query.days", "MAX_VALUE")),
        ({"days": "week"}, ("query.days", "INVALID")),
        ({"days": "7", "from": "2026-11-01"}, ("query.days", "INVALID")),
        ({"status": "completed"}, ("query.status", "INVALID_CHOICE")),
        ({"key": "x"}, ("query.key", "INVALID")),
        ({"key": str(2**63)}, ("query.key", "MAX_VALUE")),
        ({"from": "yesterday"}, ("query.from", "INVALID")),
        ({"from": "2026-11-01T00:00:00"}, ("query.from", "INVALID")),
        ({"from": "2026-02-30"}, ("query.from", "INVALID")),
        ({"from": "2026-11-02", "to": "2026-11-01"}, ("query.to", "INVALID")),
        ({"pageSize": "5"}, ("query", "UNRECOGNIZED_KEYS")),
    ],
)
def test_wrong_parameter_of_usage_is_named(api: APIClient, parameters: dict[str, str], fault: tuple[str, str]):
    assert faults(api.get(USAGE, parameters)) == [fault]


# The statement


def test_statement_tells_what_each_entry_paid_for(api: APIClient, account: Account, now: datetime):
    record = factories.usage(account, "1.5", generation_id="gen-1", created_at=now)
    paid, given = LedgerEntry.objects.order_by("-sequence")

    response = api.get(TRANSACTIONS)

    assert response.status_code == 200
    assert response.json() == {
        "transactions": [
            {
                "id": paid.pk,
                "kind": "USAGE",
                "amount": "-1.5",
                "balanceAfter": "98.5",
                "grantId": given.grant_id,
                "holdId": str(paid.hold_id),
                "usageId": str(record.pk),
                "feature": "ai_text_chat",
                "model": "openai/gpt-4o-mini",
                "generationId": "gen-1",
                "reference": "",
                "memo": "",
                "createdAt": instant(paid.created_at),
            },
            {
                "id": given.pk,
                "kind": "GRANT",
                "amount": "100",
                "balanceAfter": "100",
                "grantId": given.grant_id,
                "holdId": None,
                "usageId": None,
                "feature": None,
                "model": None,
                "generationId": None,
                "reference": given.reference,
                "memo": "",
                "createdAt": instant(given.created_at),
            },
        ],
        "nextCursor": None,
    }


def test_statement_is_read_page_by_page_though_entries_are_booked_meanwhile(api: APIClient, account: Account):
    for _ in range(5):
        factories.usage(account)
    sequences = list(LedgerEntry.objects.order_by("-sequence").values_list("pk", flat=True))

    first = api.get(TRANSACTIONS, {"limit": 2}).json()
    factories.usage(account)
    second = api.get(TRANSACTIONS, {"limit": 2, "cursor": first["nextCursor"]}).json()
    last = api.get(TRANSACTIONS, {"limit": 2, "cursor": second["nextCursor"]}).json()

    pages = [[entry["id"] for entry in page["transactions"]] for page in (first, second, last)]
    assert pages == [sequences[:2], sequences[2:4], sequences[4:]]
    assert last["nextCursor"] is None


def test_statement_costs_the_same_however_long_it_is(api: APIClient, account: Account):
    for _ in range(5):
        factories.usage(account)
    api.get(TRANSACTIONS)

    with CaptureQueriesContext(connection) as queries:
        assert len(api.get(TRANSACTIONS).json()["transactions"]) == 6

    assert len(queries) == 3  # the key, the account, the entries


def test_statement_can_be_narrowed(api: APIClient, customer: Customer, account: Account, now: datetime):
    factories.usage(account)
    adjust(account=account, amount=-credits(3), reference="a-1", memo="Sorry", actor="system", now=now)
    factories.account(customer, "8", currency=Currency.USDC)

    def entries(**parameters: str) -> list[tuple[str, str]]:
        found = api.get(TRANSACTIONS, parameters).json()["transactions"]
        return [(entry["kind"], entry["amount"]) for entry in found]

    tomorrow = (now + timedelta(days=1)).date().isoformat()
    assert entries(kind="ADJUSTMENT") == [("ADJUSTMENT", "-3")]
    assert entries(currency="usdc") == [("GRANT", "8")]
    assert entries(**{"from": tomorrow}) == []
    assert len(entries(to=tomorrow)) == 3


def test_statement_is_the_callers_alone(api: APIClient, customer: Customer):
    factories.account(balance="9")

    assert api.get(TRANSACTIONS).json() == {"transactions": [], "nextCursor": None}


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"limit": "0"}, ("query.limit", "OUT_OF_RANGE")),
        ({"cursor": "abc"}, ("query.cursor", "OUT_OF_RANGE")),
        ({"cursor": "-1"}, ("query.cursor", "OUT_OF_RANGE")),
        ({"kind": "usage"}, ("query.kind", "INVALID_CHOICE")),
        ({"currency": "eur"}, ("query.currency", "INVALID_CHOICE")),
        ({"to": "2026-13-01"}, ("query.to", "INVALID")),
        ({"page": "2"}, ("query", "UNRECOGNIZED_KEYS")),
    ],
)
def test_wrong_parameter_of_the_statement_is_named(
    api: APIClient, account: Account, parameters: dict[str, str], fault: tuple[str, str]
):
    assert faults(api.get(TRANSACTIONS, parameters)) == [fault]


# The USDC balance of the second original


@pytest.fixture
def person(db: None) -> User:
    return factories.UserFactory.create(external_id="user_123")


@pytest.fixture
def usdc_api(person: User) -> APIClient:
    return client_of(person.personal_customer)


@pytest.mark.parametrize("balance", ["100.50", "0.0000001", "999999.9999999", "25.00", "75.25"])
def test_usdc_balance_has_exactly_four_keys(usdc_api: APIClient, person: User, balance: str):
    account = factories.account(person.personal_customer, balance, currency=Currency.USDC)

    response = usdc_api.get(USDC)

    assert response.status_code == 200
    assert response.json() == {
        "user_id": "user_123",
        "balance_usdc": balance,
        "created_at": instant(account.created_at),
        "updated_at": instant(account.updated_at),
    }


def test_first_request_opens_an_empty_usdc_account(usdc_api: APIClient, person: User):
    factories.account(balance="9", currency=Currency.USDC)

    first = usdc_api.get(USDC)
    again = usdc_api.get(USDC)

    account = Account.objects.get(customer__user=person, currency=Currency.USDC)
    opened = instant(account.created_at)
    assert first.json() == {"user_id": "user_123", "balance_usdc": "0.00", "created_at": opened, "updated_at": opened}
    assert again.json() == first.json()


def test_user_that_no_identity_provider_knows_goes_by_our_id(api: APIClient, user: User):
    assert api.get(USDC).json()["user_id"] == str(user.pk)


@pytest.mark.django_db
def test_team_goes_by_its_own_id():
    team = factories.TeamFactory.create(external_id="org_1")

    assert client_of(team, created_by=factories.UserFactory.create()).get(USDC).json()["user_id"] == "org_1"


def test_usdc_balance_takes_no_parameters(usdc_api: APIClient):
    response = usdc_api.get(USDC, {"unexpected": "1"}, headers={"x-request-id": "r-1"})

    assert response.status_code == 400
    assert response.json() == {
        "error": "Validation failed",
        "code": "VALIDATION_ERROR",
        "message": "Request validation failed",
        "requestId": "r-1",
        "details": [{"field": "query", "message": 'Unrecognized key: "unexpected"', "code": "UNRECOGNIZED_KEYS"}],
    }


@pytest.mark.django_db(transaction=True)
def test_a_hundred_first_requests_at_once_open_one_account():
    api = client_of(factories.UserFactory.create(external_id="user_123").personal_customer)

    def read(_: int) -> tuple[int, str]:
        try:
            response = api.get(USDC)
            return response.status_code, response.json()["balance_usdc"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(read, range(100)))

    assert answers == [(200, "0.00")] * 100
    assert Account.objects.count() == 1


@pytest.fixture
def read_only_database(transactional_db: None) -> Iterator[None]:
    switch = {
        "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
        "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
    }
    on, off = switch[connection.vendor]

    def run(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    run(on)
    yield
    run(off)


@pytest.fixture
def known_api(transactional_db: None) -> APIClient:
    """A client whose key was used a moment ago, so that signing in has nothing to write."""
    client = client_of(factories.UserFactory.create(external_id="user_9").personal_customer)
    client.get("/api/credits/me")
    return client


def test_usdc_balance_is_zero_where_the_database_only_reads(known_api: APIClient, read_only_database: None):
    response = known_api.get(USDC)

    body = response.json()
    assert response.status_code == 200
    assert body == {
        "user_id": "user_9",
        "balance_usdc": "0.00",
        "created_at": body["updated_at"],
        "updated_at": body["updated_at"],
    }
    assert not Account.objects.exists()


def test_usdc_statement_is_written_with_two_places(usdc_api: APIClient, person: User):
    account = factories.account(person.personal_customer, "100.5", currency=Currency.USDC)
    factories.account(person.personal_customer, "7")
    entry = LedgerEntry.objects.get(account=account)

    response = usdc_api.get(USDC_TRANSACTIONS)

    assert response.json() == {
        "transactions": [
            {
                "id": entry.pk,
                "kind": "GRANT",
                "amount": "100.50",
                "balanceAfter": "100.50",
                "grantId": entry.grant_id,
                "holdId": None,
                "usageId": None,
                "feature": None,
                "model": None,
                "generationId": None,
                "reference": entry.reference,
                "memo": "",
                "createdAt": instant(entry.created_at),
            }
        ],
        "nextCursor": None,
    }


def test_usdc_statement_knows_no_other_currency(usdc_api: APIClient):
    assert faults(usdc_api.get(USDC_TRANSACTIONS, {"currency": "credits"})) == [("query", "UNRECOGNIZED_KEYS")]


# All of them

PRIVATE = [USAGE, TRANSACTIONS, USDC, USDC_TRANSACTIONS]


@pytest.mark.parametrize("path", PRIVATE)
def test_reading_needs_a_credential_with_the_scope_read(anonymous: APIClient, customer: Customer, path: str):
    refused = anonymous.get(path)
    forbidden = client_of(customer, scopes=["ai"]).get(path)

    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("path", PRIVATE)
def test_answer_is_304_until_something_changes(api: APIClient, account: Account, customer: Customer, path: str):
    usdc = factories.account(customer, currency=Currency.USDC)
    first = api.get(path)
    same = api.get(path, headers={"if-none-match": first["ETag"]})
    factories.usage(account)
    factories.grant(usdc, "1")
    changed = api.get(path, headers={"if-none-match": first["ETag"]})

    assert first["Cache-Control"] == "private, no-cache"
    assert (same.status_code, same.content) == (304, b"")
    assert changed.status_code == 200


def test_usdc_balance_says_since_when_it_is_so(usdc_api: APIClient, person: User, now: datetime):
    account = factories.account(person.personal_customer, currency=Currency.USDC)
    factories.grant(account, "1", now=now - timedelta(hours=1))

    first = usdc_api.get(USDC)
    again = usdc_api.get(USDC, headers={"if-modified-since": first["Last-Modified"]})

    assert again.status_code == 304


@pytest.mark.parametrize("path", [SETTINGS, *PRIVATE])
def test_reads_are_only_read(api: APIClient, path: str):
    response = api.post(path, {})

    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
