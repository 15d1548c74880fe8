"""Images conform, with what they have for themselves."""

import base64
from typing import Any, ClassVar

import pytest
import requests
from openai import OpenAI

from billing.catalogue import Feature
from billing.models import UsageRecord
from credits.amounts import UNIT
from tests.ai.prepaid import Prepaid, assert_charged_as_booked, usage
from tests.ai.protocols.conformance import StreamConformance, unchanging

PNG = b"\x89PNG\r\n\x1a\n"


class TestImages(StreamConformance):
    path = simulated = "images"
    feature = Feature.AI_IMAGE_GENERATION
    model = "openai/gpt-5-image-mini"
    wrong, wrong_field = {"prompt": ""}, "prompt"
    end = b'"type":"image_generation.completed"'
    unpriced: ClassVar = {"provider": {"options": {"openai": {"steps": 1000}}}}
    long: ClassVar = {"chunks": 200, "interval_ms": 10}

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, "prompt": "A lighthouse at dusk", **more}

    def test_images_that_do_not_come_are_not_charged(self, prepaid, simulator):
        for stream, fault in [(False, {}), (True, {}), (False, {"usage": "none"}), (True, {"usage": "none"})]:
            self.faults(simulator, images=3, times=1, **fault)
            answer = self.ask(prepaid, n=4, stream=stream)

            assert answer.headers["X-Credits-Held"] == "20"
        assert_charged_as_booked(simulator)
        records = UsageRecord.objects.all()
        assert [(record.quantity, record.charged) for record in records] == [(3, 15 * UNIT)] * 4

    def test_answer_without_an_image_is_free(self, prepaid, simulator):
        self.faults(simulator, empty=1)

        self.ask(prepaid)

        assert (usage().charged, usage().error_code) == (0, "empty_answer")

    def test_provider_is_told_only_what_this_path_knows(self, prepaid, metered, simulator):
        self.ask(prepaid, provider={"only": ["openai"]}, response_format="b64_json")

        assert simulator.requests()[-1]["body"] == self.body(provider={"only": ["openai"]})


# Where OpenAI's clients look for them


def ask(prepaid: Prepaid, path: str, **more: Any) -> requests.Response:
    return prepaid.post(path, TestImages().body(**more))


@pytest.mark.usefixtures("one_database")
def test_both_paths_are_one(prepaid, simulator):
    for stream in (False, True):
        here, there = (ask(prepaid, f"/v1/{path}", stream=stream) for path in ("images", "images/generations"))

        assert (here.status_code, here.headers.keys()) == (there.status_code, there.headers.keys())
        assert unchanging(here.content) == unchanging(there.content)
    assert_charged_as_booked(simulator)


@pytest.mark.usefixtures("one_database")
def test_what_cannot_be_had_is_refused_by_name(prepaid):
    for wrong in [{"response_format": "url"}, {"n": 11}, {"n": 0}, {"stream": "yes"}]:
        answer = ask(prepaid, "/v1/images/generations", **wrong)

        assert (answer.status_code, answer.json()["error"]["param"]) == (400, *wrong)


@pytest.mark.usefixtures("one_database")
def test_openais_client_gets_images_whole_and_in_parts(prepaid):
    body = TestImages().body
    with OpenAI(base_url=f"{prepaid.url}/v1", api_key=prepaid.headers["Authorization"][7:]) as client:
        whole = client.images.generate(**body(n=2))
        events = list(client.images.generate(**body(stream=True, partial_images=2)))

    assert [base64.b64decode(image.b64_json)[:8] for image in whole.data] == [PNG] * 2
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert base64.b64decode(events[-1].b64_json).startswith(PNG)
