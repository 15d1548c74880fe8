"""
Failed sign-ins are throttled: by the account that was tried, and by the address that tried.

What is used up is kept in the database, so that it is one count for all processes, under digests, so that nobody can
read there who was tried or from where. Only failures read or write it. A process remembers for how long it must
refuse whom, so that who goes on failing costs the database nothing; it forgets the oldest of that first.
"""

import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils.crypto import salted_hmac

from accounts import addresses, allowance
from accounts.errors import InvalidApiKey, InvalidToken, PrepaidError, TooManyFailedSignIns, WrongProxySecret
from accounts.models import FailedSignIns

logger = logging.getLogger(__name__)

#: What could be a guess. Who is late or not allowed has proved who they are.
GUESSES = (InvalidApiKey, InvalidToken, WrongProxySecret)
FORGET_EVERY = timedelta(minutes=1)
FORGOTTEN_AT_ONCE = 1_000
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who was tried, as far as the credential names somebody, and from which address, as far as that is known."""

    account: str = ""
    address: str = ""


class Memory:
    """Until when this process refuses whom, and when it last emptied the table of what is over."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}
        self.forgot_at: datetime | None = None

    def wait(self, bucket: str, *, now: datetime) -> timedelta:
        """Return how long ``bucket`` is refused without a look at the database."""
        until = self._until.get(bucket)
        if until is None:
            return allowance.NO_WAIT
        if until <= now:
            self._until.pop(bucket, None)
            return allowance.NO_WAIT
        return until - now

    def refuse(self, bucket: str, *, until: datetime) -> None:
        if len(self._until) >= MOST_REMEMBERED:
            self._until.pop(next(iter(self._until)), None)
        self._until[bucket] = until

    def clear(self) -> None:
        self._until.clear()
        self.forgot_at = None


memory = Memory()


def answer_to(error: PrepaidError, attempt: Attempt, *, now: datetime) -> PrepaidError:
    """Count ``error``, if it could be a guess, and return what to answer: itself, or that it was one too many."""
    wait = fail(attempt, now=now) if isinstance(error, GUESSES) else allowance.NO_WAIT
    return TooManyFailedSignIns(wait_seconds=seconds(wait)) if wait else error


def seconds(wait: timedelta) -> int:
    """Return ``wait`` as ``Retry-After`` says it."""
    return math.ceil(wait.total_seconds())


def fail(attempt: Attempt, *, now: datetime) -> timedelta:
    """
    Count a failure. Returns how long to wait before the next try; ``NO_WAIT`` if this was not one too many.

    If the database is away nothing is counted: who has failed is refused all the same.
    """
    buckets = _buckets(attempt)
    known = max((memory.wait(bucket, now=now) for bucket in buckets), default=allowance.NO_WAIT)
    if known or not buckets:
        return known
    try:
        wait = _take(buckets, now)
        _forget(now)
    except DatabaseError:
        logger.warning("A failed sign-in could not be counted.")
        return allowance.NO_WAIT
    return wait


def take_back(attempt: Attempt, *, now: datetime) -> None:
    """What was counted beforehand was no failure."""
    buckets = _buckets(attempt)
    with transaction.atomic():
        for row in FailedSignIns.objects.select_for_update().filter(pk__in=buckets).order_by("pk"):
            row.full_at = allowance.give_back(row.full_at, most=buckets[row.bucket], window=_window())
            row.save(update_fields=["full_at"])


def _window() -> timedelta:
    return timedelta(seconds=settings.FAILED_SIGN_INS_WINDOW)


def _buckets(attempt: Attempt) -> dict[str, int]:
    """Return what the attempt counts for, and how many each may have at once. 0 in the settings counts nothing."""
    named = {
        f"account:{attempt.account}": settings.FAILED_SIGN_INS_BY_ACCOUNT if attempt.account else 0,
        f"address:{addresses.of_one_client(attempt.address)}": settings.FAILED_SIGN_INS_BY_ADDRESS
        if addresses.parse(attempt.address)
        else 0,
    }
    return {
        salted_hmac("accounts.throttling", name, algorithm="sha256").hexdigest(): most
        for name, most in named.items()
        if most > 0
    }


def _take(buckets: dict[str, int], now: datetime) -> timedelta:
    longest = allowance.NO_WAIT
    with transaction.atomic():
        FailedSignIns.objects.bulk_create(
            [FailedSignIns(bucket=bucket, full_at=now) for bucket in sorted(buckets)], ignore_conflicts=True
        )
        for row in FailedSignIns.objects.select_for_update().filter(pk__in=buckets).order_by("pk"):
            row.full_at, wait = allowance.take(row.full_at, most=buckets[row.bucket], window=_window(), now=now)
            if wait:
                memory.refuse(row.bucket, until=now + wait)
            else:
                row.save(update_fields=["full_at"])
            longest = max(longest, wait)
    return longest


def _forget(now: datetime) -> None:
    """Remove what is given back. Two processes at it do not wait for each other."""
    if memory.forgot_at is not None and now - memory.forgot_at < FORGET_EVERY:
        return
    memory.forgot_at = now
    with transaction.atomic():
        over = FailedSignIns.objects.select_for_update(skip_locked=True).filter(full_at__lt=now)
        FailedSignIns.objects.filter(pk__in=list(over.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])).delete()
