"""What a credential may do: the scopes of its key, or all that the person's role allows."""

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.errors import PermissionDenied, Unauthenticated
from accounts.models import ApiKey, User
from accounts.principals import Principal

if TYPE_CHECKING:  # The settings name this module, so views cannot be imported before it.
    from rest_framework.views import APIView


def principal_of(request: Request) -> Principal:
    """
    Return whom ``request`` speaks for.

    :raises Unauthenticated: if nobody has signed in
    """
    if not isinstance(request.auth, Principal):
        raise Unauthenticated
    return request.auth


class HasScope(BasePermission):
    """Base of the permissions below: the credential has the scope that the request needs."""

    scope: ClassVar[str]

    def has_permission(self, request: Request, view: "APIView") -> bool:
        needed = self.needed(request)
        if needed not in principal_of(request).scopes:
            raise PermissionDenied(f"This credential lacks the scope '{needed}'.")
        return True

    def needed(self, request: Request) -> str:
        return self.scope


class MayCallModels(HasScope):
    scope = ApiKey.Scope.AI.value


class MayRead(HasScope):
    scope = ApiKey.Scope.READ.value


class MayManage(HasScope):
    scope = ApiKey.Scope.MANAGE.value


class MayReadOrManage(HasScope):
    """Looking needs ``read``, changing ``manage``. The default of every view."""

    def needed(self, request: Request) -> str:
        return MayRead.scope if request.method in SAFE_METHODS else MayManage.scope


class IsPerson(BasePermission):
    """Somebody in person: keys have no say about people. Which customer it concerns, the path says."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        principal = principal_of(request)
        if principal.api_key is not None:
            raise PermissionDenied("This is for people. Sign in with a session instead of an API key.")
        if principal.impersonator and request.method not in SAFE_METHODS:
            raise PermissionDenied("Whoever acts in another's name may look, but not change anything.")
        return True


class MayReadOrSpend(HasScope):
    """Looking needs ``read``; spending needs ``ai``."""

    def needed(self, request: Request) -> str:
        return MayRead.scope if request.method in SAFE_METHODS else MayCallModels.scope


class IsAdministrator(BasePermission):
    """
    A person who runs this installation, in person: no key, and nobody who acts in their name.

    They are staff, or named in ``ADMIN_USER_IDS`` or, by their verified address, in ``ADMIN_EMAILS``.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        principal = principal_of(request)
        in_person = principal.api_key is None and not principal.impersonator
        if principal.user is None or not in_person or not is_administrator(principal.user):
            raise PermissionDenied("This is for the administrators of this installation.")
        return True


def is_administrator(user: User) -> bool:
    """Whether ``user`` runs this installation. An address counts because only a verified one is ever kept."""
    return user.is_active and (
        user.is_staff
        or (user.external_id is not None and user.external_id in settings.ADMIN_USER_IDS)
        or (user.email is not None and user.email in settings.ADMIN_EMAILS)
    )
