"""The form of a price: decimal text in, a draft out."""

import re
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Customer
from billing.catalogue import LABELS, Feature
from billing.models import PRICED_IN, Price
from billing.prices import EVERY, EVERYBODY, WITHDRAWN
from billing.pricing import FIXED, METERED
from billing.publishing.drafts import Draft, faults
from billing.publishing.preview import replaced_by
from billing.publishing.words import MARKUP_PLACES, PICO_PLACES, decimal
from credits.amounts import display
from credits.console import AmountField
from credits.models import Currency

#: The fields that each type of price has beside those of all.
FIELDS_OF = {FIXED: {"amount", "most_cost"}, METERED: {"amount", "rate", "markup"}, WITHDRAWN: set[str]()}


def text(**attributes: Any) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **attributes})


class ScaledField(forms.CharField):
    """Decimal text with at most ``places`` in, a whole number of 10⁻ᵖˡᵃᶜᵉˢ out."""

    def __init__(self, *, places: int, **options: Any) -> None:
        super().__init__(max_length=30, required=False, widget=text(inputmode="decimal"), **options)
        self.places = places

    def clean(self, value: Any) -> Any:
        typed = super().clean(value)
        if not typed:
            return None
        if not re.fullmatch(rf"\d{{1,12}}(\.\d{{1,{self.places}}})?", typed, re.ASCII):
            raise ValidationError(f"Write a decimal with at most {self.places} places, such as 1.25.", code="invalid")
        whole, _, rest = typed.partition(".")
        return int(whole) * 10**self.places + int(rest.ljust(self.places, "0"))


class PriceForm(forms.Form):
    """
    What a price says. ``draft`` is it, once the form is valid.

    Fields that a type does not have are not looked at: the page hides them. ``seen`` names the price that was shown
    as the one to be replaced when the operator looked at what changes.
    """

    feature = forms.ChoiceField(
        choices=[(feature.value, LABELS[feature]) for feature in Feature], widget=UnfoldAdminSelectWidget
    )
    currency = forms.ChoiceField(choices=PRICED_IN, initial=Currency.CREDITS, widget=UnfoldAdminSelectWidget)
    customer = forms.ModelChoiceField(Customer.objects.all(), required=False, help_text="Empty for everybody's price.")
    pattern = forms.CharField(
        max_length=200,
        initial=EVERY,
        label="Models",
        widget=text(spellcheck="false"),
        help_text="A model, or a pattern such as anthropic/*; * is every model.",
    )
    type = forms.ChoiceField(choices=Price.Type.choices, initial=FIXED, widget=UnfoldAdminSelectWidget)
    amount = AmountField(
        max_length=24,
        required=False,
        help_text="FIXED: for each unit, such as one answer or one image. METERED: what a call costs at the least.",
    )
    rate = AmountField(
        max_length=24, required=False, label="A dollar is", help_text="METERED: credits or USDC for a US dollar."
    )
    markup = ScaledField(places=MARKUP_PLACES, help_text="METERED: what the provider's cost is multiplied by.")
    most_cost = ScaledField(
        places=PICO_PLACES,
        label="Ceiling",
        help_text="FIXED: US dollars that a unit may cost you at the provider. Empty: no ceiling.",
    )
    effective_at = forms.DateTimeField(
        required=False,
        label="From (UTC)",
        widget=text(type="datetime-local"),
        help_text="Empty: from the moment it is published.",
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, now: datetime, **options: Any) -> None:
        super().__init__(data, **options)
        self.now = now

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        if cleaned["type"] == FIXED and cleaned["amount"] is None:
            self.add_error("amount", "Say what a unit costs; 0 gives it away.")
            return cleaned
        for field, message in faults(self.draft, now=self.now).items():
            self.add_error(field, message)
        if not self.errors and self.draft.type == WITHDRAWN and self.replaced is None:
            self.add_error("type", "There is no such price then: nothing to withdraw. Compare customer and models.")
        return cleaned

    @property
    def draft(self) -> Draft:
        cleaned, has = self.cleaned_data, FIELDS_OF[self.cleaned_data["type"]]
        told = {name: cleaned[name] if name in has else None for name in ("amount", "rate", "markup", "most_cost")}
        return Draft(
            feature=cleaned["feature"],
            currency=cleaned["currency"],
            type=cleaned["type"],
            amount=told["amount"] or 0,
            pattern=cleaned["pattern"],
            customer_id=cleaned["customer"].pk if cleaned["customer"] else EVERYBODY,
            rate=told["rate"],
            markup=told["markup"],
            most_cost_picos=told["most_cost"],
            effective_at=cleaned["effective_at"],
        )

    @property
    def replaced(self) -> Price | None:
        return replaced_by(self.draft, self.draft.effective_at or self.now)


def written(price: Price) -> dict[str, Any]:
    """Return what the form says of a price that has been published, to begin its next version with."""
    return {
        "feature": price.feature,
        "currency": price.currency,
        "customer": price.customer_id,
        "pattern": price.pattern,
        "type": price.type if price.type != WITHDRAWN else FIXED,
        "amount": display(price.amount),
        "rate": "" if price.rate is None else display(price.rate),
        "markup": "" if price.markup is None else decimal(price.markup, MARKUP_PLACES),
        "most_cost": "" if price.most_cost_picos is None else decimal(price.most_cost_picos, PICO_PLACES),
    }
