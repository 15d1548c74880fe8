"""Statements of both balances, as pages and as CSV, and why a balance is what it is."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.spreadsheets import CsvResponse
from billing.statements import examples
from billing.statements.explaining import explain
from billing.statements.filters import ExplanationFilter, StatementFilter, TransactionFilter
from billing.statements.reading import Statement, StatementPagination, account_of, statement_of
from billing.statements.serializers import (
    ExplainedEntrySerializer,
    ExplanationSerializer,
    TransactionSerializer,
    UsdcTransactionSerializer,
)
from credits.models import Account, Currency, LedgerEntry
from credits.reads import NOT_MODIFIED, ReadView

NARROWING = (
    "A `search` that is exactly a reference or a generation id is found however old it is; other searches, and the "
    "filters `feature` and `key`, look at 10,000 entries a page, so a page may come short: go on with `nextCursor`."
)


class StatementView(ReadView, GenericAPIView[LedgerEntry]):
    """The pages of one account's statement."""

    pagination_class = StatementPagination

    def statement(self, request: Request) -> Response:
        wanted = self.filters()
        account = account_of(self.customer(), wanted.get("currency", Currency.USDC.value))
        return self.answer(request, statement_of(account, wanted))

    def answer(self, request: Request, statement: Statement) -> Response:
        paginator = self.paginator
        assert isinstance(paginator, StatementPagination), "each view here has its kind of pages"
        page = paginator.paginate_queryset(statement, request, self)
        return paginator.get_paginated_response(self.get_serializer(page, many=True).data)


class TransactionsView(StatementView):
    serializer_class = TransactionSerializer
    filter_class = TransactionFilter

    @extend_schema(
        operation_id="listCreditTransactions",
        summary="Your statement",
        description=(
            "Every change of one balance, newest first, with the balance after it. Entries are final: a correction is "
            f"another entry. {NARROWING}"
        ),
        tags=["Credits"],
        parameters=[TransactionFilter],
        responses={200: TransactionSerializer(many=True), 304: NOT_MODIFIED},
        examples=[OpenApiExample("A chat was paid", value=examples.PAID_CHAT)],
    )
    def get(self, request: Request) -> Response:
        return self.statement(request)


class UsdcTransactionsView(StatementView):
    serializer_class = UsdcTransactionSerializer
    filter_class = StatementFilter

    @extend_schema(
        operation_id="listUsdcTransactions",
        summary="Your USDC statement",
        description=(
            "Every change of the USDC balance, newest first, with the balance after it. Entries are final: a "
            f"correction is another entry. {NARROWING}"
        ),
        tags=["Billing"],
        parameters=[StatementFilter],
        responses={200: UsdcTransactionSerializer(many=True), 304: NOT_MODIFIED},
        examples=[OpenApiExample("A deposit", value=examples.DEPOSIT)],
    )
    def get(self, request: Request) -> Response:
        return self.statement(request)


class StatementCsvView(ReadView):
    """A whole statement as CSV. Refusals are JSON, as everywhere, whatever ``Accept`` says."""

    serializer_class: type[TransactionSerializer]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type

    def statement(self, request: Request) -> HttpResponseBase:
        wanted = self.filters()
        currency = wanted.get("currency", Currency.USDC.value)
        account = account_of(self.customer(), currency)
        response = CsvResponse(self.rows(account, wanted), filename=f"statement-{currency}.csv")
        response["ETag"] = self.tag(account, request)
        return response

    def rows(self, account: Account | None, wanted: dict[str, Any]) -> Iterator[list[Any]]:
        row = self.serializer_class()
        yield list(row.fields)
        for entry in statement_of(account, wanted).all():
            yield list(row.to_representation(entry).values())

    def tag(self, account: Account | None, request: Request) -> str:
        """The account's newest digest stands for all its entries, so nothing of them need be read for a 304."""
        head = "" if account is None else account.head
        asked = sorted(request.query_params.items())
        return f'W/"{hashlib.sha256(repr((request.path, asked, head)).encode()).hexdigest()[:32]}"'


class TransactionsCsvView(StatementCsvView):
    serializer_class = TransactionSerializer
    filter_class = TransactionFilter

    @extend_schema(
        operation_id="exportCreditTransactions",
        summary="Your statement, as CSV",
        description=(
            "The same entries and columns as the list, all of them: sent as they are read, however many. Cells that a "
            "spreadsheet would take for a formula begin with a quote."
        ),
        tags=["Credits"],
        parameters=[TransactionFilter],
        responses={(200, "text/csv"): OpenApiTypes.STR, 304: NOT_MODIFIED},
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.statement(request)


class UsdcTransactionsCsvView(StatementCsvView):
    serializer_class = UsdcTransactionSerializer
    filter_class = StatementFilter

    @extend_schema(
        operation_id="exportUsdcTransactions",
        summary="Your USDC statement, as CSV",
        description="The same entries and columns as the list, all of them: sent as they are read, however many.",
        tags=["Billing"],
        parameters=[StatementFilter],
        responses={(200, "text/csv"): OpenApiTypes.STR, 304: NOT_MODIFIED},
    )
    def get(self, request: Request) -> HttpResponseBase:
        return self.statement(request)


class ExplanationPagination(StatementPagination):
    items_name = "entries"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The view says what the whole answer is; only the parameters come from here."""
        return schema


class ExplanationView(StatementView):
    serializer_class = ExplainedEntrySerializer
    pagination_class = ExplanationPagination
    filter_class = ExplanationFilter

    @extend_schema(
        operation_id="explainCreditBalance",
        summary="Why your balance is what it is, or was",
        description=(
            "One balance at any past instant, from entries and holds alone: what was left of each grant, what was set "
            "aside, and every entry that led there, newest first, with the call that caused it. With `from`, also what "
            "each kind of entry changed since then. A grant that expired counts as gone at that very instant; where "
            "that was booked later, `due` says as which entry."
        ),
        tags=["Credits"],
        parameters=[ExplanationFilter],
        responses={
            200: inline_serializer(
                "Explanation",
                {
                    "currency": serializers.ChoiceField(Currency.choices),
                    **ExplanationSerializer().get_fields(),
                    "entries": ExplainedEntrySerializer(many=True),
                    "nextCursor": serializers.CharField(allow_null=True),
                },
            ),
            304: NOT_MODIFIED,
        },
        examples=[OpenApiExample("A chat was paid and another runs", value=examples.EXPLANATION)],
    )
    def get(self, request: Request) -> Response:
        wanted, now = self.filters(), timezone.now()
        at, since = wanted.get("at", now), wanted.get("from")
        if at > now:
            raise serializers.ValidationError({"at": ["Nobody knows the future."]}, code="invalid")
        if since is not None and since >= at:
            raise serializers.ValidationError({"from": ["Must be earlier than `at`."]}, code="invalid")
        explanation = explain(account_of(self.customer(), wanted["currency"]), at=at, since=since)
        entries = self.answer(request, explanation.entries()).data
        body = {"currency": wanted["currency"], **ExplanationSerializer(explanation).data, **entries}
        return Response(body)
