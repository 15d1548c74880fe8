"""The *Explain* page of an account: why its balance is what it is, or was, lot by lot and entry by entry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.console import EMPTY, Table, label, link, rows_url
from accounts.pagination import LAST_ID
from billing.statements.explaining import Explanation, cause_of, explain
from credits.admin.columns import CATEGORY_COLOURS, KIND_COLOURS, actor, short_id
from credits.console import amount, name_of
from credits.models import Account, LedgerEntry

ENTRIES_A_PAGE = 50
WRITTEN = "%Y-%m-%dT%H:%M:%S"


class InstantsForm(forms.Form):
    """Two instants in UTC, of which the second may be left out. ``before`` is where the page of entries begins."""

    at = forms.DateTimeField(
        required=False, label="At (UTC)", widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": 1})
    )
    since = forms.DateTimeField(
        required=False,
        label="What has changed since (UTC)",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": 1}),
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=LAST_ID, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, now: datetime) -> None:
        super().__init__(data)
        self.now = now

    def clean_at(self) -> datetime | None:
        return self._past(self.cleaned_data["at"])

    def clean_since(self) -> datetime | None:
        return self._past(self.cleaned_data["since"])

    def _past(self, instant: datetime | None) -> datetime | None:
        if instant is not None and instant > self.now:
            raise forms.ValidationError("Nobody knows the future.")
        return instant

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        since = cleaned.get("since")
        if since is not None and since >= (cleaned.get("at") or self.now):
            self.add_error("since", "It must be earlier than the other.")
        return cleaned


@dataclass(frozen=True, slots=True)
class Figure:
    title: str
    value: Any
    note: str = ""


def explain_account(page: ModelAdmin, request: HttpRequest, object_id: str, *, now: datetime) -> HttpResponse:
    """Answer the page. What is wrong is said, and the balance of now is explained."""
    account: Account | None = page.get_object(request, unquote(object_id))
    if account is None:
        raise Http404("There is no such account.")
    form = InstantsForm(request.GET, now=now)
    asked = form.cleaned_data if form.is_valid() else {}
    explanation = explain(account, at=asked.get("at") or now, since=asked.get("since"))
    statement = explanation.entries()
    entries, following = statement.page(asked.get("before") or LAST_ID, ENTRIES_A_PAGE)
    query = request.GET.copy()
    query["before"] = str(following)
    context = {
        **page.admin_site.each_context(request),
        "title": "Explain the balance",
        "subtitle": str(account),
        "opts": page.opts,
        "original": account,
        "account": account,
        "form": form,
        "errors": [message for messages in form.errors.values() for message in messages],
        "at": explanation.state.at,
        "figures": _figures(explanation, account),
        "tables": [table for table in _tables(explanation, account) if table.rows],
        "entries": _entries(explanation, account, entries),
        "entries_url": rows_url(LedgerEntry, account__id__exact=account.pk),
        "following_url": f"?{query.urlencode()}" if following is not None else "",
    }
    return TemplateResponse(request, "admin/credits/account/explain.html", context)


def _figures(explanation: Explanation, account: Account) -> list[Figure]:
    state, currency = explanation.state, account.currency
    figures = [
        Figure("Available", amount(state.available, currency), f"{name_of(currency)} that could be spent"),
        Figure("Balance", amount(state.balance, currency), f"after {state.sequence:,} entries"),
        Figure("Held", amount(state.held, currency), "set aside for calls that ran"),
    ]
    if explanation.difference is not None:
        opening = explanation.difference.opening
        change = amount(state.balance - opening.balance, currency, signed=True)
        figures.append(Figure("Change", change, f"since {opening.at:%Y-%m-%d %H:%M:%S}"))
    return figures


def _tables(explanation: Explanation, account: Account) -> list[Table]:
    return [
        _movements(explanation, account),
        _lots(explanation, account),
        _due(explanation, account),
        _holds(explanation, account),
    ]


def _movements(explanation: Explanation, account: Account) -> Table:
    difference = explanation.difference
    movements = [] if difference is None else difference.movements
    rows = [
        (
            label(each.kind, KIND_COLOURS[each.kind]),
            f"{each.entries:,}",
            amount(each.amount, account.currency, signed=True),
            each.counter_account,
        )
        for each in movements
    ]
    return Table("What changed", ("Kind", "Entries", "Amount", "Against"), rows)


def _lots(explanation: Explanation, account: Account) -> Table:
    rows = [
        (
            link(each.grant, each.grant.source),
            label(each.grant.category, CATEGORY_COLOURS[each.grant.category]),
            amount(each.lot.remaining, account.currency),
            amount(each.lot.held, account.currency),
            amount(each.lot.amount, account.currency),
            each.lot.priority,
            _minute(each.lot.effective_at),
            _minute(each.lot.expires_at) if each.lot.expires_at else "never",
        )
        for each in explanation.lots
    ]
    headers = ("Grant", "Category", "Left", "Held", "Of", "Priority", "In effect", "Expires")
    return Table("What was left, in the order it is spent", headers, rows)


def _due(explanation: Explanation, account: Account) -> Table:
    rows = [
        (
            label(due.entry.kind, KIND_COLOURS[due.entry.kind]),
            amount(due.entry.amount, account.currency, signed=True),
            link(due.grant, due.grant.source),
            _minute(due.due_at),
            f"as entry {due.booked.sequence}" if due.booked else "when the account is touched next",
        )
        for due in explanation.due
    ]
    return Table("Fallen due, and counted, but booked later", ("Kind", "Amount", "Grant", "Due", "Booked"), rows)


def _holds(explanation: Explanation, account: Account) -> Table:
    rows = [
        (
            link(hold, short_id(hold)),
            amount(hold.amount, account.currency),
            f"{hold.created_at:%Y-%m-%d %H:%M:%S}",
            hold.reference or EMPTY,
        )
        for hold in explanation.holds
    ]
    return Table("What was held, oldest first", ("Hold", "Amount", "Placed", "Reference"), rows)


def _entries(explanation: Explanation, account: Account, entries: list[LedgerEntry]) -> Table:
    rows = [
        (
            link(entry, str(entry.sequence)),
            f"{entry.created_at:%Y-%m-%d %H:%M:%S}",
            label(entry.kind, KIND_COLOURS[entry.kind]),
            amount(entry.amount, account.currency, signed=True),
            amount(entry.balance_after, account.currency),
            link(entry.grant, entry.grant.source),
            _paid_for(entry),
            actor(entry),
        )
        for entry in entries
    ]
    title = "Every entry by then" if explanation.difference is None else "The entries between"
    headers = ("No.", "When", "Kind", "Amount", "Balance after", "Grant", "Why", "By")
    return Table(title, headers, rows)


def _paid_for(entry: LedgerEntry) -> Any:
    usage = None if entry.hold is None else getattr(entry.hold, "usage", None)
    return link(usage, cause_of(entry)) if usage is not None else cause_of(entry) or entry.memo or EMPTY


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}"
