"""
What a customer does with session holds of their own.

Others' holds are none of theirs, and neither are those that a call or our own code has placed
for them: to release one would be to use what it pays for and not to pay.
"""

import hashlib
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from accounts.models import Customer
from credits import services
from credits.books import HoldRequest
from credits.errors import HoldNotFound, InsufficientCredits
from credits.models import Currency, Hold

#: How the keys of these holds begin.
ORIGIN = "session:"


def sessions_of(customer: Customer, *, currency: str = Currency.CREDITS.value) -> QuerySet[Hold]:
    """The customer's session holds, those that pend first, then the newest, with what their calls came to."""
    calls = Hold.objects.filter(parent=OuterRef("pk")).order_by().values("parent")
    running = Coalesce(Sum("amount", filter=Q(status=Hold.Status.PENDING)), 0)
    own = Hold.objects.filter(
        # Calls have no keys and may be millions: the first condition leaves them out by the index.
        key__isnull=False,
        key__startswith=ORIGIN,
        account__customer=customer,
        account__currency=currency,
    )
    return own.annotate(
        spent=F("settled") + Coalesce(Subquery(calls.annotate(total=Sum("settled")).values("total")), 0),
        held_by_calls=Coalesce(Subquery(calls.annotate(total=running).values("total")), 0),
        calls=Coalesce(Subquery(calls.annotate(total=Count("pk")).values("total")), 0),
    ).order_by(
        Case(When(status=Hold.Status.PENDING, then=Value(0)), default=Value(1), output_field=IntegerField()),
        "-created_at",
        "-pk",
    )


def session_of(customer: Customer, id_: str, *, currency: str = Currency.CREDITS.value) -> Hold:
    """
    Return the customer's session hold with the id ``id_``, as ``sessions_of`` does.

    :raises HoldNotFound: if there is none, or it is somebody else's
    """
    try:
        return sessions_of(customer, currency=currency).get(pk=UUID(id_))
    except (ValueError, Hold.DoesNotExist):
        raise HoldNotFound from None


@transaction.atomic
def open_session(
    customer: Customer,
    *,
    amount: int,
    key: str,
    expires_at: datetime,
    reason: str,
    now: datetime,
    currency: str = Currency.CREDITS.value,
) -> Hold:
    """
    Set ``amount`` units of the customer's credits aside, once per ``key``.

    :raises InsufficientCredits: if less is available
    :raises DuplicateHold: if ``key`` has held another amount before
    """
    request = HoldRequest(
        id=services.new_hold_id(),
        account_id=services.account_of(customer, currency).pk,
        key=ORIGIN + hashlib.sha256(key.encode()).hexdigest(),
        amount=amount,
        expires_at=expires_at,
        context={"reason": reason},
    )
    placed = services.place_holds([request], now=now)[0]
    if isinstance(placed, InsufficientCredits):
        raise placed
    return session_of(customer, placed.pk.hex, currency=currency)


@transaction.atomic
def settle_session(
    customer: Customer, id_: str, *, amount: int, actor: str, now: datetime, currency: str = Currency.CREDITS.value
) -> Hold:
    """
    Spend ``amount`` units of a session hold and end it. One that had ended stays as it was.

    :raises HoldNotFound: if it is none of the customer's
    :raises InsufficientCredits: if it has less free than ``amount``; it is not ended then
    """
    hold = session_of(customer, id_, currency=currency)
    memo = hold.context.get("reason", "")
    resolution = services.settle_holds([(hold.pk.hex, amount)], actor=actor, memo=memo, now=now)[0]
    if resolution.first and resolution.shortfall:
        raise InsufficientCredits(required=amount, available=resolution.settled)
    return session_of(customer, id_, currency=currency)


@transaction.atomic
def release_session(customer: Customer, id_: str, *, now: datetime, currency: str = Currency.CREDITS.value) -> Hold:
    """
    Give back what is free of a session hold and end it. One that had ended stays as it was.

    :raises HoldNotFound: if it is none of the customer's
    """
    services.release_holds([session_of(customer, id_, currency=currency).pk.hex], now=now)
    return session_of(customer, id_, currency=currency)
