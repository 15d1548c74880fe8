"""
The *Adjust credits* page of an account: typed, rehearsed, confirmed, booked.

The rehearsal books the adjustment and takes it back, so what the operator confirms
is what the ledger will do, with grants that expire or take effect in between.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.console import link
from credits import services
from credits.amounts import MAXIMUM
from credits.console import AmountField, in_words, name_of
from credits.errors import InsufficientCredits, SourceConflict
from credits.models import Account, LedgerEntry

if TYPE_CHECKING:
    from credits.admin.accounts import AccountAdmin


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an adjustment does, or did: its entries, and the account after them."""

    entries: list[LedgerEntry]
    account: Account
    first: bool

    @property
    def change(self) -> str:
        return in_words(sum(entry.amount for entry in self.entries), self.account.currency, signed=True)

    @property
    def balance(self) -> str:
        return in_words(self.account.balance, self.account.currency)

    @property
    def available(self) -> str:
        return in_words(self.account.available, self.account.currency)


class AdjustmentForm(forms.Form):
    amount = AmountField(
        max_length=24, label="Amount", help_text="Decimal text: 12.5 gives, -12.5 takes away. At most 7 places."
    )
    reference = forms.CharField(
        max_length=100,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Names this adjustment, such as a ticket. The same reference never counts twice for this account.",
    )
    memo = forms.CharField(
        max_length=500,
        label="Reason",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Stays in the ledger for good; the customer may read it.",
    )

    def __init__(self, data: Any, *, account: Account) -> None:
        super().__init__(data)
        self.account = account

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise forms.ValidationError("An adjustment of 0 changes nothing.")
        if amount + self.account.balance > MAXIMUM:
            raise forms.ValidationError("That is more than an account can hold.")
        return amount

    def book(self, *, actor: str, now: datetime, rehearse: bool) -> Outcome | None:
        """Adjust the account, or only rehearse it. A refusal becomes an error of its field and returns nothing."""
        try:
            with transaction.atomic():
                entries = services.adjust(account=self.account, actor=actor, now=now, **self.cleaned_data)
                account = Account.objects.select_related("customer").get(pk=self.account.pk)
                transaction.set_rollback(rehearse)
        except InsufficientCredits:
            self.account.refresh_from_db()
            available = in_words(self.account.available, self.account.currency)
            self.add_error("amount", f"Only {available} {name_of(self.account.currency)} are available to take away.")
        except SourceConflict:
            self.add_error("reference", "This reference was booked before with another amount. Use a new one.")
        else:
            return Outcome(entries, account, first=entries[0].created_at == now)
        return None


def adjust_account(page: "AccountAdmin", request: HttpRequest, object_id: str) -> HttpResponse:
    """Answer the page: the form, then its rehearsal, then, once confirmed, the receipt on the account's page."""
    account = page.get_object(request, unquote(object_id))
    if account is None:
        raise Http404("There is no such account.")
    form = AdjustmentForm(request.POST or None, account=account)
    outcome = None
    if "_edit" not in request.POST and form.is_valid():
        confirmed = "_confirm" in request.POST
        outcome = form.book(actor=f"user:{request.user.pk}", now=timezone.now(), rehearse=not confirmed)
        if confirmed and outcome:
            write_receipt(page, request, outcome)
            return HttpResponseRedirect(reverse("admin:credits_account_change", args=[account.pk]))
    context = {
        **page.admin_site.each_context(request),
        "title": "Adjust credits",
        "subtitle": str(account),
        "opts": page.opts,
        "original": account,
        "account": account,
        "currency": name_of(account.currency),
        "available": in_words(account.available, account.currency),
        "form": form,
        "outcome": outcome,
    }
    return TemplateResponse(request, "admin/credits/account/adjust.html", context)


def write_receipt(page: "AccountAdmin", request: HttpRequest, outcome: Outcome) -> None:
    newest = outcome.entries[-1]
    entry = link(newest, f"entry {newest.sequence}")
    if not outcome.first:
        text = "{} was booked before, as {}: nothing has changed. The balance is {}."
        messages.warning(request, format_html(text, outcome.change, entry, outcome.balance))
        return
    page.log_change(request, outcome.account, f"Adjusted by {outcome.change}: entry {newest.sequence}.")
    text = "Booked {} as {}. The balance is {}, of which {} are available."
    messages.success(request, format_html(text, outcome.change, entry, outcome.balance, outcome.available))
