"""The *Trial balance* page: all balances of one currency as one, for a period."""

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.console import Table, rows_url
from credits.administration.serializers import TrialBalanceFilter, csv_of
from credits.console import amount, in_words, name_of
from credits.models import Currency, LedgerEntry
from credits.trial_balance import TrialBalance, midnight, trial_balance

#: What each counter account says to an operator.
MEANINGS = {
    "issued": "given to customers",
    "revenue": "earned",
    "breakage": "expired unspent: ours to keep",
    "refunds": "taken back by refunds and disputes",
    "adjustments": "corrected by hand",
}


class PeriodForm(forms.Form):
    currency = forms.ChoiceField(
        choices=[(value, name_of(value)) for value in Currency.values], widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        day = {"type": "date"}
        self.fields["from"] = forms.DateField(label="From", widget=UnfoldAdminTextInputWidget(attrs=day))
        self.fields["to"] = forms.DateField(label="Up to, not including", widget=UnfoldAdminTextInputWidget(attrs=day))


def show_trial_balance(page: ModelAdmin, request: HttpRequest) -> HttpResponseBase:
    """Answer the page, or the same as CSV. What is wrong is said at its field, and the last good period is shown."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    given = {name: request.GET[name] for name in TrialBalanceFilter.names() if request.GET.get(name)}
    asked = TrialBalanceFilter(data=given)
    errors = {} if asked.is_valid() else asked.errors
    if errors:
        asked = TrialBalanceFilter(data={})
        asked.is_valid(raise_exception=True)
    terms = asked.validated_data
    balance = trial_balance(terms["currency"], terms["from"], terms["to"])
    if request.GET.get("format") == "csv" and not errors:
        return csv_of(balance)
    form = PeriodForm(initial={name: terms[name] for name in ("currency", "from", "to")} | given)
    context = {
        **page.admin_site.each_context(request),
        "title": "Trial balance",
        "opts": page.opts,
        "form": form,
        "errors": [f"{name}: {message}" for name, messages in errors.items() for message in messages],
        "balance": balance,
        "opening": amount(balance.opening, balance.currency),
        "closing": amount(balance.closing, balance.currency),
        "currency": name_of(balance.currency),
        "is_empty": not any(line.entries for line in balance.lines),
        "tables": [_kinds(balance), _counter_accounts(balance)],
        "csv_url": f"?currency={balance.currency}&from={balance.start}&to={balance.end}&format=csv",
    }
    return TemplateResponse(request, "admin/credits/ledgerentry/trial_balance.html", context)


def _kinds(balance: TrialBalance) -> Table:
    rows = [
        (line.kind, f"{line.entries:,}", amount(line.amount, balance.currency, signed=True), line.counter_account)
        for line in balance.lines
        if line.entries
    ]
    url = rows_url(
        LedgerEntry,
        account__currency__exact=balance.currency,
        created_at__gte=midnight(balance.start).isoformat(),
        created_at__lt=midnight(balance.end).isoformat(),
    )
    return Table("By kind of entry", ("Kind", "Entries", "Amount", "Against"), rows, url)


def _counter_accounts(balance: TrialBalance) -> Table:
    rows = [
        (name.capitalize(), in_words(total, balance.currency), MEANINGS[name])
        for name, total in balance.counter_accounts.items()
    ]
    return Table("What stands against it", ("Account", "Amount", "Meaning"), rows)
