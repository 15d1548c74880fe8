"""API keys in the admin: made, shown once, revoked."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import services
from accounts.console import (
    NeverDeleted,
    Page,
    StateFilter,
    badge,
    counted,
    instant,
    label,
    link,
    related,
    related_lists,
    reload_page,
)
from accounts.models import ApiKey, User

MODE_COLOURS = {"live": "good", "test": "warning"}


class KeyState(StateFilter):
    title = "state"
    parameter_name = "state"
    states = {
        "active": ("active", lambda: Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=timezone.now()))),
        "expired": ("expired", lambda: Q(revoked_at=None, expires_at__lte=timezone.now())),
        "revoked": ("revoked", lambda: Q(revoked_at__isnull=False)),
    }


@admin.display(description="state")
def key_state(key: ApiKey) -> SafeString:
    if key.revoked_at:
        return label("revoked", "bad")
    if key.expires_at and key.expires_at <= timezone.now():
        return label("expired", "warning")
    return label("active", "good")


class NewKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope,
        initial=[ApiKey.Scope.AI, ApiKey.Scope.READ],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiKey
        fields = ("customer", "name", "mode", "scopes", "expires_at")

    def clean_scopes(self) -> str:
        return " ".join(self.cleaned_data["scopes"])

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise forms.ValidationError("Choose an instant in the future, or leave it empty.")
        return expires_at


@admin.display(description="key", ordering="last_four")
def masked(key: ApiKey) -> SafeString:
    return format_html('<span class="whole">{}</span>', key.masked)


@admin.register(ApiKey)
class ApiKeyAdmin(NeverDeleted, Page):
    """Keys are made here or at /api/keys, shown once, and revoked, never deleted."""

    nothing_yet = "Customers make their keys at /api/keys, or you make one for them."

    list_display = [
        "name", masked, related("customer"), badge("mode", MODE_COLOURS), "scopes", key_state,
        instant("last_used_at", "last used"), instant("created_at", "made"),
    ]  # fmt: skip
    list_filter = ["mode", KeyState]
    list_select_related = ["customer"]
    search_fields = ["name", "last_four", "customer__name", "customer__external_id", "customer__user__email"]
    search_help_text = "Name, last four characters, or customer"
    date_hierarchy = "created_at"
    actions = ["revoke"]
    actions_detail = ["revoke_this"]
    autocomplete_fields = ["customer"]
    fieldsets: Any = [
        (None, {"fields": ["name", "customer_link", "see_also"]}),
        (
            "Key",
            {
                "fields": [
                    (masked, "mode", "scopes"),
                    (key_state, "expires_at", "revoked_at"),
                    ("revoked_by", "leaked_at", related("replaced_by", "replaced by")),
                ]
            },
        ),
        (
            "For",
            {"fields": [("allowed_models", "allowed_features", "allowed_addresses"), "cache_seconds", "metadata"]},
        ),
        (
            "Limits",
            {"fields": [("budget", "budget_period"), ("requests_per_minute", "tokens_per_minute", "concurrent_calls")]},
        ),
        ("Use", {"fields": [("last_used_at", "created_at", related("created_by"))]}),
    ]
    add_fieldsets = [(None, {"fields": ["customer", "name", ("mode", "expires_at"), "scopes"]})]

    @admin.display(description="customer")
    def customer_link(self, key: ApiKey) -> SafeString | str:
        return link(key.customer)

    @admin.display(description="see also")
    def see_also(self, key: ApiKey) -> SafeString | str:
        return related_lists(self, key)

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if change else {"form": NewKeyForm}), **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[Any]:
        return [field for field in flatten_fieldsets(self.fieldsets) if field != "name"] if obj else []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        assert isinstance(request.user, User), "the admin lets nobody else in"
        fields = {**form.cleaned_data, "scopes": form.cleaned_data["scopes"].split()}
        created, obj.text = services.create_key(
            **fields, created_by=request.user, actor=f"user:{request.user.pk}", now=timezone.now()
        )
        obj.pk = created.pk
        obj.refresh_from_db()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **only_save})

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the new key, here and never again: it passes through no cookie, message or log."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API key created",
            "opts": self.opts,
            "key": obj,
        }
        response = TemplateResponse(request, "admin/accounts/apikey/created.html", context)
        add_never_cache_headers(response)
        return response

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        changed = list(queryset.filter(revoked_at=None))
        for key in changed:
            services.revoke_key(key, actor=f"user:{request.user.pk}", now=timezone.now())
            self.log_change(request, key, "Revoked.")
        self.message_user(request, f"{counted(len(changed), 'API key')} revoked.")

    @action(
        description="Revoke", url_path="revoke", icon="key_off", permissions=["change"], variant=ActionVariant.DANGER,
        dialog={"title": "Revoke this key?", "form_submit_text": "Revoke",
                "description": "Whoever still uses it is refused from now on. This cannot be undone."},
    )  # fmt: skip
    def revoke_this(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        self.revoke(request, ApiKey.objects.filter(pk=object_id))
        return reload_page(ApiKey, object_id)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        revocable = ApiKey.objects.filter(pk=object_id, revoked_at=None).exists()
        return super().get_actions_detail(request, object_id) if revocable else []
