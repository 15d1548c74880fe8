"""Accounts in the admin: balances, what they are made of, and the *Adjust credits* action."""

from operator import attrgetter

from django.contrib import admin
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from accounts.console import ReadOnlyPage, StateFilter, Table, instant, related, rows_url
from credits.admin.adjustment import adjust_account
from credits.admin.columns import entries_table, holds_table, lots_table
from credits.console import amount_column, currency_name
from credits.models import Account, LedgerEntry


class HasCredits(StateFilter):
    title = "state"
    parameter_name = "state"
    states = {
        "spendable": ("has a balance", lambda: Q(balance__gt=0)),
        "empty": ("is empty", lambda: Q(balance=0)),
        "held": ("has holds", lambda: Q(held__gt=0)),
        "owed": ("owes", lambda: Q(owed__gt=0)),
    }


OWN = attrgetter("currency")


@admin.display(description="customer", ordering="customer__name")
def customer_name(account: Account) -> str:
    return account.customer.name


@admin.register(Account)
class AccountAdmin(ReadOnlyPage):
    nothing_yet = "A customer's account opens with their first grant or call."
    list_display = [
        customer_name,
        currency_name,
        amount_column("available", currency=OWN, ordering=F("balance") - F("held")),
        amount_column("balance", currency=OWN),
        amount_column("held", currency=OWN),
        amount_column("owed", currency=OWN),
        instant("updated_at", "last moved"),
    ]
    list_filter = ["currency", HasCredits]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "customer__external_id", "customer__user__email"]
    search_help_text = "Name, e-mail or external id of the customer"
    ordering = ["-updated_at", "-id"]
    actions_detail = ["adjust"]
    actions_row = ["adjust"]
    fieldsets = [
        (None, {"fields": [(related("customer"), currency_name, "updated_at", "created_at")]}),
        ("Balance", {"fields": [(*list_display[2:6],)]}),
        ("Proof", {"fields": [("entry_count", "head")], "classes": ["collapse"]}),
    ]

    def has_adjust_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("credits.adjust_account")

    @action(description="Adjust credits", url_path="adjust", icon="tune", permissions=["adjust"])
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return adjust_account(self, request, object_id)

    def tables(self, row: Account) -> list[Table]:
        return [
            entries_table("Newest entries", row.entries.all(), rows_url(LedgerEntry, account__id__exact=row.pk)),
            lots_table(row),
            holds_table(row),
        ]
