from django.urls import path

from accounts import paths as paths
from accounts.administration import views as administration
from accounts.administration.invitations import views as sign_ups
from accounts.leaked.views import LeakedView
from accounts.teams.views import joining
from accounts.teams.views import members as teams

urlpatterns = [
    path("keys/leaked", LeakedView.as_view(), name="leaked-keys"),
    path("customers", teams.CustomerListView.as_view(), name="customers"),
    path("customers/<id:id>", teams.CustomerView.as_view(), name="customer"),
    path("customers/<id:id>/transfer", teams.TransferView.as_view(), name="customer-transfer"),
    path("customers/<id:id>/members", teams.MemberListView.as_view(), name="members"),
    path("customers/<id:id>/members/<id:user_id>", teams.MemberView.as_view(), name="member"),
    path("customers/<id:id>/invitations", joining.InvitationListView.as_view(), name="invitations"),
    path("customers/<id:id>/invitations/<id:invitation_id>", joining.InvitationView.as_view(), name="invitation"),
    path(
        "customers/<id:id>/invitations/<id:invitation_id>/resend",
        joining.ResendView.as_view(),
        name="invitation-resending",
    ),
    path("invitations/accept", joining.AcceptView.as_view(), name="invitation-acceptance"),
    path("admin/verify", administration.VerifyView.as_view(), name="admin-verify"),
    path("admin/users/invite", sign_ups.InviteView.as_view(), name="admin-invite"),
    path("admin/users/invitations", sign_ups.SignUpListView.as_view(), name="admin-invitations"),
    path(
        "admin/users/invitations/<id:id>/resend", sign_ups.ResendSignUpView.as_view(), name="admin-invitation-resending"
    ),
    path(
        "admin/users/invitations/<id:id>/revoke", sign_ups.RevokeSignUpView.as_view(), name="admin-invitation-revoking"
    ),
    path("admin/customers/<id:id>/suspend", administration.SuspendView.as_view(), name="admin-suspension"),
    path("admin/customers/<id:id>/reactivate", administration.ReactivateView.as_view(), name="admin-reactivation"),
    path("invitations/decline", joining.DeclineView.as_view(), name="invitation-refusal"),
]
