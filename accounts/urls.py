from django.urls import path

from accounts.leaked.views import LeakedView
from accounts.teams.views import joining
from accounts.teams.views import members as teams

urlpatterns = [
    path("keys/leaked", LeakedView.as_view(), name="leaked-keys"),
    path("customers", teams.CustomerListView.as_view(), name="customers"),
    path("customers/<int:id>", teams.CustomerView.as_view(), name="customer"),
    path("customers/<int:id>/transfer", teams.TransferView.as_view(), name="customer-transfer"),
    path("customers/<int:id>/members", teams.MemberListView.as_view(), name="members"),
    path("customers/<int:id>/members/<int:user_id>", teams.MemberView.as_view(), name="member"),
    path("customers/<int:id>/invitations", joining.InvitationListView.as_view(), name="invitations"),
    path("customers/<int:id>/invitations/<int:invitation_id>", joining.InvitationView.as_view(), name="invitation"),
    path(
        "customers/<int:id>/invitations/<int:invitation_id>/resend",
        joining.ResendView.as_view(),
        name="invitation-resending",
    ),
    path("invitations/accept", joining.AcceptView.as_view(), name="invitation-acceptance"),
    path("invitations/decline", joining.DeclineView.as_view(), name="invitation-refusal"),
]
