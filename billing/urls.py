from django.urls import path

from accounts import paths as paths
from billing import views
from billing.administration.settings import views as settings
from billing.administration.usage import views as all_usage
from billing.administration.users import views as users
from billing.allowances import views as allowances
from billing.end_users import views as end_users
from billing.keys import views as keys
from billing.plans import views as plans
from billing.profile import views as profile
from billing.receipts import views as receipts
from billing.statements import views as statements
from billing.topups import views as topups
from billing.usage import views as usage

urlpatterns = [
    path("admin/users", users.UserListView.as_view(), name="admin-users"),
    path("admin/users/<id:id>", users.UserView.as_view(), name="admin-user"),
    path("admin/users/<id:id>/activate", users.ActivateView.as_view(), name="admin-user-activation"),
    path("admin/credits", users.AccountListView.as_view(), name="admin-credits"),
    path("admin/usage", all_usage.AllUsageView.as_view(), name="admin-usage"),
    path("admin/dashboard", all_usage.DashboardView.as_view(), name="admin-dashboard"),
    path("admin/settings", settings.AllSettingsView.as_view(), name="admin-settings"),
    path("admin/plans", plans.PlanListView.as_view(), name="admin-plans"),
    path("admin/plans/<str:id>", plans.PlanView.as_view(), name="admin-plan"),
    path("public/plans", plans.PublicPlansView.as_view(), name="public-plans"),
    path("end-user-budget", end_users.EachEndUserView.as_view(), name="end-user-budget"),
    path("end-users", end_users.EndUserListView.as_view(), name="end-users"),
    path("end-user", end_users.EndUserView.as_view(), name="end-user"),
    path("customers/<id:id>/limits", allowances.CustomerLimitsView.as_view(), name="customer-limits"),
    path("admin/customers/<id:id>/limits", allowances.AdminCustomerLimitsView.as_view(), name="admin-customer-limits"),
    path("me", profile.ProfileView.as_view(), name="profile"),
    path("me/export", profile.ExportView.as_view(), name="profile-export"),
    path("keys", keys.KeyListView.as_view(), name="keys"),
    path("keys/test-credits", keys.TestCreditsView.as_view(), name="test-credits"),
    path("keys/<id:id>", keys.KeyView.as_view(), name="key"),
    path("keys/<id:id>/rotate", keys.RotateView.as_view(), name="key-rotation"),
    path("keys/<id:id>/limits", allowances.KeyLimitsView.as_view(), name="key-limits"),
    path("keys/<id:id>/usage", keys.KeyUsageView.as_view(), name="key-usage"),
    path("credits/settings", views.SettingsView.as_view(), name="credit-settings"),
    path("credits/usage", usage.UsageView.as_view(), name="credit-usage"),
    path("credits/usage.csv", usage.UsageCsvView.as_view(), name="credit-usage-csv"),
    path("credits/usage/summary", usage.UsageSummaryView.as_view(), name="credit-usage-summary"),
    path("credits/forecast", usage.ForecastView.as_view(), name="credit-forecast"),
    path("credits/receipts/<id:id>", receipts.ReceiptView.as_view(), name="credit-receipt"),
    path("credits/transactions", statements.TransactionsView.as_view(), name="credit-transactions"),
    path("credits/transactions.csv", statements.TransactionsCsvView.as_view(), name="credit-transactions-csv"),
    path("credits/explain", statements.ExplanationView.as_view(), name="credit-explanation"),
    path("billing/credits/topup", topups.TopUpView.as_view(), name="usdc-topup"),
    path("billing/credits", views.UsdcBalanceView.as_view(), name="usdc-balance"),
    path("billing/credits/transactions", statements.UsdcTransactionsView.as_view(), name="usdc-transactions"),
    path(
        "billing/credits/transactions.csv", statements.UsdcTransactionsCsvView.as_view(), name="usdc-transactions-csv"
    ),
]
