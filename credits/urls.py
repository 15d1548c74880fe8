from django.urls import path

from accounts import paths as paths
from credits import views
from credits.administration import views as administration
from credits.administration.adjustments import views as adjustments
from credits.sessions import views as sessions

urlpatterns = [
    path("credits/me", views.BalanceView.as_view(), name="credit-balance"),
    path("credits/grants", views.GrantListView.as_view(), name="credit-grants"),
    path("credits/holds", sessions.SessionListView.as_view(), name="credit-holds"),
    path("credits/holds/<str:id>", sessions.SessionView.as_view(), name="credit-hold"),
    path("credits/holds/<str:id>/settle", sessions.SettleView.as_view(), name="credit-hold-settle"),
    path("credits/holds/<str:id>/release", sessions.ReleaseView.as_view(), name="credit-hold-release"),
    path("admin/credits/<id:id>", adjustments.AccountView.as_view(), name="admin-account"),
    path("admin/users/<id:id>/credits", adjustments.UserCreditsView.as_view(), name="admin-user-credits"),
    path("admin/users/<id:id>/grants", adjustments.UserGrantsView.as_view(), name="admin-user-grants"),
    path("admin/customers/<id:id>/grants", adjustments.CustomerGrantsView.as_view(), name="admin-customer-grants"),
    path("admin/ledger/trial-balance", administration.TrialBalanceView.as_view(), name="trial-balance"),
    path("admin/ledger/trial-balance.csv", administration.TrialBalanceCsvView.as_view(), name="trial-balance-csv"),
]
