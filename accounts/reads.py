"""What every read of a customer's own data has in common."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.http import http_date
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ApiKey, Customer
from accounts.principals import Principal
from accounts.strict import StrictSerializer, StrictView

#: How long a change goes without ``Last-Modified``: that counts in whole seconds, and another
#: change that bears the same second may still be waiting to be committed.
SETTLING = timedelta(minutes=1)

CREDENTIAL_HEADERS = ["Authorization", "X-Api-Key", "X-User-Id", "X-Customer-Id"]
NOT_MODIFIED = OpenApiResponse(description="The same as what `If-None-Match` or `If-Modified-Since` names.")


class OwnMode:
    """The default of a filter by mode: the caller's own."""

    requires_context = True

    def __call__(self, field: serializers.Field[Any, Any, Any, Any]) -> str:
        return str(field.context.get("mode", ApiKey.Mode.LIVE.value))


class Filter(StrictSerializer):
    """The parameters that narrow a read, beside those that page it."""

    @classmethod
    def names(cls) -> frozenset[str]:
        return frozenset(cls().get_fields())


@method_decorator(conditional_page, name="dispatch")
class ReadView(StrictView):
    """
    A read that is asked again every time and answered 304 while it is the same.

    The ``ETag`` is a digest of the body, so it cannot miss a change, whatever made it.
    """

    filter_class: ClassVar[type[Filter]] = Filter
    cache_control: ClassVar[str] = "private, no-cache"

    def customer(self) -> Customer:
        """Whose data is read: the first filter of every query."""
        principal = self.request.auth
        assert isinstance(principal, Principal), "no permission lets anybody else in"
        return principal.customer

    def mode(self) -> str:
        """Whether test data is read, or live data."""
        principal = self.request.auth
        return principal.mode if isinstance(principal, Principal) else ApiKey.Mode.LIVE.value

    def filters(self) -> dict[str, Any]:
        """
        Return the parameters that narrow this read.

        :raises ValidationError: naming each that is wrong
        """
        given = self.request.query_params
        asked = {name: given[name] for name in self.filter_class.names() if name in given}
        narrowing = self.filter_class(data=asked, context={"mode": self.mode()})
        narrowing.is_valid(raise_exception=True)
        values: dict[str, Any] = narrowing.validated_data
        return values

    def known_query_parameters(self) -> frozenset[str]:
        return super().known_query_parameters() | self.filter_class.names()

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        if response.status_code < 400 and request.method in SAFE_METHODS:
            response.headers.setdefault("Cache-Control", self.cache_control)
            patch_vary_headers(response, CREDENTIAL_HEADERS)
        return super().finalize_response(request, response, *args, **kwargs)


def last_modified(changed_at: datetime | None, *, now: datetime) -> dict[str, str]:
    """Return the ``Last-Modified`` header for a change that is safely past, else nothing."""
    if changed_at is None or now - changed_at < SETTLING:
        return {}
    return {"Last-Modified": http_date(changed_at.timestamp())}
