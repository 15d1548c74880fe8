"""
What an identity provider tells about people, in whatever order it arrives.

Nobody's credits are touched here, and no row passes from one person to another.
"""

import logging
from datetime import datetime
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts import leaving
from accounts.directory import ACTOR
from accounts.models import Customer, User
from accounts.provisioning import provision_user
from accounts.texts import plain

logger = logging.getLogger(__name__)

MAX_NAME = 200


class Outcome(StrEnum):
    KEPT = "profile kept"
    STALE = "nothing changed: newer is known"
    FORGOTTEN = "user deactivated and pseudonymised"
    GONE = "nothing changed: the user is deleted"


@transaction.atomic
def keep_profile(external_id: str, *, email: str, name: str, updated_at: datetime) -> Outcome:
    """
    Set the name and the address of the user with ``external_id``, who appears if they are not known.

    Older news never replaces newer, and a deleted user stays deleted. ``email`` must be verified,
    or empty; one that is not an address, or is another user's, is left out.
    """
    provision_user(external_id)
    user = User.objects.select_for_update().get(external_id=external_id)
    if user.deleted_at is not None:
        return Outcome.GONE
    if user.external_updated_at is not None and updated_at < user.external_updated_at:
        return Outcome.STALE
    user.name = plain(name).strip()[:MAX_NAME]
    user.external_updated_at = updated_at
    _save_with_address(user, _usable(email))
    return Outcome.KEPT


@transaction.atomic
def forget_user(external_id: str, *, now: datetime) -> Outcome:
    """
    Forget the user with ``external_id``, as ``leaving.forget`` does. What they spent stays on the books.

    It is final. One who is not known yet appears deleted, so that news from before cannot revive them.
    """
    provision_user(external_id)
    user = User.objects.select_for_update().get(external_id=external_id)
    if user.deleted_at is not None:
        return Outcome.GONE
    leaving.forget(user, actor=ACTOR, now=now)
    return Outcome.FORGOTTEN


def _save_with_address(user: User, email: str | None) -> None:
    user.email = email
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        if email is None:
            raise
        logger.warning("A user's mail address belongs to somebody else and was left out.", extra={"user": user.pk})
        user.email = None
        user.save()
    # The personal customer is called as its user is.
    Customer.objects.filter(user=user).update(name=user.name or str(user))


def _usable(email: str) -> str | None:
    email = User.objects.normalize_email(email).lower()
    try:
        validate_email(email)
    except ValidationError:
        return None
    return email if len(email) <= 254 else None
