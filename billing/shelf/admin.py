"""The catalogue in the admin: what the provider asks for each model, what it costs here, and who may call it."""

from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.console import EMPTY, Column, ReadOnlyPage, Table, clipped, facts, instant, label, rows_url
from accounts.models import Customer
from billing.catalogue import LABELS
from billing.models import ListedModel, Price
from billing.permits import model_is_allowed
from billing.prices import PriceList
from billing.pricing import FIXED
from billing.publishing.examples import charge_of, example_of
from billing.publishing.words import MARKUP_PLACES, decimal, dollars, terms_in_words
from billing.rates import Rates, rates_of
from billing.services import prices_in_force
from billing.shelf.filters import MILLION, price_of
from billing.shelf.tags import terms_of
from credits.console import in_words, name_of

#: So many customers with a list of their own are looked through.
MOST_CUSTOMERS = 1000


def asked_for(name: str, description: str) -> Column:
    """A column of a price of the provider's, in US dollars for a million."""

    @admin.display(description=description)
    def column(model: ListedModel) -> SafeString | str:
        price = price_of(model.entry, name)
        if not price.is_finite():
            return EMPTY
        return format_html('<span class="amount">${}</span>', f"{(price * MILLION).normalize():f}")

    column.__name__ = name
    return column


@admin.display(description="context")
def context(model: ListedModel) -> SafeString | str:
    length = model.entry.get("context_length")
    return format_html('<span class="amount">{}</span>', f"{length:,}") if isinstance(length, int) else EMPTY


@admin.display(description="makes")
def outputs(model: ListedModel) -> str:
    architecture = model.entry.get("architecture")
    made = architecture.get("output_modalities") if isinstance(architecture, dict) else None
    return ", ".join(map(str, made or ["text"]))


@admin.display(description="installation")
def installation(model: ListedModel) -> SafeString:
    """Whether ``ALLOWED_MODELS`` lets it be called."""
    patterns = " ".join(settings.ALLOWED_MODELS)
    return label("allowed", "good") if not patterns or model_is_allowed(patterns, model.pk) else label("barred", "bad")


@admin.display(description="state", ordering="is_listed")
def state(model: ListedModel) -> SafeString:
    return label("listed", "good") if model.is_listed else label("gone", "warning")


def price_here(prices: Any) -> Column:
    """A column of everybody's price in credits. ``prices`` reads the list when the first row asks."""

    @admin.display(description="costs here")
    def column(model: ListedModel) -> SafeString | str:
        for _, currency, terms in terms_of(model.entry, prices()):
            if terms.type == FIXED:
                return format_html('<span class="amount">{}</span>', in_words(terms.amount, currency))
            return f"cost × {decimal(terms.markup, MARKUP_PLACES)}"
        return label("not sold", "warning")

    column.__name__ = "price_here"
    return column


@admin.register(ListedModel)
class ListedModelAdmin(ReadOnlyPage):
    nothing_yet = "manage.py refresh_catalogue reads them from the provider, and a worker does every hour."

    list_filter = ["is_listed", "refreshed_at"]
    search_fields = ["id"]
    search_help_text = "Name of the model"
    list_display = ["id"]
    fieldsets = [
        (None, {"fields": [("id", state, "refreshed_at"), (outputs, context, installation)]}),
        ("What the provider asks", {"fields": ["pricing"]}),
    ]
    readonly_fields = ["id", "refreshed_at", "pricing"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        prices = cache(lambda: prices_in_force(timezone.now()))
        return [
            clipped("id", "model"),
            state,
            asked_for("prompt", "a million in"),
            asked_for("completion", "a million out"),
            price_here(prices),
            context,
            outputs,
            installation,
            instant("refreshed_at", "refreshed"),
        ]

    @admin.display(description="prices")
    def pricing(self, model: ListedModel) -> Any:
        pricing = model.entry.get("pricing")
        return facts({name: str(price) for name, price in pricing.items()} if isinstance(pricing, dict) else {})

    def tables(self, row: ListedModel) -> list[Table]:
        return [_prices(row, prices_in_force(timezone.now()), now=timezone.now()), _customers(row)]


def _prices(model: ListedModel, prices: PriceList, *, now: datetime) -> Table:
    rates = rates_of(model.rates, prompt_tokens=0, has_audio=False, caches_long=False, now=now, until=now)
    found = list(terms_of(model.entry, prices))
    published = Price.objects.in_bulk([terms.price_id for _, _, terms in found])
    rows = [
        (
            LABELS[feature],
            name_of(currency),
            terms_in_words(published[terms.price_id]),
            _example(feature.value, terms, currency, rates),
            rates_cost(feature.value, rates),
        )
        for feature, currency, terms in found
    ]
    return Table(
        "What it costs here",
        ("Feature", "Currency", "Price", "An example", "Costs you"),
        rows,
        rows_url(Price),
    )


def _example(feature: str, terms: Any, currency: str, rates: Rates | None) -> str:
    charge = charge_of(example_of(feature), terms, rates)
    amount = charge.note if charge.amount is None else in_words(charge.amount, currency)
    return f"{example_of(feature).title}: {amount}"


def rates_cost(feature: str, rates: Rates | None) -> str:
    return EMPTY if rates is None else dollars(example_of(feature).cost(rates))


def _customers(model: ListedModel) -> Table:
    """Customers with a list of models of their own, and whether this one is on it."""
    having = Customer.objects.exclude(allowed_models="").order_by("id")[:MOST_CUSTOMERS]
    on = [model_is_allowed(customer.allowed_models, model.pk) for customer in having]
    rows = [(f"{sum(on):,}", f"{len(on) - sum(on):,}")] if on else []
    return Table("Customers who have a list of models of their own", ("May call it", "May not"), rows)
