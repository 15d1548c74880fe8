"""Prices and usage in the admin. Usage can be looked at; a price can be published and never changed."""

from functools import partial
from operator import attrgetter
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action

from accounts.console import (
    EMPTY,
    Column,
    NeverDeleted,
    Page,
    ReadOnlyPage,
    StateFilter,
    Table,
    badge,
    clipped,
    instant,
    label,
    link,
    link_to,
    related,
)
from billing import losses
from billing.models import Price, UsageRecord
from billing.plans import console as plans
from billing.prices import EVERYBODY
from billing.publishing.console import publish_price
from billing.publishing.words import terms_in_words
from billing.shelf import admin as shelf
from billing.statements.console import explain_account
from credits.admin.accounts import AccountAdmin
from credits.admin.columns import entries_table
from credits.console import amount_column, currency_name
from credits.models import Account, Hold

__all__ = ["plans", "shelf"]

STATUS_COLOURS = {"COMPLETED": "good", "CANCELLED": "warning", "FAILED": "bad", "UNKNOWN": "bad"}


@admin.display(description="state")
def price_state(price: Any) -> SafeString:
    if price.effective_at > timezone.now():
        return label("coming", "info")
    if price.pk != price.current_id:
        return label("past")
    return label("withdrawn", "warning") if price.type == Price.Type.WITHDRAWN else label("current", "good")


@admin.display(description="price")
def terms(price: Price) -> str:
    return terms_in_words(price)


@admin.display(description="for", ordering="customer__name")
def whose(price: Price) -> SafeString | str:
    return link(price.customer) if price.customer else "everybody"


@admin.register(Price)
class PriceAdmin(NeverDeleted, Page):
    """Append-only: to change what something costs, publish the next price."""

    nothing_yet = "Without a price a feature cannot be called."

    list_display = [
        "feature",
        whose,
        clipped("pattern", "models"),
        badge("type", {}),
        terms,
        price_state,
        instant("effective_at", "from"),
        "actor",
    ]
    list_filter = ["feature", "currency", "type"]
    list_select_related = ["customer"]
    search_fields = ["feature", "pattern", "customer__name"]
    search_help_text = "Feature, models or customer"
    autocomplete_fields = ["customer"]
    actions = None
    actions_detail = ["change_price"]
    actions_row = ["change_price"]
    fieldsets = [
        (None, {"fields": [("feature", whose, "pattern"), (badge("type", {}), terms, price_state)]}),
        (None, {"fields": [("effective_at", "created_at", "actor")]}),
    ]
    readonly_fields = ["pattern", "actor"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        current = Price.objects.annotate(whose=Coalesce("customer_id", EVERYBODY)).filter(
            whose=Coalesce(OuterRef("customer_id"), EVERYBODY),
            feature=OuterRef("feature"),
            currency=OuterRef("currency"),
            pattern=OuterRef("pattern"),
            effective_at__lte=timezone.now(),
        )
        newest = current.order_by("-effective_at", "-id").values("pk")[:1]
        return super().get_queryset(request).annotate(current_id=Subquery(newest))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return publish_price(self, request, now=timezone.now())

    @action(description="Change the price", url_path="next", icon="sell", permissions=["publish"])
    def change_price(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:billing_price_add')}?{urlencode({'of': unquote(object_id)})}")

    def has_publish_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.display(description="tokens", ordering="completion_tokens")
def tokens(usage: UsageRecord) -> SafeString | str:
    """Into the model and out of it."""
    if usage.prompt_tokens is None and usage.completion_tokens is None:
        return EMPTY
    return format_html(
        '<span class="amount">{} → {}</span>', shown(usage.prompt_tokens), shown(usage.completion_tokens)
    )


def shown(number: int | None) -> str:
    return EMPTY if number is None else f"{number:,}"


def milliseconds(field: str, description: str) -> Column:
    @admin.display(description=description, ordering=field)
    def column(usage: UsageRecord) -> SafeString | str:
        value = getattr(usage, field)
        return EMPTY if value is None else format_html('<span class="amount">{} ms</span>', shown(value))

    column.__name__ = field
    return column


@admin.display(description="provider's cost", ordering="provider_cost_picos")
def provider_cost(usage: UsageRecord) -> SafeString | str:
    return format_html('<span class="amount">${}</span>', usage.provider_cost) if usage.provider_cost else EMPTY


def paid(field: str) -> Column:
    """A column of an amount in the currency that the call was paid in."""
    return amount_column(field, currency=attrgetter("currency"))


@admin.display(description="attempts")
def attempts(usage: UsageRecord) -> SafeString | str:
    """Each by its key's label, with how it ended and after how long."""
    told = [(each["key"], each["outcome"], shown(each["ms"])) for each in usage.attempts or ()]
    return format_html_join(", ", "{} {} after {} ms", told) or EMPTY


@admin.display(description="hold")
def hold_of(usage: UsageRecord) -> SafeString:
    return link_to(Hold, usage.hold_id, usage.hold_id.hex[-12:])


class OurLoss(StateFilter):
    """What the operator pays for: ``manage.py list_losses`` lists the same."""

    title = "our loss"
    parameter_name = "loss"
    states = {kind.value: (kind.label, partial(losses.condition, kind)) for kind in losses.Kind}


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyPage):
    nothing_yet = "Each billable call leaves a record."
    list_display = [
        instant("created_at", "when"),
        related("customer"),
        "feature",
        clipped("model"),
        badge("status", STATUS_COLOURS),
        paid("charged"),
        currency_name,
        provider_cost,
        tokens,
        milliseconds("latency_ms", "took"),
    ]
    list_filter = ["status", OurLoss, "feature", "currency", "provider", "streamed"]
    list_select_related = ["customer"]
    search_fields = ["request_id", "generation_id", "model", "customer__name", "customer__user__email"]
    search_help_text = "Request id, generation id, model or customer"
    date_hierarchy = "created_at"
    fieldsets = [
        (None, {"fields": [
            (related("customer"), related("api_key", "API key"), "created_at"),
            (badge("status", STATUS_COLOURS), "error_code"),
        ]}),
        ("What", {"fields": [
            ("feature", "quantity", "streamed"), ("model", "provider"), ("request_id", "generation_id"),
            ("end_user", "notes"),
        ]}),
        ("Money", {"fields": [
            (paid("charged"), paid("held"), currency_name), (paid("shortfall"), provider_cost),
            (related("price"), hold_of),
        ]}),
        ("How much, how fast", {"fields": [
            ("prompt_tokens", "completion_tokens"), ("cached_tokens", "reasoning_tokens"),
            (milliseconds("first_token_ms", "first byte after"), milliseconds("latency_ms", "last byte after")),
            attempts,
        ]}),
    ]  # fmt: skip

    def tables(self, row: UsageRecord) -> list[Table]:
        return [entries_table("What it took from the ledger", row.hold.entries.all())]


admin.site.unregister(Account)


@admin.register(Account)
class ExplainedAccountAdmin(AccountAdmin):
    """The bank's page of an account, with what this floor knows of the calls behind its entries."""

    actions_detail = ["explain", *AccountAdmin.actions_detail]
    actions_row = ["explain", *AccountAdmin.actions_row]

    @action(description="Explain", url_path="explain", icon="help_center", permissions=["view"])
    def explain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return explain_account(self, request, object_id, now=timezone.now())
