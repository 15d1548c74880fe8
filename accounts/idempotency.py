"""
``Idempotency-Key``: a request that moves money may be sent again, and moves it once.

    class TransferView(StrictView):
        @extend_schema(…)
        @idempotent
        def post(self, request): …

The answer is kept in the transaction that moved the money, so after a crash there are both
or neither. A refusal moves nothing and is not kept: a typing error does not use up the key.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.db import connection, transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import (
    IdempotencyInProgress,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
)
from accounts.models import ApiKey, Customer, IdempotentRequest
from accounts.permissions import principal_of

Arguments = ParamSpec("Arguments")
Handler = Callable[Concatenate[Any, Request, Arguments], Response]

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
#: Visible ASCII. A comma would be two headers in one, and ``"`` and ``\`` mean something in a quoted key.
KEY = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,255}")
PARAMETER = OpenApiParameter(
    name=HEADER,
    location=OpenApiParameter.HEADER,
    required=True,
    type={"type": "string", "pattern": f'^({KEY.pattern}|"{KEY.pattern}")$'},
    description=(
        "Your name for this request, such as a UUID, in quotes or bare. The same request sent again under the same "
        f"key has its effect once and is answered as the first time, with `{REPLAYED}: true`."
    ),
)


def idempotent(handler: Handler[Arguments]) -> Handler[Arguments]:
    """
    Make a view's method one that has its effect once per customer and ``Idempotency-Key``.

    The method runs in a transaction that is undone when it raises or answers with an error.

    :raises IdempotencyKeyMissing: if the request has no key
    :raises InvalidIdempotencyKey: if the key is none
    :raises IdempotencyKeyReused: if the key has been used for another request
    :raises IdempotencyInProgress: if the first request with this key still runs
    """

    @extend_schema(parameters=[PARAMETER])
    @wraps(handler)
    def once(view: Any, request: Request, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        customer, key = principal_of(request).customer, key_of(request)
        fingerprint = fingerprint_of(request)
        with transaction.atomic():
            is_ours = _try_lock(customer, key)
            first = IdempotentRequest.objects.filter(customer=customer, key=key).first()
            if first is not None:
                return _answer_again(first, fingerprint)
            if not is_ours:
                raise IdempotencyInProgress
            response = handler(view, request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
                return response
            IdempotentRequest.objects.create(
                customer=customer,
                key=key,
                method=str(request.method),
                path=request.path,
                fingerprint=fingerprint,
                status=response.status_code,
                body=JSONRenderer().render(response.data).decode(),
            )
            return response

    return once


def key_of(request: Request) -> str:
    """
    Return the request's idempotency key, without its quotes.

    :raises IdempotencyKeyMissing: if it has none
    :raises InvalidIdempotencyKey: if it is not 1 to 255 visible ASCII characters
    """
    text = request.headers.get(HEADER)
    if text is None:
        raise IdempotencyKeyMissing
    text = text.strip(" \t")
    key = text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
    if KEY.fullmatch(key) is None:
        raise InvalidIdempotencyKey
    return key


def fingerprint_of(request: Request) -> str:
    """
    SHA-256 of method, path and body, and of a test key's mode: what is asked for in a test is something else.

    Bodies that differ in the order of their names or in white space are one.
    """
    mode = principal_of(request).mode
    apart = [] if mode == ApiKey.Mode.LIVE else [mode]
    asked = json.dumps([request.method, request.path, request.data, *apart], sort_keys=True, default=repr)
    return hashlib.sha256(asked.encode()).hexdigest()


def prune(*, before: datetime, limit: int) -> int:
    """Forget at most ``limit`` answers that were given before ``before``. Returns how many."""
    old = IdempotentRequest.objects.filter(created_at__lt=before).order_by("created_at")
    forgotten, _ = IdempotentRequest.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()
    return forgotten


def _answer_again(first: IdempotentRequest, fingerprint: str) -> Response:
    if first.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    data = json.loads(first.body) if first.body else None
    return Response(data, status=first.status, headers={REPLAYED: "true"})


def _try_lock(customer: Customer, key: str) -> bool:
    """
    Be the only one with this key until the transaction ends, or return False at once.

    SQLite has one writer: its transaction has waited for the other's end before it comes here.
    """
    if connection.vendor != "postgresql":
        return True
    name = hashlib.sha256(f"{customer.pk} {key}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(name[:8], signed=True)])
        return bool(cursor.fetchone()[0])
