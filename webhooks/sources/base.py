"""
What a source of webhooks is.

A source is one module with a subclass of ``Source``, and one line in ``webhooks.sources``.
Its tests inherit from ``tests.webhooks.conformance``.
"""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from django.conf import settings

from accounts.parsers import parse_json
from webhooks.errors import InvalidEvent, InvalidSignature, WebhookNotConfigured

logger = logging.getLogger(__name__)

Payload = dict[str, Any]

TOLERANCE = timedelta(minutes=5)
EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
EVENT_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Event:
    """A verified event. ``id`` is the same each time the sender tries again."""

    id: str
    type: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Signature:
    """What the headers claim, in a shape that the libraries can be trusted with."""

    signed_at: int
    text: str
    event_id: str = ""


class Handler(Protocol):
    def __call__(self, payload: Payload, *, now: datetime) -> str:
        """
        Do what the event means, and return in a few words what was done, with no personal data.

        Runs in a transaction together with the mark that the event is handled; calls no network.
        Doing it again, or in another order, must change nothing. What it raises undoes it.
        """


class Source(ABC):
    """Who sends webhooks: how its signatures are checked, and what its events mean."""

    #: In the path, and in the column ``source`` of the inbox.
    name: ClassVar[str]
    #: The setting with the endpoint's secrets: several while they are rotated.
    secrets_setting: ClassVar[str]
    #: The headers that carry the signature, for the documentation.
    signature_headers: ClassVar[tuple[str, ...]]
    #: By type. Types that are not here are kept and ignored.
    handlers: ClassVar[dict[str, Handler]]

    @property
    def secrets(self) -> list[str]:
        return [text.strip() for text in getattr(settings, self.secrets_setting) if text.strip()]

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        """
        Return the event in ``body``. Nothing of it is read before its signature has been checked.

        :raises WebhookNotConfigured: if there is no secret to check it with
        :raises InvalidSignature: if no secret has signed these bytes within five minutes of ``now``
        :raises MalformedJson: if the signed bytes are not strict JSON
        :raises InvalidEvent: if the signed JSON is no event
        """
        secrets = self.secrets
        if not secrets:
            raise WebhookNotConfigured
        signature = self.read_signature(headers)
        if not any(self._is_signed(body, signature, secret) for secret in secrets):
            raise InvalidSignature
        if abs(now.timestamp() - signature.signed_at) > TOLERANCE.total_seconds():
            raise InvalidSignature("The signature's timestamp is more than five minutes off. Check both clocks.")
        payload = parse_json(body)
        if not isinstance(payload, dict):
            raise InvalidEvent
        event = self.read_event(payload, signature)
        if not (is_text(event.id, EVENT_ID) and is_text(event.type, EVENT_TYPE)):
            raise InvalidEvent
        return event

    def _is_signed(self, body: bytes, signature: Signature, secret: str) -> bool:
        try:
            return self.is_signed(body, signature, secret)
        except Exception as error:
            # The libraries raise whatever they stumble over (ValueError, TypeError, binascii.Error,
            # UnicodeDecodeError), and a stranger's garbage must not look like a fault of ours.
            logger.warning("A webhook cannot be verified", extra={"source": self.name, "reason": type(error).__name__})
            return False

    @abstractmethod
    def read_signature(self, headers: Mapping[str, str]) -> Signature:
        """
        Return what the headers claim. Names of headers are looked up without regard to case.

        :raises InvalidSignature: if a header is missing or not exactly of its shape
        """

    @abstractmethod
    def is_signed(self, body: bytes, signature: Signature, secret: str) -> bool:
        """Whether ``secret`` has signed ``body``. Compares in constant time; may raise anything."""

    @abstractmethod
    def read_event(self, payload: Payload, signature: Signature) -> Event:
        """Return the event. What is missing in it may be None: ``verify`` refuses it."""

    @abstractmethod
    def is_secret(self, text: str) -> bool:
        """Whether ``text`` has the shape of a secret of this sender. A system check asks."""

    def is_same_news(self, kept: Payload, sent: Payload) -> bool:
        """Whether two different bodies under one id are the same event all the same. By default they are not."""
        return False


def is_text(value: object, shape: re.Pattern[str]) -> bool:
    return isinstance(value, str) and shape.fullmatch(value) is not None
