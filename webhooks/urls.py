from django.urls import path

from webhooks.administration.plans import ClerkPlansView, RefreshPricingView
from webhooks.administration.views import SyncView
from webhooks.sources import SOURCES
from webhooks.views import WebhookView

urlpatterns = [
    path("admin/users/sync", SyncView.as_view(), name="admin-sync"),
    path("admin/clerk/plans", ClerkPlansView.as_view(), name="admin-clerk-plans"),
    path("admin/plans/refresh-pricing", RefreshPricingView.as_view(), name="admin-plan-pricing"),
    *(
        path(f"webhooks/{source.name}", WebhookView.as_view(source=source), name=f"webhook-{source.name}")
        for source in SOURCES.values()
    ),
]
