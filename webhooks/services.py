"""
What happens to webhooks: they are verified, kept once, and handled once.

An event is committed to the inbox before anything is done about it. Its effect and the mark
that it is handled are one transaction, under the lock of its row: however many deliveries
come at once, one of them acts and the others see that it is done.
"""

import hashlib
import logging
import traceback
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import F

from accounts.errors import PrepaidError
from accounts.parsers import parse_json
from webhooks.errors import WebhookNotHandled
from webhooks.models import InboundEvent
from webhooks.sources import SOURCES
from webhooks.sources.base import Event, Source

logger = logging.getLogger(__name__)

Status = InboundEvent.Status
DONE = (Status.HANDLED, Status.IGNORED)


def receive(source: Source, body: bytes, headers: Mapping[str, str], *, now: datetime) -> str:
    """
    Take a delivery. When this returns, the event is kept, and handled or ignored, in the database.

    Returns what was done, as ``handle`` does.

    :raises PrepaidError: what ``Source.verify`` raises; then nothing was kept
    :raises WebhookNotHandled: the event is kept, and the next delivery tries again
    """
    event = source.verify(body, headers, now=now)
    return handle(keep(source, event, body, now=now), now=now)


def keep(source: Source, event: Event, body: bytes, *, now: datetime) -> InboundEvent:
    """
    Return the row of ``event``, made on its first delivery.

    The first body under an id is the one that counts. Another one leaves its digest on the row
    and an error in the log: a sender never does that, so somebody should look.
    """
    digest = hashlib.sha256(body).hexdigest()
    kept, _ = InboundEvent.objects.get_or_create(
        source=source.name,
        event_id=event.id,
        defaults={"type": event.type, "payload": body.decode(), "payload_digest": digest, "received_at": now},
    )
    known = digest in {kept.payload_digest, kept.conflicting_digest}
    if not known and not source.is_same_news(parse_json(kept.payload.encode()), event.payload):
        InboundEvent.objects.filter(pk=kept.pk).update(conflicting_digest=digest)
        logger.error("Another body came under the id of a kept webhook", extra=_name(kept) | {"digest": digest})
    return kept


def handle(event: InboundEvent, *, now: datetime) -> str:
    """
    Do what ``event`` means, unless that was done, and return what was done in a few words.

    :raises WebhookNotHandled: if its handler fails; the effect is undone and the event marked as failed
    """
    return _run(event, now)


def replay(event: InboundEvent, *, now: datetime, dry_run: bool = False) -> str:
    """
    Do what ``event`` means even if it was done or ignored before, as after a release that knows more types.

    With ``dry_run`` it is tried and undone.

    :raises WebhookNotHandled: as ``handle`` does
    """
    return _run(event, now, again=True, dry_run=dry_run)


def _run(event: InboundEvent, now: datetime, *, again: bool = False, dry_run: bool = False) -> str:
    try:
        # Durable: an answer of 200 must not depend on a transaction that has yet to be committed.
        with transaction.atomic(durable=True):
            locked = InboundEvent.objects.select_for_update().get(pk=event.pk)
            if locked.status in DONE and not again:
                return "handled before"
            outcome = _apply(locked, now)
            transaction.set_rollback(dry_run)
    except Exception as error:
        if not dry_run:
            _mark_failed(event, error)
        raise WebhookNotHandled from error
    if not dry_run:
        logger.info("Webhook handled", extra=_name(event) | {"outcome": outcome})
    return outcome


def _apply(event: InboundEvent, now: datetime) -> str:
    handler = SOURCES[event.source].handlers.get(event.type)
    if handler is None:
        event.status, outcome = Status.IGNORED, "ignored: nothing is to be done about this type"
    else:
        event.status, outcome = Status.HANDLED, handler(parse_json(event.payload.encode()), now=now)
    event.attempts += 1
    event.error = ""
    event.handled_at = now
    event.save(update_fields=["status", "attempts", "error", "handled_at"])
    return outcome


def _mark_failed(event: InboundEvent, error: Exception) -> None:
    logger.error("A webhook could not be handled", extra=_name(event), exc_info=error)
    # One that another delivery has handled meanwhile, or that is being replayed, stays handled.
    InboundEvent.objects.filter(pk=event.pk).exclude(status=Status.HANDLED).update(
        status=Status.FAILED, attempts=F("attempts") + 1, error=describe(error)
    )


def describe(error: Exception) -> str:
    """Return what went wrong and where, without the message, which may quote the event."""
    kind = error.code if isinstance(error, PrepaidError) else type(error).__name__
    frames = list(traceback.walk_tb(error.__traceback__))
    where = [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in frames[-1:]]
    return " in ".join([kind, *where])[:500]


def _name(event: InboundEvent) -> dict[str, str]:
    return {"source": event.source, "event_id": event.event_id, "type": event.type}
