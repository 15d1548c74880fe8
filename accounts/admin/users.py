"""Users and staff roles in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from accounts.administration import people
from accounts.console import NeverDeleted, Page, ReadOnlyInline, badge, counted, instant, label, link, related
from accounts.errors import PrepaidError
from accounts.models import Membership, User

#: Colours of a member's role.
ROLE_COLOURS = {"OWNER": "good", "ADMIN": "info", "BILLING": "info"}


class LowerCaseEmail(forms.ModelForm):
    """E-mails are kept in lower case, so that one address is one user."""

    def clean_email(self) -> str | None:
        email: str | None = self.cleaned_data["email"]
        return email.lower() if email else None


class NewUserForm(LowerCaseEmail, UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True


class UserForm(LowerCaseEmail):
    class Meta:
        model = User
        fields = ("email", "name", "external_id", "is_active", "is_staff", "is_superuser", "groups")


class MembershipsOfUser(ReadOnlyInline):
    model = Membership
    verbose_name_plural = "customers"
    fields = readonly_fields = [related("customer"), badge("role", ROLE_COLOURS), "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("customer")


@admin.display(description="state", ordering="is_active")
def user_state(user: User) -> SafeString:
    if user.deleted_at:
        return label("gone", "bad")
    if not user.is_active:
        return label("inactive", "bad")
    return label("staff", "info") if user.is_staff else label("active", "good")


@admin.register(User)
class UserAdmin(NeverDeleted, DjangoUserAdmin, Page):
    """
    Users are created with their personal customer and deactivated, never deleted.

    Only a superuser may touch staff or say who is staff: else whoever may edit users could become one.
    """

    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = [
        "email_or_id",
        "name",
        user_state,
        "external_id",
        instant("last_login", "last seen"),
        instant("created_at", "joined"),
    ]
    list_filter = ["is_active", "is_staff", "groups"]
    search_fields = ["email", "name", "external_id"]
    search_help_text = "E-mail, name or external id"
    date_hierarchy = "created_at"
    ordering = ["-id"]
    filter_horizontal = ["groups"]
    readonly_fields = [
        "external_id",
        "last_login",
        "deleted_at",
        "created_at",
        "updated_at",
        "signs_in",
        "personal_customer_link",
    ]
    inlines = [MembershipsOfUser]
    actions = ["deactivate", "reactivate"]
    fieldsets = [
        (None, {"fields": ["email", "name", "signs_in", "personal_customer_link"]}),
        ("May do", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Known as", {"fields": [("external_id", "last_login", "deleted_at"), ("created_at", "updated_at")]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "usable_password", "password1", "password2"]})]

    @admin.display(description="user", ordering="email")
    def email_or_id(self, user: User) -> str:
        return str(user)

    @admin.display(description="signs in")
    def signs_in(self, user: User) -> SafeString:
        by_password = user.has_usable_password()
        url = reverse("admin:auth_user_password_change", args=[user.pk])
        return format_html(
            '{}. <a class="text-link" href="{}">{}</a>',
            "By password" if by_password else "By token only",
            url,
            "Change the password" if by_password else "Set a password",
        )

    @admin.display(description="pays through")
    def personal_customer_link(self, user: User) -> SafeString | str:
        return link(getattr(user, "personal_customer", None))

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[Any]:
        return self.inlines if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        reserved = [] if request.user.is_superuser else ["is_staff", "is_superuser", "groups"]
        return [*self.readonly_fields, *reserved]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        reserved = obj is not None and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not reserved

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        may_sign_in = form.cleaned_data["set_usable_password"]
        password = form.cleaned_data["password1"] if may_sign_in else None
        created = User.objects.create_user(obj.email, password, name=obj.name)
        obj.pk = created.pk
        obj.refresh_from_db()

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_active(request, queryset, False)

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_active(request, queryset, True)

    def _set_active(self, request: HttpRequest, queryset: QuerySet[User], active: bool) -> None:
        assert isinstance(request.user, User), "the admin lets nobody else in"
        changed = []
        for user in queryset.exclude(is_active=active):
            try:
                people.set_active(user.pk, active, by=request.user, now=timezone.now())
            except PrepaidError:  # themselves, staff that is not theirs to change, or deleted for good
                continue
            changed.append(user)
            self.log_change(request, user, "Reactivated." if active else "Deactivated.")
        self.message_user(request, f"{counted(len(changed), 'user')} {'reactivated' if active else 'deactivated'}.")


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, Page):
    """Django's groups: what a staff role may do."""
