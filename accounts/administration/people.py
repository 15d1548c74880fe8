"""Users as an administrator changes them. Whoever is staff is changed by superusers alone, as in the admin."""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.errors import AddressTaken, NotOnOneself, PermissionDenied, UserIsGone, UserNotFound
from accounts.models import Customer, User
from accounts.teams import customers


@transaction.atomic
def update_user(user_id: int, changes: Mapping[str, str | None], *, by: User, now: datetime) -> User:
    """
    Set ``name`` or ``email`` (in lower case, or None). The identity provider's next news replaces both.

    :raises UserNotFound: if there is no such user
    :raises UserIsGone: if they were deleted: who they were stays forgotten
    :raises PermissionDenied: if they are staff, or the address is an administrator's, and ``by`` is no superuser
    :raises AddressTaken: if another user has the address
    """
    user = _locked(user_id, by=by)
    if user.deleted_at is not None:
        raise UserIsGone
    if changes.get("email") in settings.ADMIN_EMAILS and not by.is_superuser:
        raise PermissionDenied("This address makes its user an administrator. Only a superuser may give it to one.")
    changed = sorted(name for name, value in changes.items() if getattr(user, name) != value)
    if not changed:
        return user
    for name in changed:
        setattr(user, name, changes[name])
    try:
        with transaction.atomic():
            user.save(update_fields=[*changed, "updated_at"])
    except IntegrityError as error:
        if User.objects.filter(email=user.email).exclude(pk=user.pk).exists():
            raise AddressTaken from error
        raise
    # The personal customer is called as its user is.
    Customer.objects.filter(user=user).update(name=user.name or str(user))
    _written(user, "user.changed", by=by, now=now, fields=changed)
    return user


@transaction.atomic
def set_active(user_id: int, is_active: bool, *, by: User, now: datetime) -> User:
    """
    Let a user sign in and spend, or do nothing any more, with any credential. Again changes nothing.

    :raises UserNotFound: if there is no such user
    :raises NotOnOneself: if administrators would shut themselves out
    :raises UserIsGone: if a deleted user would come back
    :raises PermissionDenied: if they are staff and ``by`` is no superuser
    """
    user = _locked(user_id, by=by)
    if not is_active and user.pk == by.pk:
        raise NotOnOneself
    if is_active and user.deleted_at is not None:
        raise UserIsGone
    if user.is_active != is_active:
        user.is_active = is_active
        user.save(update_fields=["is_active", "updated_at"])
        _written(user, "user.activated" if is_active else "user.deactivated", by=by, now=now)
    return user


def suspend(customer: Customer, *, reason: str, by: User, now: datetime) -> bool:
    """
    Refuse whatever is asked for ``customer`` from now on. Returns whether that is new; again changes nothing.

    :raises NotOnOneself: if administrators would shut themselves out
    :raises PermissionDenied: if it is the own customer of staff and ``by`` is no superuser
    """
    if customer.user_id == by.pk:
        raise NotOnOneself
    if customer.user is not None:
        _refuse_above(customer.user, by=by)
    return customers.suspend(customer, reason=reason, actor=f"user:{by.pk}", now=now)


def _locked(user_id: int, *, by: User) -> User:
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise UserNotFound
    _refuse_above(user, by=by)
    return user


def _refuse_above(user: User, *, by: User) -> None:
    if (user.is_staff or user.is_superuser) and not by.is_superuser and user.pk != by.pk:
        raise PermissionDenied("Only a superuser may change staff.")


def _written(user: User, action: str, *, by: User, now: datetime, **details: list[str]) -> None:
    customer = Customer.objects.get(user=user)
    audit.record(customer, action, f"user:{user.pk}", actor=f"user:{by.pk}", now=now, **details)
