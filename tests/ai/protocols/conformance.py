"""
What every wire format must do. Its tests inherit ``ProtocolConformance``, or ``StreamConformance`` if it streams too,
and say how it asks, and how its answers and errors read.

A test here makes many calls, for a server and its books cost more than all of them.
"""

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import requests

from ai.gateway import ROOTS
from ai.providers.simulator.catalogue import MODELS
from billing.catalogue import Feature
from billing.listing import keep
from billing.models import Price, UsageRecord
from credits.amounts import UNIT, parse
from credits.models import Account, Hold
from credits.services import adjust
from tests.ai.prepaid import MODEL, Prepaid, assert_charged_as_booked, pending, until
from tests.simulator import RunningSimulator

#: Differs from call to call, and from one second to the next.
CHANGES = re.compile(rb'(gen-|msg_|resp_|item_)[0-9a-f]{16,}|"created(_at)?":\d+|(charged|available)=[\d.]+')
#: The credits that an answer says were charged follow its cost.
METERED = {"type": "METERED", "amount": parse("0.0001"), "rate": 100 * UNIT, "markup": 1_200_000}
PATIENCE_SECONDS = 20


def unchanging(body: bytes) -> bytes:
    return CHANGES.sub(b"", body)


@pytest.mark.usefixtures("one_database", "catalogue")
class ProtocolConformance:
    """Tests that hold for a wire format of any kind, before a simulated provider that speaks it."""

    #: Its path below each of ``ROOTS``, and the provider's.
    path: str
    simulated: str
    feature = Feature.AI_TEXT_CHAT
    model = MODEL
    #: The names of a limit of the answer's tokens; of several the last is sent where the caller sets none.
    limit_fields: tuple[str, ...] = ()
    #: A body that the format refuses, and the field that is wrong.
    wrong: dict[str, Any]
    wrong_field: str
    #: A field with no price here, and what to say there.
    unpriced: ClassVar[dict[str, Any]] = {"mcp_servers": [{"name": "x"}]}

    def body(self, **more: Any) -> dict[str, Any]:
        """A good request."""
        raise NotImplementedError

    def assert_error(self, answer: requests.Response, code: str) -> None:
        """``answer`` refuses with ``code`` in the shape that clients of this format read."""
        stated = answer.json()["error"]
        assert list(answer.json()) == ["error"]
        assert stated["code"] == code
        assert stated["message"]
        assert {"type", "param"} <= stated.keys()

    # How it asks

    @pytest.fixture
    def catalogue(self, transactional_db: None, now: Any) -> None:
        keep(MODELS, now=now)

    @pytest.fixture
    def metered(self, catalogue: None, now: Any) -> None:
        Price.objects.create(feature=self.feature, effective_at=now - timedelta(seconds=1), **METERED)

    def ask(self, prepaid: Prepaid, *, root: str = ROOTS[0], **more: Any) -> requests.Response:
        return prepaid.post(root + self.path, self.body(**more))

    def faults(self, simulator: RunningSimulator, **faults: Any) -> None:
        simulator.faults(path=self.simulated, **faults)

    def direct(self, simulator: RunningSimulator, **more: Any) -> requests.Response:
        """The provider's own answer."""
        headers = {"Authorization": "Bearer anyone"}
        url = f"{simulator.url}/{self.simulated}"
        return requests.post(url, json=self.body(**more), headers=headers, timeout=PATIENCE_SECONDS)

    # What it gets

    def test_answer_is_the_providers_at_every_path_and_charged_as_booked(self, prepaid, simulator):
        answers = [self.ask(prepaid, root=root) for root in ROOTS]

        assert_charged_as_booked(simulator)
        [booked, _] = simulator.books()
        told = answers[0].headers
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len({unchanging(answer.content) for answer in answers}) == 1
        assert unchanging(answers[0].content) == unchanging(self.direct(simulator).content)
        assert told.keys() == answers[1].headers.keys()
        assert {name.lower() for name in told} == {
            "server", "date", "content-type", "content-length", "x-request-id", "x-generation-id",
            "x-credits-held", "x-credits-charged",
        }  # fmt: skip
        assert told["X-Generation-Id"] == booked["id"]
        for record in UsageRecord.objects.all():
            assert (record.feature, record.model, record.streamed) == (self.feature, self.model, False)
            assert parse(told["X-Credits-Charged"]) == record.charged
            assert record.prompt_tokens == booked["prompt_tokens"]
            assert (record.completion_tokens or 0) == booked["completion_tokens"]

    def test_refusals_have_the_formats_shape_and_cost_nothing(self, prepaid, simulator, account, now):
        url = f"{prepaid.url}/v1/{self.path}"
        unknown = requests.post(url, json=self.body(), headers={"X-Api-Key": "wrong"}, timeout=PATIENCE_SECONDS)
        nobody = requests.post(url, json=self.body(), timeout=PATIENCE_SECONDS)
        wrong = self.ask(prepaid, **self.wrong)
        unnamed = self.ask(prepaid, model=7)
        unpriced = [self.ask(prepaid, **{name: value}) for name, value in self.unpriced.items()]
        asked_wrongly = prepaid.get(f"/v1/{self.path}")
        adjust(account=account, amount=-100 * UNIT, reference="T", memo="m", actor="system", now=now)
        prepaid.headers = {"X-Api-Key": prepaid.headers["Authorization"].removeprefix("Bearer ")}
        poor = self.ask(prepaid)

        for answer, status, code in [
            (unknown, 401, "invalid_api_key"),
            (nobody, 401, "unauthorized"),
            (wrong, 400, "validation_error"),
            (unnamed, 400, "validation_error"),
            *((answer, 400, "unpriced_field") for answer in unpriced),
            (asked_wrongly, 405, "method_not_allowed"),
            (poor, 402, "insufficient_credits"),
        ]:
            assert answer.status_code == status
            self.assert_error(answer, code)
        assert self.wrong_field in wrong.text
        assert [name in answer.text for name, answer in zip(self.unpriced, unpriced, strict=True)] == [True] * len(
            unpriced
        )
        assert poor.headers["x-should-retry"] == "false"
        assert poor.json()["error"]["available"] == 0
        assert simulator.requests() == []
        assert not UsageRecord.objects.exists()
        assert not Hold.objects.exists()

    def test_failures_of_the_provider_have_the_formats_shape_and_cost_nothing(
        self, prepaid, simulator, account, settings
    ):
        settings.PROVIDER_RETRY_SECONDS = 0  # each failure is the call's last
        expected = [
            ({"status": 400, "message": "No."}, 400, "provider_refused"),
            ({"status": 402}, 503, "provider_unfunded"),
            ({"status": 429, "retry_after": 7}, 503, "provider_busy"),
            ({"status": 500}, 502, "provider_error"),
            ({"error": 0}, 502, "provider_error"),
            ({"garbage": 1}, 502, "provider_garbled"),
        ]
        for fault, status, code in expected:
            self.faults(simulator, times=1, **fault)
            answer = self.ask(prepaid)

            assert answer.status_code == status
            self.assert_error(answer, code)
            assert answer.headers.get("Retry-After") == ("7" if "retry_after" in fault else None)
        until(lambda: not pending())
        account.refresh_from_db()
        assert account.balance == 100 * UNIT
        assert {record.status for record in UsageRecord.objects.all()} == {"FAILED"}

    def test_what_it_does_not_know_passes_and_usage_that_is_missing_is_asked_for(self, prepaid, simulator):
        self.faults(simulator, usage="none")

        answer = self.ask(prepaid, user="ada@example.com", a_field_of_next_year={"deep": [1, 2]})

        sent = simulator.requests()[0]["body"]
        assert answer.status_code == 200
        assert sent["a_field_of_next_year"] == {"deep": [1, 2]}
        assert "ada" not in json.dumps(sent)
        assert {name: sent[name] for name in self.body()} == self.body()
        assert_charged_as_booked(simulator)
        assert UsageRecord.objects.get().charged > 0

    def test_metered_call_is_held_clamped_and_charged_by_its_cost(self, prepaid, metered, simulator, account, now):
        held = {limit: self.ask(prepaid, **self.limit_of(limit)) for limit in (100, 200)}

        sent = [request["body"] for request in simulator.requests()]
        assert_charged_as_booked(simulator)
        for record in UsageRecord.objects.all():
            assert (record.cost_report, record.shortfall) == ("REPORTED", 0)
            assert 0 < record.charged <= record.held
        if self.limit_fields:
            for limit, body in zip(held, sent, strict=True):
                assert {name: body[name] for name in body if name.startswith("max_")} == self.limit_of(limit)
                assert body["provider"]["max_price"]["completion"] == "0.6"
            more = parse(held[200].headers["X-Credits-Held"]) - parse(held[100].headers["X-Credits-Held"])
            assert more == 100 * Decimal("0.0000006") * 120 * UNIT

            leave = parse("0.2") - account_of(account).balance
            adjust(account=account, amount=leave, reference="T", memo="m", actor="system", now=now)
            answer = self.ask(prepaid, **self.limit_of(16_384))

            most = int(answer.headers["X-Max-Tokens-Clamped"])
            assert 64 <= most < 16_384
            assert simulator.requests()[-1]["body"][self.limit_fields[0]] == most

    def limit_of(self, tokens: int) -> dict[str, int]:
        return dict.fromkeys(self.limit_fields[:1], tokens)


class StreamConformance(ProtocolConformance):
    """And for a format that streams."""

    #: What the end of a whole stream has.
    end: bytes
    #: The fault of a long answer, which a client can hang up on.
    long: ClassVar = {"chunks": 400, "interval_ms": 5}

    def assert_failure(self, body: bytes, code: str) -> None:
        """``body`` is a stream that ends with ``code`` as its error."""
        *_, last, done = [part for part in body.replace(b"\r\n", b"\n").split(b"\n\n") if part]
        assert done == b"data: [DONE]"
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == code

    def stream(self, prepaid: Prepaid, **more: Any) -> requests.Response:
        return self.ask(prepaid, stream=True, **more)

    def test_stream_is_the_providers_at_every_path_and_charged_as_booked(self, prepaid, simulator):
        answers = [self.stream(prepaid, root=root) for root in ROOTS]

        assert_charged_as_booked(simulator)
        [booked, _] = simulator.books()
        whole, comment = answers[0].content.rsplit(b": credits", 1)
        assert re.fullmatch(rb" charged=[\d.]+ available=[\d.]+ currency=credits\n\n", comment)
        assert unchanging(whole) == unchanging(self.direct(simulator, stream=True).content)
        assert len({unchanging(answer.content) for answer in answers}) == 1
        assert {name.lower() for name in answers[0].headers} == {
            "server", "date", "transfer-encoding", "content-type", "cache-control", "x-accel-buffering",
            "x-request-id", "x-generation-id", "x-credits-held",
        }  # fmt: skip
        for record in UsageRecord.objects.all():
            assert (record.feature, record.model, record.streamed) == (self.feature, self.model, True)
            assert f"charged={record.charged / UNIT:g} ".encode() in comment
            assert (record.prompt_tokens, record.completion_tokens) == (
                booked["prompt_tokens"],
                booked["completion_tokens"],
            )

    def test_stream_cut_anywhere_and_ended_oddly_is_charged_as_booked(self, prepaid, simulator, account):
        for fault in [{"drip_ms": 0}, {"split": 1}, {"crlf": 1}, {"usage": "repeated"}, {"usage": "none"}]:
            self.faults(simulator, times=1, chunks=3, **fault)
            answer = self.stream(prepaid)

            assert self.end in answer.content
            # Where the usage came, nobody had to be asked.
            assert (b": credits charged=" in answer.content) is (fault != {"usage": "none"})
        assert_charged_as_booked(simulator)
        self.faults(simulator, times=1, chunks=3, no_id=1)
        assert b": credits charged=" in self.stream(prepaid).content

    def test_stream_that_fails_ends_with_an_error_of_its_format_and_is_free(self, prepaid, simulator, account):
        self.faults(simulator, times=1, error=1, chunks=3, message="Sorry")
        told = self.stream(prepaid)
        self.faults(simulator, times=1, truncate=1, chunks=3)
        cut = self.stream(prepaid)
        self.faults(simulator, times=1, error=1, error_code="402", chunks=3, message="acme@example.com has no credits")
        ours = self.stream(prepaid)

        assert (told.status_code, b"Sorry" in told.content) == (200, True)
        self.assert_failure(cut.content, "provider_broke_off")
        self.assert_failure(ours.content, "provider_unfunded")
        assert b"acme" not in ours.content
        assert_charged_as_booked(simulator)
        codes = {record.error_code: record.charged for record in UsageRecord.objects.all()}
        assert codes.keys() == {"provider_error", "provider_broke_off", "provider_unfunded"}
        assert codes["provider_error"] == codes["provider_unfunded"] == 0

    def test_client_that_hangs_up_is_charged_as_booked(self, prepaid, simulator):
        self.faults(simulator, **self.long)

        answer = prepaid.post(f"/v1/{self.path}", self.body(stream=True), stream=True)
        answer.raw.read1(300)
        answer.raw.close()
        answer.close()

        assert_charged_as_booked(simulator)
        assert simulator.books()[0]["cancelled"]


def account_of(account: Account) -> Account:
    account.refresh_from_db()
    return account
