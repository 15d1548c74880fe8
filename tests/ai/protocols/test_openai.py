"""OpenAI's formats conform, with what each has for itself."""

import base64
import struct
from typing import Any

import pytest
from openai import OpenAI

from billing.catalogue import Feature
from billing.models import Price, UsageRecord
from credits.amounts import UNIT
from tests.ai.prepaid import QUESTION, until, usage
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
