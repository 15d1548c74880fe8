"""Usage as a spreadsheet: whole, streamed, and harmless."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import spreadsheets
from accounts.models import ApiKey, Customer
from billing.catalogue import Feature
from billing.models import UsageRecord
from billing.usage import exports
from credits.models import Account
from tests import factories
from tests.server import running_prepaid

CSV = "/api/credits/usage.csv"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOVEMBER = {"from": "2026-11-01", "to": "2026-12-01"}


def table(api: APIClient, **parameters: str) -> list[list[str]]:
    response = api.get(CSV, parameters or NOVEMBER)
    assert response.status_code == 200
    return list(csv.reader(io.StringIO(b"".join(response).decode(), newline="")))


def test_spreadsheet_has_a_row_for_each_call(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    record = factories.usage(
        account,
        "1.5",
        api_key=key,
        request_id="r-1",
        prompt_tokens=12,
        completion_tokens=34,
        cached_tokens=5,
        generation_id="gen-1",
        provider_cost="0.00012",
        provider_cost_picos=120_000_000,
        streamed=True,
        latency_ms=1830,
        created_at=NOON,
    )

    header, row = table(api)

    assert dict(zip(header, row, strict=True)) == {
        "id": str(record.pk),
        "timestamp": "2026-11-20T12:00:00.000Z",
        "day": "2026-11-20",
        "feature": "ai_text_chat",
        "model": "openai/gpt-4o-mini",
        "status": "COMPLETED",
        "errorCode": "",
        "quantity": "1",
        "creditsUsed": "1.5",
        "charged": "1.5",
        "currency": "credits",
        "promptTokens": "12",
        "completionTokens": "34",
        "cachedTokens": "5",
        "reasoningTokens": "",
        "generationId": "gen-1",
        "requestId": "r-1",
        "keyId": str(key.pk),
        "keyName": key.name,
        "streamed": "true",
        "latencyMs": "1830",
        "firstTokenMs": "",
        "endUser": "",
    }


def test_spreadsheet_is_a_download_that_nobody_else_keeps(api: APIClient, account: Account):
    response = api.get(CSV)

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert response["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("accepted", ["text/csv", "*/*", "application/json"])
def test_answer_is_csv_and_a_refusal_is_json_whatever_is_accepted(api: APIClient, account: Account, accepted: str):
    good = api.get(CSV, headers={"accept": accepted})
    bad = api.get(CSV, {"days": "0"}, headers={"accept": accepted})

    assert (good.status_code, good["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert (bad.status_code, bad.json()["details"][0]["field"]) == (400, "query.days")


def test_spreadsheet_is_narrowed_like_the_list(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    factories.usage(account, created_at=NOON)
    image = factories.usage(account, feature=Feature.AI_IMAGE_GENERATION, created_at=NOON)
    failed = factories.usage(account, "0", status=UsageRecord.Status.FAILED, created_at=NOON)
    other = factories.usage(account, model="b", created_at=NOON)
    keyed = factories.usage(account, api_key=key, created_at=NOON)
    old = factories.usage(account, created_at=NOON - timedelta(days=30))

    def ids(**parameters: str) -> list[int]:
        return [int(row[0]) for row in table(api, **NOVEMBER, **parameters)[1:]]

    assert ids(feature="AI_IMAGE_GENERATION") == [image.pk]
    assert ids(status="FAILED") == [failed.pk]
    assert ids(model="b") == [other.pk]
    assert ids(key=str(key.pk)) == [keyed.pk]
    assert old.pk not in ids()
    assert len(ids()) == 5


def test_spreadsheet_is_the_callers_alone(api: APIClient, account: Account):
    factories.usage(factories.account(balance="5"), created_at=NOON)

    assert table(api) == [list(exports.HEADER)]


def test_reading_needs_a_credential_with_the_scope_read(anonymous: APIClient, customer: Customer):
    reader = APIClient(headers={"authorization": f"Bearer {factories.api_key(customer, scopes=['ai'])}"})

    assert (anonymous.get(CSV).status_code, reader.get(CSV).status_code) == (401, 403)


# Harmless


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1+1", "'＝1+1"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("a=b", "a=b"),
        ("", ""),
        (-5, -5),
        (None, None),
    ],
)
def test_text_that_would_be_a_formula_begins_with_a_quote(cell: Any, shown: Any):
    assert spreadsheets.harmless(cell) == shown


def test_whatever_a_caller_can_write_is_harmless(api: APIClient, account: Account):
    key = ApiKey.objects.get()
    key.name = "=HYPERLINK(1)"
    key.save()
    factories.usage(account, model="=1", request_id="@r", generation_id="+g", api_key=key, created_at=NOON)

    header, row = table(api)

    cells = dict(zip(header, row, strict=True))
    assert (cells["model"], cells["requestId"], cells["generationId"], cells["keyName"]) == (
        "'=1", "'@r", "'+g", "'=HYPERLINK(1)",
    )  # fmt: skip


def test_commas_quotes_lines_and_all_scripts_come_through():
    rows = [["a,b", 'say "hi"', "two\r\nlines", "köln 東京"]]

    written = b"".join(spreadsheets.lines(rows)).decode()

    assert written == '"a,b","say ""hi""","two\r\nlines",köln 東京\r\n'
    assert list(csv.reader(io.StringIO(written, newline=""))) == rows


# However many


def test_calls_are_read_some_at_a_time_and_none_is_missed(
    api: APIClient, account: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exports, "RECORDS_A_READ", 3)
    # Many of one instant, so that reads end between calls that only their ids tell apart.
    made = [factories.usage(account, "0.1", created_at=NOON - timedelta(minutes=number // 4)) for number in range(10)]

    with CaptureQueriesContext(connection) as queries:
        ids = [int(row[0]) for row in table(api)[1:]]

    assert ids == [record.pk for record in sorted(made, key=lambda r: (r.created_at, r.pk), reverse=True)]
    reads = [query["sql"] for query in queries if "billing_usagerecord" in query["sql"]]
    assert len(reads) == 5
    assert all(read.endswith("LIMIT 3") for read in reads)


def test_rows_are_asked_for_as_they_are_sent():
    asked = []

    def rows() -> Iterator[list[int]]:
        for number in range(10 * spreadsheets.ROWS_A_PART):
            asked.append(number)
            yield [number]

    parts = iter(spreadsheets.CsvResponse(rows(), filename="x.csv"))
    next(parts)

    assert len(asked) == spreadsheets.ROWS_A_PART


@pytest.mark.django_db(transaction=True)
def test_server_sends_the_spreadsheet_as_it_is_read(
    customer: Customer, account: Account, api_key: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exports, "RECORDS_A_READ", 2)
    monkeypatch.setattr(spreadsheets, "ROWS_A_PART", 2)
    made = [factories.usage(account, "0.1") for _ in range(7)]

    with running_prepaid() as url:
        answer = requests.get(url + CSV, headers={"Authorization": f"Bearer {api_key}"}, stream=True, timeout=20)
        parts = list(answer.raw.read_chunked())

    rows = list(csv.reader(io.StringIO(b"".join(parts).decode(), newline="")))
    assert (answer.status_code, len(rows)) == (200, 1 + len(made))
    assert len(parts) == 4
