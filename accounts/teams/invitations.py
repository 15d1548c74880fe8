"""
Invitations to a team, by e-mail: sent, sent again, taken back, accepted or declined, once.

The token is in the mail and in the answer to whoever invites, and nowhere else: the database keeps a digest.
It is good for nobody but the person with the address.
"""

import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvitationForAnother,
    InvitationIsOver,
    InvitationNotFound,
    TooManyInvitations,
    TooManyRequests,
)
from accounts.models import Customer, Invitation, Membership, User
from accounts.teams.customers import lock_team

LIFETIME = timedelta(days=7)
RESENT_AT_MOST_EVERY = timedelta(minutes=1)
MOST_OPEN = 100


def digest(token: str) -> str:
    """What the database keeps of ``token``."""
    return hmac.digest(settings.API_KEY_PEPPER.encode(), b"invitation " + token.encode(), "sha256").hex()


@transaction.atomic
def invite(team: Customer, *, email: str, role: str, invited_by: User, now: datetime) -> tuple[Invitation, str]:
    """
    Return an invitation of ``email`` (in lower case) and its token. The caller sends it, after the commit.

    :raises AlreadyMember: if a member has the address
    :raises AlreadyInvited: if they are invited and can still accept
    :raises TooManyInvitations: if as many are open as may be
    """
    locked = lock_team(team)
    if Membership.objects.filter(customer=locked, user__email=email).exists():
        raise AlreadyMember
    waiting = Invitation.objects.filter(Invitation.OPEN, customer=locked)
    waiting.filter(expires_at__lte=now).update(revoked_at=now)
    if waiting.filter(email=email).exists():
        raise AlreadyInvited
    if waiting.count() >= MOST_OPEN:
        raise TooManyInvitations
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        customer=locked,
        email=email,
        role=role,
        digest=digest(token),
        invited_by=invited_by,
        created_at=now,
        sent_at=now,
        expires_at=now + LIFETIME,
    )
    _written(invitation, "invited", actor=f"user:{invited_by.pk}", now=now)
    return invitation, token


@transaction.atomic
def renew(team: Customer, invitation_id: int, *, actor: str, now: datetime) -> tuple[Invitation, str]:
    """
    Return the invitation with a new token and a new time; the old token is good for nothing then.

    :raises InvitationNotFound: if the team has no such invitation
    :raises InvitationIsOver: if it was accepted, declined or taken back
    :raises TooManyRequests: if it was sent within the last minute
    """
    invitation = _open(lock_team(team), invitation_id)
    if now - invitation.sent_at < RESENT_AT_MOST_EVERY:
        raise TooManyRequests(headers={"Retry-After": str(int(RESENT_AT_MOST_EVERY.total_seconds()))})
    token = secrets.token_urlsafe(32)
    invitation.digest, invitation.sent_at, invitation.expires_at = digest(token), now, now + LIFETIME
    invitation.save(update_fields=["digest", "sent_at", "expires_at"])
    _written(invitation, "sent again", actor=actor, now=now)
    return invitation, token


@transaction.atomic
def revoke(team: Customer, invitation_id: int, *, actor: str, now: datetime) -> None:
    """
    Take an invitation back. Again changes nothing.

    :raises InvitationNotFound: if the team has no such invitation
    :raises InvitationIsOver: if it was accepted or declined
    """
    locked = lock_team(team)
    if Invitation.objects.filter(customer=locked, pk=invitation_id, revoked_at__isnull=False).exists():
        return
    invitation = _open(locked, invitation_id)
    invitation.revoked_at = now
    invitation.save(update_fields=["revoked_at"])
    _written(invitation, "revoked", actor=actor, now=now)


@transaction.atomic
def accept(token: str, *, user: User, now: datetime) -> Membership:
    """
    Make ``user`` a member. Accepting twice is once; who is a member already keeps their role.

    :raises InvitationNotFound: if no invitation has the token
    :raises InvitationForAnother: if ``user`` does not have its address
    :raises InvitationIsOver: if its time is over, or it was declined or taken back
    """
    invitation = _of(token, user)
    if invitation.accepted_at is not None:
        member = Membership.objects.filter(customer=invitation.customer, user=user).select_related("customer").first()
        if member is None:
            raise InvitationIsOver
        return member
    _refuse_over(invitation, now)
    team = lock_team(invitation.customer)
    member, joined = Membership.objects.get_or_create(
        customer=team, user=user, defaults={"role": invitation.role, "created_at": now}
    )
    invitation.accepted_at = now
    invitation.save(update_fields=["accepted_at"])
    _written(invitation, "accepted", actor=f"user:{user.pk}", now=now, joined=joined)
    return member


@transaction.atomic
def decline(token: str, *, user: User, now: datetime) -> None:
    """
    Say no. Again changes nothing.

    :raises InvitationNotFound: if no invitation has the token
    :raises InvitationForAnother: if ``user`` does not have its address
    :raises InvitationIsOver: if its time is over, or it was accepted or taken back
    """
    invitation = _of(token, user)
    if invitation.declined_at is not None:
        return
    if invitation.accepted_at is not None:
        raise InvitationIsOver
    _refuse_over(invitation, now)
    invitation.declined_at = now
    invitation.save(update_fields=["declined_at"])
    _written(invitation, "declined", actor=f"user:{user.pk}", now=now)


def _of(token: str, user: User) -> Invitation:
    """The customer is locked before the invitation, as everywhere."""
    found = Invitation.objects.filter(digest=digest(token)).first()
    if found is None:
        raise InvitationNotFound
    if not user.email or user.email != found.email:
        raise InvitationForAnother
    Customer.objects.select_for_update().get(pk=found.customer_id)
    again = Invitation.objects.filter(digest=found.digest).select_related("customer").first()
    if again is None:  # sent again meanwhile
        raise InvitationNotFound
    return again


def _open(team: Customer, invitation_id: int) -> Invitation:
    invitation = Invitation.objects.filter(customer=team, pk=invitation_id).first()
    if invitation is None:
        raise InvitationNotFound
    if (invitation.accepted_at, invitation.declined_at, invitation.revoked_at) != (None, None, None):
        raise InvitationIsOver
    return invitation


def _refuse_over(invitation: Invitation, now: datetime) -> None:
    if invitation.declined_at or invitation.revoked_at or invitation.expires_at <= now:
        raise InvitationIsOver


def _written(invitation: Invitation, what: str, *, actor: str, now: datetime, **details: bool) -> None:
    action = "invitation." + what.replace(" ", "_")
    subject = f"invitation:{invitation.pk}"
    audit.record(invitation.customer_id, action, subject, actor=actor, now=now, role=invitation.role, **details)
