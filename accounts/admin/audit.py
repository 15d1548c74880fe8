"""Who did what to people and keys, in the admin: to look at."""

from django.contrib import admin

from accounts.console import ReadOnlyPage, facts, instant, related
from accounts.models import AuditEntry


@admin.display(description="details")
def details(entry: AuditEntry) -> str:
    return facts(entry.details)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyPage):
    nothing_yet = "Whatever changes people or keys writes an entry here."

    list_display = ["action", "subject", "actor", related("customer"), instant("created_at", "when")]
    list_filter = ["action"]
    list_select_related = ["customer"]
    search_fields = ["subject", "actor", "customer__name"]
    search_help_text = "Subject (key:7), actor (user:3) or customer"
    date_hierarchy = "created_at"
    fieldsets = [
        (None, {"fields": [("action", "subject", "actor"), (related("customer"), "created_at"), details]}),
    ]
    readonly_fields = ["action", "subject", "actor", related("customer"), "created_at", details]
