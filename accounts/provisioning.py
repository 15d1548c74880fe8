"""People appear: on their first valid token, or when the identity provider tells about them first."""

import logging

from django.db import IntegrityError, transaction

from accounts.models import User

logger = logging.getLogger(__name__)


def provision_user(external_id: str, *, email: str = "", name: str = "") -> User:
    """
    Return the user with ``external_id``; a new one, with a personal customer, on first sight.

    Safe under concurrency: however many ask at once, one user appears. A mail address
    that another user has is left out: sharing an address is no proof of being the same person.
    """
    known = User.objects.filter(external_id=external_id).first()
    if known is not None:
        return known
    try:
        with transaction.atomic():
            return User.objects.create_user(email or None, external_id=external_id, name=name)
    except IntegrityError:
        known = User.objects.filter(external_id=external_id).first()
        if known is not None:
            return known
        if not email:
            raise
    logger.warning("A new user's mail address belongs to somebody else and was left out.")
    return provision_user(external_id, name=name)
