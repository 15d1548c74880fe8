from django.urls import path

from credits import views

urlpatterns = [
    path("credits/me", views.BalanceView.as_view(), name="credit-balance"),
    path("credits/grants", views.GrantListView.as_view(), name="credit-grants"),
]
