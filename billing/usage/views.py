"""Usage, as its customer reads it: call by call, summed up, as a spreadsheet, and where it leads."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import zones
from accounts.pagination import DEFAULT_SIZE, LAST_PAGE, MAX_SIZE
from accounts.spreadsheets import CsvResponse
from billing.models import UsageDay, UsageRecord
from billing.usage import exports, reports
from billing.usage.filters import ForecastFilter, SummaryFilter, UsageFilter, narrowing, period_of, usage_of
from billing.usage.pagination import SummaryPagination, UsagePagination
from billing.usage.serializers import ForecastSerializer, SummarySerializer, UsageSerializer
from credits.balances import balance_at
from credits.models import currency_of
from credits.reads import NOT_MODIFIED, ReadView

USAGE = {
    "id": "42",
    "operationType": "AI_TEXT_CHAT",
    "creditsUsed": 1,
    "charged": "1",
    "currency": "credits",
    "timestamp": "2026-11-20T12:00:00.000Z",
    "details": {
        "model": "openai/gpt-4o-mini",
        "status": "COMPLETED",
        "errorCode": "",
        "quantity": 1,
        "promptTokens": 12,
        "completionTokens": 34,
        "cachedTokens": 0,
        "reasoningTokens": 0,
        "generationId": "gen-1732104000-abc",
        "requestId": "8a6e0804-2bd0-4672-b79d-d97027f9071a",
        "keyId": 7,
        "keyName": "production",
        "streamed": True,
        "latencyMs": 1830,
        "firstTokenMs": 410,
        "endUser": "ada",
        "notes": {"run": "42"},
    },
}
SUMS = {
    "calls": 3,
    "failedCalls": 1,
    "charged": "2",
    "promptTokens": 36,
    "completionTokens": 102,
    "cachedTokens": 0,
    "reasoningTokens": 0,
}
SUMMARY = {
    "timeZone": "Europe/Berlin",
    "from": "2026-11-20",
    "to": "2026-11-21",
    "currency": "credits",
    "groupBy": "model",
    "groups": [
        {"day": None, "feature": None, "model": "openai/gpt-4o-mini", "keyId": None, "keyName": None, **SUMS},
    ],
    "totals": SUMS,
    "pagination": {"page": 1, "pageSize": 50, "total": 1, "pages": 1},
}
FORECAST = {
    "timeZone": "Europe/Berlin",
    "currency": "credits",
    "available": "96",
    "days": 7,
    "charged": "28",
    "perDay": "4",
    "daysLeft": 24,
    "runsOutOn": "2026-12-14",
}
PAGE = [
    OpenApiParameter("page", {"type": "integer", "minimum": 1, "maximum": LAST_PAGE, "default": 1}),
    OpenApiParameter("pageSize", {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE}),
]


class UsageView(ReadView, ListAPIView[UsageRecord]):
    serializer_class = UsageSerializer
    pagination_class = UsagePagination
    filter_class = UsageFilter

    @extend_schema(
        operation_id="listCreditUsage",
        summary="What you used",
        description="Your calls, newest first, also those that failed and cost nothing.",
        tags=["Credits"],
        parameters=[UsageFilter],
        responses={200: UsageSerializer(many=True), 304: NOT_MODIFIED},
        examples=[OpenApiExample("A chat", value=USAGE)],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[UsageRecord]:
        return usage_of(self.customer(), self.filters(), now=timezone.now())


class UsageCsvView(ReadView):
    filter_class = UsageFilter

    @extend_schema(
        operation_id="exportCreditUsage",
        summary="What you used, as CSV",
        description=(
            "The same calls as the list, all of them: sent as they are read, however many. Cells that a spreadsheet "
            "would take for a formula begin with a quote."
        ),
        tags=["Credits"],
        parameters=[UsageFilter],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> CsvResponse:
        records = usage_of(self.customer(), self.filters(), now=timezone.now())
        return CsvResponse(exports.usage_rows(records), filename="usage.csv")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        """The answer is CSV and a refusal is JSON, whatever is accepted."""
        return JSONRenderer(), JSONRenderer.media_type


class UsageSummaryView(ReadView, GenericAPIView[UsageDay]):
    filter_class = SummaryFilter
    pagination_class = SummaryPagination

    @extend_schema(
        operation_id="getCreditUsageSummary",
        summary="What you used, summed up",
        description=(
            "The calls that were paid in one `currency`, by day, or by feature, model or key with the dearest first. "
            "Days are those of your time zone; each call counts on the day on which it began. Every day of the period "
            "is there, also one without a call."
        ),
        tags=["Credits"],
        parameters=[SummaryFilter, *PAGE],
        responses={200: SummarySerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("One model", value=SUMMARY)],
    )
    def get(self, request: Request, **of: Any) -> Response:
        customer, wanted = self.customer(), self.filters()
        wanted.setdefault("currency", currency_of(wanted["mode"]))
        first, end = period_of(wanted, today=zones.day_of(timezone.now(), customer.time_zone))
        days = reports.usage_days(customer, first, end, mode=wanted["mode"], **narrowing(wanted))
        by, pages = wanted["groupBy"], self.paginator
        assert isinstance(pages, SummaryPagination), "that is its class"
        found = reports.grouped(days, by)
        every = reports.every_day(found, reports.all_days(first, end)) if by == reports.DAY else found
        groups = pages.paginate_queryset(every, request, self)
        if by == reports.KEY:
            reports.name_keys(groups, customer)
        body = {
            "time_zone": customer.time_zone,
            "from": first,
            "to": end,
            "currency": wanted["currency"],
            "groupBy": by,
            "totals": reports.added_up(found),
            "groups": groups,
            "pagination": pages.numbers(),
        }
        return Response(SummarySerializer(body).data)


class ForecastView(ReadView):
    filter_class = ForecastFilter

    @extend_schema(
        operation_id="getCreditForecast",
        summary="When your credits run out",
        description=(
            "If usage goes on as on the average of the last whole days in your time zone; of fewer, if your first call "
            "is more recent. Credits that will expire count as if they could all be spent."
        ),
        tags=["Credits"],
        parameters=[ForecastFilter],
        responses={200: ForecastSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("Four credits a day", value=FORECAST)],
    )
    def get(self, request: Request) -> Response:
        now, customer = timezone.now(), self.customer()
        today = zones.day_of(now, customer.time_zone)
        wanted = self.filters()
        currency = wanted["currency"]
        charged, days = reports.recent_usage(
            customer, currency=currency, days=wanted["days"], today=today, mode=self.mode()
        )
        balance = balance_at(customer=customer, currency=currency, now=now)
        available = balance.available if balance is not None else 0
        forecast = reports.forecast(available=available, charged=charged, days=days, today=today)
        return Response(
            ForecastSerializer(forecast, context={"time_zone": customer.time_zone, "currency": currency}).data
        )
