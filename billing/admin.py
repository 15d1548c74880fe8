"""Prices and usage in the admin. Usage can be looked at; a price can be added and never changed."""

from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget

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
    link_to,
    related,
)
from billing import losses
from billing.catalogue import LABELS, Feature
from billing.models import PRICED_IN, Price, UsageRecord
from billing.plans import console as plans
from billing.statements.console import explain_account
from credits.admin.accounts import AccountAdmin
from credits.admin.columns import entries_table
from credits.console import AmountField, amount_column, currency_name
from credits.models import Account, Currency, Hold

__all__ = ["plans"]

STATUS_COLOURS = {"COMPLETED": "good", "CANCELLED": "warning", "FAILED": "bad", "UNKNOWN": "bad"}


class NewPriceForm(forms.ModelForm):
    feature = forms.ChoiceField(
        choices=[(feature.value, LABELS[feature]) for feature in Feature], widget=UnfoldAdminSelectWidget
    )
    currency = forms.ChoiceField(choices=PRICED_IN, initial=Currency.CREDITS, widget=UnfoldAdminSelectWidget)
    amount = AmountField(max_length=24, help_text="For each unit: one answer, one image.")

    class Meta:
        model = Price
        fields = ("feature", "currency", "amount", "effective_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("effective_at", None)
        self.fields["effective_at"].required = False
        self.fields["effective_at"].initial = None
        self.fields["effective_at"].help_text = "UTC. Empty: from now on."

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount < 0:
            raise forms.ValidationError("A price cannot be negative.")
        return amount

    def clean_effective_at(self) -> datetime:
        """The past was charged for already, so a price begins now or later."""
        effective_at: datetime | None = self.cleaned_data["effective_at"]
        if effective_at and effective_at < timezone.now():
            raise forms.ValidationError("A price cannot take effect in the past. Leave it empty to begin now.")
        return effective_at or timezone.now()


@admin.display(description="state")
def price_state(price: Any) -> SafeString:
    if price.effective_at > timezone.now():
        return label("coming", "info")
    return label("current", "good") if price.pk == price.current_id else label("past")


PRICE_COLUMNS = [
    "feature",
    badge("type", {}),
    amount_column("amount", "a unit", currency=attrgetter("currency")),
    currency_name,
    price_state,
    instant("effective_at", "from"),
]


@admin.register(Price)
class PriceAdmin(NeverDeleted, Page):
    """Append-only: to change what something costs, add the next price."""

    nothing_yet = "Without a price a feature cannot be called."

    list_display = PRICE_COLUMNS
    list_filter = ["feature", "currency"]
    search_fields = ["feature"]
    actions = None
    fieldsets = [(None, {"fields": ["feature", (*PRICE_COLUMNS[1:5],), ("effective_at", "created_at")]})]
    add_fieldsets = [(None, {"fields": ["feature", ("currency", "amount"), "effective_at"]})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        current = Price.objects.filter(
            feature=OuterRef("feature"), currency=OuterRef("currency"), effective_at__lte=timezone.now()
        )
        newest = current.order_by("-effective_at", "-id").values("pk")[:1]
        return super().get_queryset(request).annotate(current_id=Subquery(newest))

    def get_form(self, request: HttpRequest, obj: Price | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if change else {"form": NewPriceForm}), **kwargs)

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
        ]}),
        ("Money", {"fields": [
            (paid("charged"), paid("held"), currency_name), (paid("shortfall"), provider_cost),
            (related("price"), hold_of),
        ]}),
        ("How much, how fast", {"fields": [
            ("prompt_tokens", "completion_tokens"), ("cached_tokens", "reasoning_tokens"),
            (milliseconds("first_token_ms", "first byte after"), milliseconds("latency_ms", "last byte after")),
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
