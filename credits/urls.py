from django.urls import path

from credits import views
from credits.administration import views as administration
from credits.sessions import views as sessions

urlpatterns = [
    path("credits/me", views.BalanceView.as_view(), name="credit-balance"),
    path("credits/grants", views.GrantListView.as_view(), name="credit-grants"),
    path("credits/holds", sessions.SessionListView.as_view(), name="credit-holds"),
    path("credits/holds/<str:id>", sessions.SessionView.as_view(), name="credit-hold"),
    path("credits/holds/<str:id>/settle", sessions.SettleView.as_view(), name="credit-hold-settle"),
    path("credits/holds/<str:id>/release", sessions.ReleaseView.as_view(), name="credit-hold-release"),
    path("admin/ledger/trial-balance", administration.TrialBalanceView.as_view(), name="trial-balance"),
    path("admin/ledger/trial-balance.csv", administration.TrialBalanceCsvView.as_view(), name="trial-balance-csv"),
]
