from django.urls import path

from accounts import views

urlpatterns = [
    path("keys", views.KeyListView.as_view(), name="keys"),
    path("keys/<int:id>", views.KeyView.as_view(), name="key"),
]
