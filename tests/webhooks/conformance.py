"""What every source of webhooks must do. The tests of a source inherit from ``SourceConformance``."""

import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.errors import PrepaidError
from accounts.models import Customer
from webhooks.errors import InvalidSignature
from webhooks.models import InboundEvent
from webhooks.sources import SOURCES
from webhooks.sources.base import Payload, Source

TYPE = "conformance.effect"
EVENT_ID = "evt_conformance1"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEXT_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PRIVATE = "ada@example.com"
MARK = "an effect"

MALFORMED_BODIES = [
    b"", b" ", b"{", b"[]", b"null", b'"text"', b"17", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}{}", b"\x00", b"NaN",
    b'{"id": "evt_a", "id": "evt_b", "type": "a"}', b'{"a": ' * 100 + b"1" + b"}" * 100, b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}', b'{"a": 1e999}', b'{"a": Infinity}',
]  # fmt: skip
NO_EVENTS = [{}, {"id": None, "type": None}, {"id": "", "type": ""}, {"id": 7, "type": 7}, {"id": ["a"], "type": {}}]
UNSUITABLE_TYPES = ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]

CHARACTERS = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")


class Effect:
    """A handler that leaves a mark in the database, and fails while ``broken``."""

    broken = False

    def __call__(self, payload: Payload, *, now: datetime) -> str:
        Customer.objects.create(kind=Customer.Kind.TEAM, name=MARK)
        if self.broken:
            raise ValueError(f"cannot handle the event of {PRIVATE}")
        return "left a mark"

    @property
    def count(self) -> int:
        return Customer.objects.filter(name=MARK).count()


@pytest.mark.django_db
class SourceConformance(ABC):
    source: ClassVar[Source]

    @abstractmethod
    def sign(self, body: bytes, *, at: datetime, secret: str = SECRET, event_id: str = EVENT_ID) -> dict[str, str]:
        """Return the headers with which this sender sends ``body``."""

    @abstractmethod
    def body(self, type: str = TYPE, event_id: str = EVENT_ID, **more: Any) -> bytes:
        """Return an event as this sender writes it."""

    @abstractmethod
    def malformed(self, headers: dict[str, str]) -> list[dict[str, str]]:
        """Return spoilt versions of the genuine ``headers``."""

    @pytest.fixture(autouse=True)
    def _configured(self, settings: Any) -> None:
        setattr(settings, self.source.secrets_setting, [SECRET])

    @pytest.fixture
    def effect(self, monkeypatch: pytest.MonkeyPatch) -> Effect:
        effect = Effect()
        monkeypatch.setitem(self.source.handlers, TYPE, effect)
        return effect

    def post(
        self, body: bytes, headers: dict[str, str], content_type: str = "application/json", query: str = ""
    ) -> Any:
        client = APIClient(raise_request_exception=False)
        path = f"/api/webhooks/{self.source.name}{query}"
        return client.generic("POST", path, body, content_type=content_type, headers=headers)

    def send(self, body: bytes, **terms: Any) -> Any:
        return self.post(body, self.sign(body, **{"at": timezone.now(), **terms}))

    def assert_refused(self, response: Any, status: int, code: str) -> None:
        answer = response.json()
        assert (response.status_code, answer["code"]) == (status, code.upper()), answer
        assert answer["requestId"] == response["X-Request-Id"]
        assert InboundEvent.objects.count() == 0

    def test_it_is_registered_under_its_name(self):
        assert SOURCES[self.source.name] is self.source

    def test_genuine_event_is_kept_and_handled(self, effect: Effect):
        body = self.body()

        response = self.send(body)

        assert (response.status_code, response.json()) == (200, {"received": True})
        kept = InboundEvent.objects.get()
        assert (kept.source, kept.event_id, kept.type) == (self.source.name, EVENT_ID, TYPE)
        assert (kept.payload.encode(), kept.status, kept.attempts) == (body, InboundEvent.Status.HANDLED, 1)
        assert kept.handled_at is not None
        assert effect.count == 1

    def test_sender_may_accept_any_media_type(self, effect: Effect):
        headers = self.sign(self.body(), at=timezone.now()) | {"accept": "text/html"}

        assert self.post(self.body(), headers).status_code == 200

    def test_delivery_again_has_no_second_effect(self, effect: Effect):
        body = self.body()

        statuses = [self.send(body, at=timezone.now() + timedelta(seconds=late)).status_code for late in (0, 0, 60)]

        assert statuses == [200, 200, 200]
        assert (effect.count, InboundEvent.objects.get().attempts) == (1, 1)

    @pytest.mark.django_db(transaction=True)
    def test_eight_deliveries_at_once_have_one_effect(self, effect: Effect):
        body = self.body()

        statuses = at_once([lambda: self.send(body).status_code] * 8)

        assert statuses == [200] * 8
        assert (effect.count, InboundEvent.objects.get().status) == (1, InboundEvent.Status.HANDLED)

    def test_forged_signature_is_refused(self, effect: Effect):
        self.assert_refused(self.send(self.body(), secret=NEXT_SECRET), 400, "invalid_signature")

    def test_changed_body_is_refused(self, effect: Effect):
        headers = self.sign(self.body(), at=timezone.now())

        self.assert_refused(self.post(self.body() + b" ", headers), 400, "invalid_signature")

    @pytest.mark.parametrize("seconds", [-301, 301, -86400, 31_536_000])
    def test_signature_outside_five_minutes_is_refused_in_both_directions(self, seconds: int, now: datetime):
        now = now.replace(microsecond=0)
        body = self.body()
        headers = self.sign(body, at=now + timedelta(seconds=seconds))

        with pytest.raises(InvalidSignature):
            self.source.verify(body, headers, now=now)

    @pytest.mark.parametrize("seconds", [-300, 0, 300])
    def test_signature_within_five_minutes_is_accepted(self, seconds: int, now: datetime):
        now = now.replace(microsecond=0)
        body = self.body()

        event = self.source.verify(body, self.sign(body, at=now + timedelta(seconds=seconds)), now=now)

        assert (event.id, event.type, event.payload) == (EVENT_ID, TYPE, json.loads(body))

    def test_malformed_headers_are_refused(self):
        body = self.body()
        genuine = self.sign(body, at=timezone.now())

        for headers in [{}, *({**genuine, name: ""} for name in genuine), *self.malformed(genuine)]:
            self.assert_refused(self.post(body, headers), 400, "invalid_signature")

    @pytest.mark.parametrize("body", MALFORMED_BODIES)
    def test_signed_garbage_is_refused(self, body: bytes):
        response = self.send(body)

        assert (response.status_code, InboundEvent.objects.count()) == (400, 0)

    @pytest.mark.parametrize("body", MALFORMED_BODIES)
    def test_garbage_is_not_read_before_its_signature_is_checked(self, body: bytes):
        self.assert_refused(self.send(body, secret=NEXT_SECRET), 400, "invalid_signature")

    @pytest.mark.parametrize("payload", NO_EVENTS)
    def test_signed_json_that_is_no_event_is_refused(self, payload: dict[str, Any]):
        self.assert_refused(self.send(json.dumps(payload).encode()), 400, "invalid_event")

    @pytest.mark.parametrize("content_type", UNSUITABLE_TYPES)
    def test_body_that_is_not_declared_as_json_is_refused(self, content_type: str):
        headers = self.sign(self.body(), at=timezone.now())

        self.assert_refused(self.post(self.body(), headers, content_type), 415, "unsupported_media_type")

    def test_compressed_body_is_refused(self):
        headers = self.sign(self.body(), at=timezone.now()) | {"content-encoding": "gzip"}

        self.assert_refused(self.post(self.body(), headers), 415, "unsupported_media_type")

    def test_body_of_more_than_256_kib_is_refused(self):
        largest = self.body().ljust(256 * 1024)

        self.assert_refused(self.send(largest + b" "), 413, "request_body_too_large")
        assert self.send(largest).status_code == 200

    def test_event_of_unknown_type_is_kept_and_ignored(self):
        response = self.send(self.body(type="conformance.unknown"))

        assert response.status_code == 200
        assert InboundEvent.objects.get().status == InboundEvent.Status.IGNORED

    def test_event_whose_handler_fails_is_kept_and_handled_at_the_next_try(self, effect: Effect):
        effect.broken = True
        failure = self.send(self.body())
        failed = InboundEvent.objects.get()
        marks = effect.count
        effect.broken = False
        success = self.send(self.body())
        handled = InboundEvent.objects.get()

        assert (failure.status_code, failure.json()["code"], marks) == (500, "WEBHOOK_NOT_HANDLED", 0)
        assert (failed.status, failed.attempts, failed.handled_at) == (InboundEvent.Status.FAILED, 1, None)
        assert failed.error.startswith("ValueError in tests.webhooks.conformance:")
        assert (success.status_code, effect.count) == (200, 1)
        assert (handled.status, handled.attempts, handled.error) == (InboundEvent.Status.HANDLED, 2, "")

    def test_failure_tells_nobody_whose_event_it_was(self, effect: Effect):
        effect.broken = True

        response = self.send(self.body())

        assert PRIVATE not in response.content.decode() + InboundEvent.objects.get().error

    def test_another_body_under_a_known_id_is_noted_and_has_no_effect(
        self, effect: Effect, caplog: pytest.LogCaptureFixture
    ):
        self.send(self.body())
        first = InboundEvent.objects.get()

        statuses = [self.send(self.body(forged="yes")).status_code for _ in range(2)]

        kept = InboundEvent.objects.get()
        alarms = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert (statuses, effect.count, len(alarms)) == ([200, 200], 1, 1)
        assert (kept.payload, kept.payload_digest) == (first.payload, first.payload_digest)
        assert len(kept.conflicting_digest) == 64

    def test_both_secrets_are_good_while_they_are_rotated(self, effect: Effect, settings: Any):
        setattr(settings, self.source.secrets_setting, ["not base64 at all!", NEXT_SECRET, SECRET])

        statuses = [
            self.send(self.body(event_id=f"evt_{number}"), secret=secret, event_id=f"evt_{number}").status_code
            for number, secret in enumerate([SECRET, NEXT_SECRET])
        ]

        assert (statuses, effect.count) == ([200, 200], 2)

    @pytest.mark.parametrize("secrets", [[], [""], [" "]])
    def test_without_a_secret_there_is_no_endpoint(self, secrets: list[str], settings: Any):
        setattr(settings, self.source.secrets_setting, secrets)

        self.assert_refused(self.send(self.body(), secret=""), 404, "webhook_not_configured")

    def test_it_knows_a_secret_when_it_sees_one(self):
        others = ["", "whsec_", "whsec_short", "sk_live_123", "whsec_ä" + "a" * 30, f"{SECRET} "]

        assert [text for text in [SECRET, *others] if self.source.is_secret(text)] == [SECRET]

    @given(data=st.data())
    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
        max_examples=150,
    )
    def test_whatever_a_stranger_sends_is_refused_and_nothing_else(self, data: st.DataObject):
        genuine = self.body()
        body = data.draw(st.binary(max_size=200) | st.just(genuine) | spoilt(genuine.decode()).map(str.encode))
        signed = self.sign(genuine, at=timezone.now())
        text = st.text(CHARACTERS, max_size=300)
        headers = {name: data.draw(st.just(value) | spoilt(value) | text) for name, value in signed.items()}
        content_type = data.draw(st.sampled_from(["application/json", "application/json; charset=utf-8"]) | text)
        if (body, headers) == (genuine, signed):
            headers = {}

        response = self.post(body, headers, content_type)

        assert response.status_code in {400, 413, 415}
        assert InboundEvent.objects.count() == 0

    def test_verifying_raises_answers_only(self, now: datetime):
        for headers in self.malformed(self.sign(self.body(), at=now)):
            with pytest.raises(PrepaidError):
                self.source.verify(self.body(), headers, now=now)


def at_once(deliveries: list[Callable[[], Any]]) -> list[Any]:
    """Run each of ``deliveries`` in a thread of its own, all starting together, and return their results."""
    start = threading.Barrier(len(deliveries))

    def run(deliver: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return deliver()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(deliveries)) as pool:
        return list(pool.map(run, deliveries))


def spoilt(text: str) -> st.SearchStrategy[str]:
    """``text`` with one character replaced, or some inserted or left out."""
    at = st.integers(0, len(text) - 1)
    return st.builds(
        lambda start, length, more: text[:start] + more + text[start + length :],
        at,
        st.integers(0, 3),
        st.text(CHARACTERS, max_size=3),
    ).filter(lambda changed: changed != text)
