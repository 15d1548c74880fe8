"""What the outside world told us, to be looked at."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.console import ReadOnlyPage, badge, clipped, instant
from webhooks.masking import masked_payload
from webhooks.models import InboundEvent

STATUS_COLOURS = {"RECEIVED": "info", "HANDLED": "good", "FAILED": "bad"}


@admin.register(InboundEvent)
class InboundEventAdmin(ReadOnlyPage):
    nothing_yet = "Webhooks are kept here before anything is done about them."
    list_display = [
        instant("received_at", "received"),
        "source",
        "type",
        badge("status", STATUS_COLOURS),
        "attempts",
        clipped("error"),
        instant("handled_at", "handled"),
    ]
    list_filter = ["status", "source", "type"]
    search_fields = ["event_id", "type", "error"]
    search_help_text = "Event id, type or error"
    date_hierarchy = "received_at"
    fieldsets = [
        (None, {"fields": [("source", "type", badge("status", STATUS_COLOURS)), ("event_id", "error")]}),
        ("Handling", {"fields": [("attempts", "received_at", "handled_at")]}),
        ("Body", {"fields": ["body"], "classes": ["collapse"]}),
        ("Proof", {"fields": ["payload_digest", "conflicting_digest"], "classes": ["collapse"]}),
    ]

    @admin.display(description="without addresses, names and tokens")
    def body(self, event: InboundEvent) -> SafeString:
        return format_html('<pre class="body">{}</pre>', masked_payload(event))
