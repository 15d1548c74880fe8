"""
Invitations to sign up here.

Who may sign up, the identity provider decides; an invitation is a mail that says where. It is accepted as soon as
somebody has its address, however they came, and it gives them nothing.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts import audit
from accounts.errors import (
    AlreadyInvited,
    InvitationIsOver,
    InvitationNotFound,
    SignUpNotConfigured,
    TooManyRequests,
)
from accounts.models import SignUpInvitation, User
from accounts.teams.invitations import RESENT_AT_MOST_EVERY

LIFETIME = timedelta(days=30)
PENDING, ACCEPTED, REVOKED, EXPIRED = "pending", "accepted", "revoked", "expired"
STATUSES = [(status, status) for status in (PENDING, ACCEPTED, REVOKED, EXPIRED)]


def user_with(email: str) -> User | None:
    """Return who has the address already, if somebody does."""
    return User.objects.filter(email=email).first()


@transaction.atomic
def invite(*, email: str, name: str, by: User, now: datetime) -> SignUpInvitation:
    """
    Return an invitation of ``email`` (in lower case). The caller sends it, after the commit.

    :raises SignUpNotConfigured: if nobody has said where people sign up
    :raises AlreadyInvited: if they are invited and that is still good
    """
    refuse_without_a_page()
    open_ones = SignUpInvitation.objects.filter(email=email, revoked_at=None)
    open_ones.filter(expires_at__lte=now).update(revoked_at=now)
    try:
        with transaction.atomic():
            invitation = SignUpInvitation.objects.create(
                email=email, name=name, invited_by=by, created_at=now, sent_at=now, expires_at=now + LIFETIME
            )
    except IntegrityError as error:
        if open_ones.exists():
            raise AlreadyInvited from error
        raise
    _written(invitation, "invited", by=by, now=now)
    return invitation


@transaction.atomic
def renew(invitation_id: int, *, by: User, now: datetime) -> SignUpInvitation:
    """
    Return the invitation with a new time, to be sent again.

    :raises InvitationNotFound: if there is none
    :raises InvitationIsOver: if it was accepted or taken back
    :raises TooManyRequests: if it was sent within the last minute
    """
    refuse_without_a_page()
    invitation = _open(invitation_id, now)
    if now - invitation.sent_at < RESENT_AT_MOST_EVERY:
        raise TooManyRequests(headers={"Retry-After": str(int(RESENT_AT_MOST_EVERY.total_seconds()))})
    invitation.sent_at, invitation.expires_at = now, now + LIFETIME
    invitation.save(update_fields=["sent_at", "expires_at"])
    _written(invitation, "sent_again", by=by, now=now)
    return invitation


@transaction.atomic
def revoke(invitation_id: int, *, by: User, now: datetime) -> None:
    """
    Take an invitation back. Again changes nothing.

    :raises InvitationNotFound: if there is none
    :raises InvitationIsOver: if it was accepted
    """
    if SignUpInvitation.objects.filter(pk=invitation_id, revoked_at__isnull=False).exists():
        return
    invitation = _open(invitation_id, now)
    invitation.revoked_at = now
    invitation.save(update_fields=["revoked_at"])
    _written(invitation, "revoked", by=by, now=now)


def with_acceptance() -> QuerySet[SignUpInvitation]:
    """Invitations, newest first, with whether somebody has the address by now, as ``is_accepted``."""
    has_address = Exists(User.objects.filter(email=OuterRef("email")))
    return SignUpInvitation.objects.annotate(is_accepted=has_address).order_by("-pk")


def in_status(status: str, *, now: datetime) -> Q:
    """Which of ``with_acceptance`` are in one of ``STATUSES``, as ``status_of`` says it."""
    still_open = Q(revoked_at=None, is_accepted=False)
    return {
        REVOKED: Q(revoked_at__isnull=False),
        ACCEPTED: Q(revoked_at=None, is_accepted=True),
        EXPIRED: still_open & Q(expires_at__lte=now),
        PENDING: still_open & Q(expires_at__gt=now),
    }[status]


def status_of(invitation: SignUpInvitation, *, is_accepted: bool, now: datetime) -> str:
    if invitation.revoked_at is not None:
        return REVOKED
    if is_accepted:
        return ACCEPTED
    return EXPIRED if invitation.expires_at <= now else PENDING


def refuse_without_a_page() -> None:
    """:raises SignUpNotConfigured: if nobody has said where people sign up"""
    if not settings.SIGN_UP_URL:
        raise SignUpNotConfigured


def _open(invitation_id: int, now: datetime) -> SignUpInvitation:
    invitation = SignUpInvitation.objects.select_for_update().filter(pk=invitation_id).first()
    if invitation is None:
        raise InvitationNotFound
    is_accepted = user_with(invitation.email) is not None
    if status_of(invitation, is_accepted=is_accepted, now=now) in (REVOKED, ACCEPTED):
        raise InvitationIsOver("Somebody has this address by now, or the invitation was taken back.")
    return invitation


def _written(invitation: SignUpInvitation, what: str, *, by: User, now: datetime) -> None:
    audit.record(None, f"sign_up.{what}", f"sign_up:{invitation.pk}", actor=f"user:{by.pk}", now=now)
