from django.urls import path

from webhooks.administration.views import SyncView
from webhooks.sources import SOURCES
from webhooks.views import WebhookView

urlpatterns = [
    path(f"webhooks/{source.name}", WebhookView.as_view(source=source), name=f"webhook-{source.name}")
    for source in SOURCES.values()
] + [path("admin/users/sync", SyncView.as_view(), name="admin-sync")]
