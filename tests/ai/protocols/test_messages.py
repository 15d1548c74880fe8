"""Anthropic's format conforms, with what it has for itself."""

import json
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import requests

from ai.protocols.messages import MessagesScanner
from ai.providers.base import CostReport
from billing.models import UsageRecord
from tests.ai.prepaid import QUESTION, assert_charged_as_booked
from tests.ai.protocols.conformance import StreamConformance

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    405: "invalid_request_error",
    502: "api_error",
    503: "overloaded_error",
}


class TestMessages(StreamConformance):
    path = simulated = "messages"
    limit_fields = ("max_tokens",)
    wrong, wrong_field = {"messages": []}, "messages"
    end = b'"type":"message_stop"'
    unpriced: ClassVar = {
        "mcp_servers": [{"name": "x"}],
        "container": "c_1",
        "speed": "fast",
        "context_management": {"edits": [{"type": "compact_20260112"}]},
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    }

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, "system": "Be brief.", "messages": QUESTION, "max_tokens": 500, **more}

    def assert_error(self, answer: requests.Response, code: str) -> None:
        told = answer.json()
        assert told.keys() == {"type", "error", "request_id"}
        assert (told["type"], told["request_id"]) == ("error", answer.headers["X-Request-Id"])
        assert (told["error"]["type"], told["error"]["code"]) == (KINDS[answer.status_code], code)
        assert told["error"]["message"]

    def assert_failure(self, body: bytes, code: str) -> None:
        last = body.rstrip().rpartition(b"event: error\ndata: ")[2]
        assert json.loads(last)["error"]["code"] == code

    def test_own_tools_and_headers_of_its_clients_are_accepted(self, prepaid, simulator):
        tools = [{"name": "weather", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}]
        headers = {"anthropic_version": "2023-06-01", "anthropic_beta": "tools-2024-04-04"}

        answer = prepaid.post("/v1/messages", self.body(tools=tools), **headers)

        sent = simulator.requests()[-1]
        assert answer.status_code == 200
        assert sent["body"]["tools"] == tools
        assert not [name for name, _ in sent["headers"] if name.startswith("anthropic")]

    def test_fallbacks_are_priced_and_sent_as_models(self, prepaid, metered, simulator):
        unknown = self.ask(prepaid, fallbacks=[{"model": "anthropic/claude-99"}])
        known = self.ask(prepaid, fallbacks=[{"model": "openai/gpt-4o"}])
        both = self.ask(prepaid, fallbacks=[{"model": "openai/gpt-4o"}], models=["openai/gpt-4o"])

        assert (unknown.status_code, known.status_code, both.status_code) == (503, 200, 400)
        [request] = simulator.requests()
        assert request["body"]["models"] == ["openai/gpt-4o"]
        assert "fallbacks" not in request["body"]

    @pytest.mark.parametrize("stream", [False, True])
    def test_usage_without_a_cost_is_asked_for(self, prepaid, metered, simulator, stream):
        self.faults(simulator, cost="absent")

        self.ask(prepaid, stream=stream)

        assert_charged_as_booked(simulator)
        assert UsageRecord.objects.get().cost_report == "REPORTED"


def sse(**event: Any) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def test_what_was_read_and_what_was_written_are_one_usage() -> None:
    scanner = MessagesScanner()
    begun = {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}
    scanner.feed(sse(type="message_start", message={"model": "m", "usage": begun}))
    scanner.feed(sse(type="content_block_delta", delta={"text": 'They say "message_stop" and "usage".'}))
    before = (scanner.usage, scanner.is_done, scanner.has_ended)
    scanner.feed(sse(type="message_delta", usage={"input_tokens": None, "output_tokens": 7, "cost": 0.25}))
    scanner.feed(sse(type="message_stop"))

    assert before == (None, False, False)
    assert scanner.usage is not None
    assert (scanner.usage.prompt_tokens, scanner.usage.completion_tokens, scanner.usage.cached_tokens) == (125, 7, 100)
    assert (scanner.usage.cost, scanner.usage.cost_report) == (Decimal("0.25"), CostReport.REPORTED)
    assert (scanner.usage.model, scanner.is_done) == ("m", True)
