"""The page that publishes a price: typed, looked at, confirmed. What is confirmed is what was looked at."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html

from accounts.console import EMPTY, Table, counted, link, link_to, rows_url
from accounts.models import Customer
from billing.catalogue import LABELS, Feature
from billing.models import Price
from billing.pricing import METERED
from billing.publishing.drafts import Draft
from billing.publishing.examples import Charge
from billing.publishing.forms import PriceForm, written
from billing.publishing.preview import Preview, preview
from billing.publishing.services import publish
from billing.publishing.words import dollars, per_dollar, terms_in_words
from billing.statements.console import Figure
from credits.console import amount, in_words, name_of

MOST_CUSTOMERS = 10
MEANWHILE = "Another price was published since you looked. Look again at what changes."


def publish_price(page: ModelAdmin, request: HttpRequest, *, now: datetime) -> HttpResponse:
    """
    Answer the page: the form, then what it changes, then, once confirmed, the list with the new price.

    :raises PermissionDenied: if the operator may not add prices
    """
    if not page.has_add_permission(request):
        raise PermissionDenied
    form = PriceForm(request.POST or None, now=now, initial=_beginning(request))
    # As the admin chooses a customer everywhere: by typing a part of the name.
    choice = page.formfield_for_foreignkey(Price._meta.get_field("customer"), request)
    assert choice is not None, "a foreign key has a field"
    form.fields["customer"].widget = choice.widget
    looked: Preview | None = None
    if "_edit" not in request.POST and form.is_valid():
        draft = form.draft
        seen = str(form.replaced.pk) if form.replaced else "none"
        if "_confirm" in request.POST and form.cleaned_data["seen"] == seen:
            price = publish(draft, actor=f"user:{request.user.pk}", now=now)
            page.log_addition(request, price, f"Published: {terms_in_words(price)}.")
            text = "Published {}: {}."
            messages.success(request, format_html(text, link(price), terms_in_words(price)))
            return HttpResponseRedirect(rows_url(Price))
        if "_confirm" in request.POST:
            messages.warning(request, MEANWHILE)
        looked = preview(draft, now=now)
        form.data = {**request.POST.dict(), "seen": seen}
    context = {
        **page.admin_site.each_context(request),
        "title": "Publish a price",
        "opts": page.opts,
        "form": form,
        "list_url": rows_url(Price),
        **(_shown(looked) if looked else {}),
    }
    return TemplateResponse(request, "admin/billing/price/publish.html", context)


def _beginning(request: HttpRequest) -> dict[str, Any]:
    """What the form says at first: nothing, or what the price says that ``of`` names."""
    of = request.GET.get("of", "")
    before = Price.objects.filter(pk=of).first() if of.isascii() and of.isdecimal() and len(of) < 19 else None
    return {} if before is None else written(before)


def _shown(looked: Preview) -> dict[str, Any]:
    draft = looked.draft
    return {
        "draft": draft,
        "facts": _facts(looked),
        "remarks": looked.remarks,
        "figures": _figures(looked),
        "tables": [table for table in (_examples(looked), _customers(looked)) if table.rows],
        "replay": looked.replay,
        "currency": name_of(draft.currency),
    }


def _facts(looked: Preview) -> list[tuple[str, Any]]:
    draft, replaced = looked.draft, looked.replaced
    customer = Customer.objects.get(pk=draft.customer_id) if draft.customer_id else None
    facts = [
        ("What", f"{LABELS[Feature(draft.feature)]}, paid in {name_of(draft.currency)}"),
        ("For", link(customer) if customer else "everybody"),
        ("Models", "every model" if draft.pattern == "*" else draft.pattern),
        ("Now", f"{terms_in_words(replaced)}, since {_instant(replaced.effective_at)}" if replaced else _none(draft)),
        ("Then", format_html('<strong class="text-important">{}</strong>', terms_in_words(draft))),
        ("From", _instant(draft.effective_at) if draft.effective_at else "the moment it is published"),
    ]
    if draft.type == METERED:
        facts.insert(5, ("", f"{per_dollar(draft)} {name_of(draft.currency)} for each dollar that a call costs you"))
    if looked.next_at is not None:
        facts.append(("Until", f"{_instant(looked.next_at)}, when the next one counts that has been published"))
    if looked.overridden:
        having = counted(looked.overridden, "customer")
        facts.append(("Not for", f"{having} with a price of their own, as far as that one goes"))
    return facts


def _none(draft: Draft) -> str:
    return "no price of this customer for these models" if draft.customer_id else "no price for these models"


def _figures(looked: Preview) -> list[Figure]:
    total, currency = looked.replay.total, looked.draft.currency
    figures = [
        Figure("Models", f"{looked.changed:,}", f"change their price, {looked.unsold:,} are sold no more"),
        Figure("Calls", f"{total.calls:,}", f"since {looked.replay.since:%Y-%m-%d} at prices that change"),
        Figure("They cost", amount(total.before, currency), "at the prices before"),
        Figure("They would cost", amount(total.after, currency), in_words(total.change, currency, signed=True)),
    ]
    if looked.replay.unsold:
        figures.append(Figure("Refused", f"{looked.replay.unsold:,}", "calls would have no price"))
    return figures


def _examples(looked: Preview) -> Table:
    currency = looked.draft.currency
    rows = [
        (
            each.model,
            EMPTY if each.cost is None else format_html('<span class="amount">{}</span>', dollars(each.cost)),
            _charge(each.before, currency),
            _charge(each.after, currency),
        )
        for each in looked.models
    ]
    title = f"What {looked.example.title} costs"
    if len(rows) < looked.changed:
        title += f", with {len(rows)} of {looked.changed:,} models"
    return Table(title, ("Model", "Costs you", "Before", "After"), rows)


def _charge(charge: Charge, currency: str) -> Any:
    if charge.amount is None:
        return format_html('<span class="amount">{}</span>', charge.note)
    note = format_html(" ({})", charge.note) if charge.note else ""
    return format_html('<span class="amount">{}{}</span>', in_words(charge.amount, currency), note)


def _customers(looked: Preview) -> Table:
    currency, by_customer = looked.draft.currency, looked.replay.by_customer
    most = sorted(by_customer.items(), key=lambda each: (-abs(each[1].change), each[0]))[:MOST_CUSTOMERS]
    names = Customer.objects.in_bulk([id_ for id_, _ in most])
    rows = [
        (
            link_to(Customer, id_, str(names[id_])),
            format_html('<span class="amount">{}</span>', f"{sums.calls:,}"),
            amount(sums.before, currency),
            amount(sums.after, currency),
            amount(sums.change, currency, signed=True),
        )
        for id_, sums in most
    ]
    title = "Whose calls change the most"
    if len(rows) < len(by_customer):
        title += f", {len(rows)} of {len(by_customer):,} customers"
    return Table(title, ("Customer", "Calls", "Before", "After", "Change"), rows)


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
