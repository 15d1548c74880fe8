"""Routes that fail in every way there is."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import PrepaidError, ValidationFailed
from accounts.strict import StrictSerializer, StrictView


class OutOfLuck(PrepaidError):
    status = 402
    code = "out_of_luck"
    message = "Try again with more luck."


SECRET = "what nobody may learn"

ERRORS: dict[str, Callable[[], Exception]] = {
    "prepaid": lambda: OutOfLuck(headers={"Retry-After": "7"}, required=5, available=2),
    "validation": lambda: ValidationFailed(details=[{"field": "body.a", "message": "Wrong.", "code": "WRONG"}]),
    "django-validation": lambda: DjangoValidationError({"name": ["Too short."]}),
    "not-found": lambda: exceptions.NotFound(SECRET),
    "http404": lambda: Http404(SECRET),
    "permission": lambda: exceptions.PermissionDenied(SECRET),
    "django-permission": lambda: DjangoPermissionDenied(SECRET),
    "not-authenticated": lambda: exceptions.NotAuthenticated(),
    "authentication-failed": lambda: exceptions.AuthenticationFailed(SECRET),
    "throttled": lambda: exceptions.Throttled(wait=2.5),
    "throttled-a-moment": lambda: exceptions.Throttled(wait=0),
    "too-big": lambda: RequestDataTooBig(SECRET),
    "suspicious": lambda: SuspiciousOperation(SECRET),
    "bug": lambda: RuntimeError(SECRET),
}


class Open(StrictView):
    authentication_classes = []
    permission_classes = [AllowAny]


class Failing(Open):
    def get(self, request: Request, kind: str) -> Response:
        raise ERRORS[kind]()


class Leaf(StrictSerializer):
    size = serializers.IntegerField(max_value=9)


class Branch(StrictSerializer):
    leaves = Leaf(many=True)
    by_name = serializers.DictField(child=Leaf(), default=dict)
    numbers = serializers.ListField(child=serializers.IntegerField(), default=list)


class Tree(Open):
    def post(self, request: Request) -> Response:
        class Root(StrictSerializer):
            branch = Branch()

        Root(data=request.data).is_valid(raise_exception=True)
        return Response({})


def fail(request: HttpRequest, kind: str) -> HttpResponse:
    raise ERRORS[kind]()


def login(request: HttpRequest, **anything: Any) -> HttpResponse:
    return HttpResponse("a page")


urlpatterns = [
    path("api/fail/<kind>", Failing.as_view()),
    path("api/tree", Tree.as_view()),
    path("api/before/<kind>", fail),
    path("admin/before/<kind>", fail),
    path("admin/login/", login, name="login"),
]

handler400 = "config.api.bad_request"
handler403 = "config.api.permission_denied"
handler404 = "config.api.not_found"
handler500 = "config.api.server_error"
