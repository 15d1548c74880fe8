"""How amounts are shown and typed in the admin. Everywhere else they are whole units."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models.expressions import Combinable
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.console import Column
from credits.amounts import display, parse
from credits.models import Account, Currency

LEAST_PLACES = {Currency.USDC.value: 2}


def name_of(currency: str) -> str:
    return {Currency.USDC.value: "USDC", Currency.TEST.value: "test credits"}.get(currency, currency)


@admin.display(description="currency", ordering="currency")
def currency_name(account: Account) -> str:
    return name_of(account.currency)


def in_words(units: int, currency: str, *, signed: bool = False) -> str:
    """Return ``units`` as an operator reads them: decimal text, two places at least for USDC."""
    return ("+" if signed and units > 0 else "") + display(units, least_places=LEAST_PLACES.get(currency, 0))


def amount(units: int, currency: str, *, signed: bool = False) -> SafeString:
    """The same as a cell that aligns to the right."""
    kind = ("amount incoming" if units > 0 else "amount outgoing") if signed else "amount"
    return format_html('<span class="{}">{}</span>', kind, in_words(units, currency, signed=signed))


def amount_column(
    field: str,
    description: str = "",
    *,
    currency: Callable[[Any], str] = attrgetter("account.currency"),
    signed: bool = False,
    ordering: str | Combinable = "",
) -> Column:
    """Return a column that shows the units in ``field`` as decimal text."""

    @admin.display(description=description or field.replace("_", " "), ordering=ordering or field)
    def column(row: Any) -> SafeString:
        return amount(getattr(row, field), currency(row), signed=signed)

    column.__name__ = field
    return column


class AmountField(forms.CharField):
    """Decimal text in, whole units out. Takes exactly what ``credits.amounts.parse`` takes."""

    widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return parse(text) if text else None
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error
