"""What Django answers. The gateway's paths (``ai.gateway.PREFIXES``) never reach it: see ``config.asgi``."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from billing.receipts.views import key_set
from config import health
from config.sign_in import sign_in

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="api-docs")),
    path("admin/login/", sign_in),
    path("admin/", admin.site.urls),
    path("api/", include("accounts.urls")),
    path("api/", include("credits.urls")),
    # Before billing's, where any text may stand for a plan's id.
    path("api/", include("webhooks.urls")),
    path("api/", include("billing.urls")),
    path("api/schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-docs"),
    path(".well-known/jwks.json", key_set, name="receipt-keys"),
    path("healthz", health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
]

handler400 = "config.api.bad_request"
handler403 = "config.api.permission_denied"
handler404 = "config.api.not_found"
handler500 = "config.api.server_error"
