"""OpenAI's formats conform, with what each has for itself."""

import base64
import json
import re
import struct
from typing import Any, ClassVar

import pytest
from openai import OpenAI

from ai.protocols.responses import ResponsesScanner
from billing.catalogue import Feature
from billing.models import Price, UsageRecord
from credits.amounts import UNIT
from tests.ai.prepaid import QUESTION, assert_charged_as_booked, until, usage
from tests.ai.protocols.conformance import ProtocolConformance, StreamConformance


class TestChatCompletions(StreamConformance):
    path = simulated = "chat/completions"
    limit_fields = ("max_completion_tokens", "max_tokens")
    wrong, wrong_field = {"messages": []}, "messages"
    end = b"data: [DONE]"

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, "messages": QUESTION, **more}


class TestCompletions(StreamConformance):
    path = simulated = "completions"
    limit_fields = ("max_tokens",)
    wrong, wrong_field = {"prompt": []}, "prompt"
    end = b"data: [DONE]"

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, "prompt": "What is a ledger?", **more}

    def test_each_prompt_is_completed_and_charged(self, prepaid):
        self.ask(prepaid, prompt=["One", "two", "three"], n=2)

        assert (usage().quantity, usage().charged) == (6, 6 * UNIT)

    @pytest.mark.parametrize("prompt", [None, 7, "", [], ["One", ""], ["One", 2], ["x"] * 2049])
    def test_prompt_that_is_none_is_refused(self, prepaid, prompt):
        answer = self.ask(prepaid, prompt=prompt)

        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")


class TestEmbeddings(ProtocolConformance):
    path = simulated = "embeddings"
    feature = Feature.AI_EMBEDDING
    model = "openai/text-embedding-3-small"
    wrong, wrong_field = {"input": []}, "input"

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, "input": "What is a ledger?", **more}

    @pytest.mark.parametrize(
        ("given", "texts"),
        [("One", 1), (["One", "two"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), ([{"content": []}], 1)],
    )
    def test_each_text_is_a_unit_of_a_fixed_price(self, prepaid, given, texts):
        Price.objects.create(feature=self.feature, amount=UNIT)

        self.ask(prepaid, input=given)

        assert (usage().quantity, usage().charged) == (texts, texts * UNIT)

    def test_texts_that_fill_the_context_each_are_held_for(self, prepaid):
        texts = ["x" * 9_000] * 3

        held = [self.ask(prepaid, input=each).headers["X-Credits-Held"] for each in (texts, texts[:1])]

        assert float(held[0]) == pytest.approx(3 * float(held[1]), rel=0.01)

    def test_text_that_gets_no_vector_is_not_charged(self, prepaid, simulator):
        Price.objects.create(feature=self.feature, amount=UNIT)
        self.faults(simulator, chunks=2)

        self.ask(prepaid, input=["One", "two", "three"])

        assert (usage().quantity, usage().charged) == (2, 2 * UNIT)

    def test_answer_without_vectors_is_free(self, prepaid, simulator):
        simulator.faults(path=self.simulated, empty=1)

        self.ask(prepaid)

        until(UsageRecord.objects.exists)
        assert (usage().charged, usage().error_code) == (0, "empty_answer")

    def test_openais_client_gets_vectors(self, prepaid, simulator):
        with OpenAI(base_url=f"{prepaid.url}/v1", api_key=prepaid.headers["Authorization"][7:]) as client:
            answer = client.embeddings.create(model=self.model, input=["One", "two"])

        plain = self.direct(simulator, input=["One", "two"], encoding_format="base64").json()["data"]
        assert [each.embedding for each in answer.data] == [
            list(struct.unpack("<8f", base64.b64decode(each["embedding"]))) for each in plain
        ]
        assert answer.usage.prompt_tokens == 2


class TestResponses(StreamConformance):
    path = simulated = "responses"
    limit_fields = ("max_output_tokens",)
    wrong, wrong_field = {"input": []}, "input"
    end = b'"type":"response.completed"'
    unpriced: ClassVar = {
        "background": True,
        "conversation": "conv_1",
        "previous_response_id": "resp_1",
        "prompt": {"id": "pmpt_1"},
        "context_management": [{"type": "compaction"}],
        "service_tier": "priority",
        "tools": [{"type": "web_search"}],
    }

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, "input": "What is a ledger?", **more}

    def assert_failure(self, body: bytes, code: str) -> None:
        head, _, last = body.rstrip().rpartition(b"event: error\ndata: ")
        stated = json.loads(last)
        numbers = re.findall(rb'"sequence_number":(\d+)', head)
        assert (stated["type"], stated["code"], stated["param"]) == ("error", code, None)
        assert stated["sequence_number"] == (int(numbers[-1]) + 1 if numbers else 0)

    @pytest.mark.parametrize("kind", ["web_search", "file_search", "code_interpreter", "mcp", "image_generation"])
    def test_tools_that_the_provider_runs_are_refused_by_name(self, prepaid, simulator, kind):
        answer = self.ask(prepaid, tools=[{"type": "function", "name": "f"}, {"type": kind}])

        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[1]")
        assert simulator.requests() == []

    def test_answer_that_is_cut_short_is_charged_as_booked(self, prepaid, simulator):
        self.stream(prepaid, max_output_tokens=3)

        assert_charged_as_booked(simulator)
        assert usage().completion_tokens == 3

    def test_openais_client_gets_the_text_and_the_cost(self, prepaid):
        with OpenAI(base_url=f"{prepaid.url}/v1", api_key=prepaid.headers["Authorization"][7:]) as client:
            whole = client.responses.create(**self.body())
            with client.responses.stream(**self.body()) as stream:
                text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
                final = stream.get_final_response()

        assert whole.output_text == text == final.output_text
        assert final.usage.output_tokens == whole.usage.output_tokens > 0


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        ("completed", None, None),
        ("incomplete", None, None),
        ("failed", None, {"error_type": "server", "message": "failed"}),
        ("failed", {"code": "x"}, {"error_type": "server", "code": "x"}),
    ],
)
def test_response_that_has_ended_is_the_end_with_usage_or_without(status, error, failure):
    response = {"status": status, "error": error, "error_type": "server", "usage": None}
    scanner = ResponsesScanner()
    scanner.feed(b'data: {"type":"response.created","response":{"status":"in_progress","error":null,"usage":null}}\n\n')
    before = scanner.has_ended
    scanner.feed(f"data: {json.dumps({'type': f'response.{status}', 'response': response})}\n\n".encode())

    assert (before, scanner.is_done, scanner.usage, scanner.error) == (False, True, None, failure)


@pytest.mark.parametrize("told", [{"code": "server_error", "message": "x"}, {"error": {"code": 502}}])
def test_event_that_is_an_error_is_one(told):
    scanner = ResponsesScanner()
    scanner.feed(f"data: {json.dumps({'type': 'error', **told})}\n\n".encode())

    assert scanner.error is not None
    assert scanner.usage is None
