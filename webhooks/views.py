"""``/api/webhooks/…``: the senders' side of the inbox."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import BodyTooLarge, UnsupportedMedia
from accounts.strict import StrictView
from webhooks import services
from webhooks.schema import WebhookSchema
from webhooks.sources.base import Source

MAX_BODY_BYTES = 256 * 1024


class WebhookView(StrictView):
    """Receives the events of one source. The signature is the credential."""

    source: Source = None  # type: ignore[assignment]  # given to as_view()
    authentication_classes = ()
    permission_classes = ()
    schema = WebhookSchema()
    #: Stripe tells two endpoints apart by it while their API version is upgraded.
    query_parameters = frozenset({"version"})

    def post(self, request: Request) -> Response:
        body = read_body(request._request)
        services.receive(self.source, body, request.headers, now=timezone.now())
        return Response({"received": True})

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Answer in JSON whatever is asked for: a sender reads the status only."""
        return super().perform_content_negotiation(request, force=True)


def read_body(request: HttpRequest) -> bytes:
    """
    Return the body as it was sent.

    :raises UnsupportedMedia: if it is not declared as JSON in UTF-8, or is compressed
    :raises BodyTooLarge: if it has more than 256 KiB; no more than that is read
    """
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if request.content_type != "application/json" or charset not in {"utf-8", "utf8"} or encoding != "identity":
        raise UnsupportedMedia
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    return body
