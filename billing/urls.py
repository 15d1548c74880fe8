from django.urls import path

from billing import views

urlpatterns = [
    path("credits/settings", views.SettingsView.as_view(), name="credit-settings"),
    path("credits/usage", views.UsageView.as_view(), name="credit-usage"),
    path("credits/transactions", views.TransactionsView.as_view(), name="credit-transactions"),
    path("billing/credits", views.UsdcBalanceView.as_view(), name="usdc-balance"),
    path("billing/credits/transactions", views.UsdcTransactionsView.as_view(), name="usdc-transactions"),
]
