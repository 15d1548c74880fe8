"""``/api/admin/ledger/…``: the books as a whole, for administrators."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import IsAdministrator
from accounts.spreadsheets import CsvResponse
from credits.administration.serializers import TrialBalanceFilter, TrialBalanceSerializer, csv_of
from credits.reads import NOT_MODIFIED, ReadView
from credits.trial_balance import TrialBalance, trial_balance

MONTH = {
    "currency": "credits",
    "from": "2026-11-01",
    "to": "2026-12-01",
    "opening": "1000",
    "lines": [
        {"kind": "GRANT", "counterAccount": "issued", "entries": 12, "amount": "1200"},
        {"kind": "USAGE", "counterAccount": "revenue", "entries": 480, "amount": "-500"},
    ],
    "counterAccounts": {"issued": "-1200", "revenue": "500", "breakage": "0", "refunds": "0", "adjustments": "0"},
    "closing": "1700",
}


class LedgerView(ReadView):
    permission_classes = (IsAdministrator,)
    filter_class = TrialBalanceFilter

    def trial_balance(self) -> TrialBalance:
        asked = self.filters()
        return trial_balance(asked["currency"], asked["from"], asked["to"])


class TrialBalanceView(LedgerView):
    @extend_schema(
        operation_id="adminGetTrialBalance",
        summary="The trial balance",
        description=(
            "All balances of one currency as one: what could be spent when the period began, what went in and out by "
            "kind of entry, and what could be spent when it ended. Usage is revenue earned, expiry is breakage, and "
            "what is left is owed to customers: deferred revenue. A grant that has fallen due and not been booked "
            "counts when it is booked. Days are those of UTC."
        ),
        tags=["Administration"],
        parameters=[TrialBalanceFilter],
        responses={200: TrialBalanceSerializer, 304: NOT_MODIFIED},
        examples=[OpenApiExample("A month", value=MONTH)],
    )
    def get(self, request: Request) -> Response:
        return Response(TrialBalanceSerializer(self.trial_balance()).data)


class TrialBalanceCsvView(LedgerView):
    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """The answer is CSV and a refusal is JSON, whatever is accepted."""
        return JSONRenderer(), JSONRenderer.media_type

    @extend_schema(
        operation_id="adminExportTrialBalance",
        summary="The trial balance, as CSV",
        description="A line for the opening, for every kind of entry, and for the closing.",
        tags=["Administration"],
        parameters=[TrialBalanceFilter],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> CsvResponse:
        return csv_of(self.trial_balance())
