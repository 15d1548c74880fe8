"""Plans in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.text import slugify

from accounts.console import Page, badge, instant
from billing.models import Plan
from billing.plans.serializers import PlanFeatureSerializer
from credits.amounts import display
from credits.console import AmountField, amount_column
from credits.models import Currency

SOURCE_COLOURS = {"clerk": "info"}


class PlanForm(forms.ModelForm):
    credits = AmountField(max_length=24, help_text="That it gives in each period.")

    class Meta:
        model = Plan
        fields = (
            "name", "slug", "clerk_id", "billing_source", "credits", "currency", "price_monthly_cents",
            "price_yearly_cents", "is_active", "position", "description", "features", "badge", "is_highlighted",
            "cta_type", "cta_label", "cta_url",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["credits"] = display(self.instance.credits)

    def clean_credits(self) -> int:
        units: int = self.cleaned_data["credits"]
        if units < 0:
            raise ValidationError("A plan takes no credits.")
        return units

    def clean_features(self) -> list[dict[str, Any]]:
        asked = PlanFeatureSerializer(data=self.cleaned_data["features"] or [], many=True)
        if not asked.is_valid():
            raise ValidationError('Write a list such as [{"name": "Chat", "included": true}].')
        features: list[dict[str, Any]] = [dict(feature) for feature in asked.validated_data]
        return features

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("billing_source") == Plan.Source.MANUAL:
            cleaned["cta_type"] = self.instance.cta_type = Plan.Action.CONTACT.value
        elif not cleaned.get("clerk_id"):
            self.add_error("clerk_id", "A plan of Clerk's has its id there, such as cplan_…")
        return cleaned


@admin.register(Plan)
class PlanAdmin(Page):
    nothing_yet = "Add what can be subscribed to."
    form = PlanForm
    list_display = [
        "name",
        "slug",
        badge("billing_source", SOURCE_COLOURS, "sold"),
        amount_column("credits", "a period", currency=lambda plan: Currency.CREDITS.value),
        "price_monthly_cents",
        "is_active",
        "position",
        instant("updated_at", "changed"),
    ]
    list_filter = ["is_active", "billing_source"]
    search_fields = ["name", "slug", "clerk_id"]
    fieldsets = [
        (None, {"fields": [("name", "slug"), ("clerk_id", "billing_source")]}),
        ("What it gives and costs", {"fields": [
            ("credits", "currency"), ("price_monthly_cents", "price_yearly_cents"),
        ]}),
        ("How it is offered", {"fields": [
            ("is_active", "position", "is_highlighted"), "description", "features",
            ("badge", "cta_type"), ("cta_label", "cta_url"),
        ]}),
    ]  # fmt: skip

    def get_prepopulated_fields(self, request: HttpRequest, obj: Plan | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ["name"]}

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        obj.slug = obj.slug or slugify(obj.name)
        super().save_model(request, obj, form, change)
