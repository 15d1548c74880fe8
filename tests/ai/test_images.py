"""The first original's images: as many as came are paid for, five credits each."""

import pytest

from credits.models import LedgerEntry
from tests.ai.prepaid import balance, usage

MODEL = "openai/gpt-5-image-mini"


def draw(prepaid, **body):
    return prepaid.post("/api/ai/image", {"prompt": "A green square", "model": MODEL, **body})


@pytest.mark.parametrize("count", [1, 4])
def test_each_image_costs_five_credits(prepaid, simulator, account, count):
    answer = draw(prepaid, count=count)

    assert answer.status_code == 200
    assert answer.json().keys() == {"images", "credits_used"}
    assert [image[:22] for image in answer.json()["images"]] == ["data:image/png;base64,"] * count
    assert answer.json()["credits_used"] == 5 * count
    assert (answer.headers["X-Credits-Held"], answer.headers["X-Credits-Charged"]) == (str(5 * count), str(5 * count))
    assert balance(account) == (100 - 5 * count, 0)
    assert LedgerEntry.objects.filter(kind="USAGE").count() == 1
    record = usage()
    booked = simulator.ended_books()
    assert len(booked) == count
    assert record.generation_id == ",".join(sorted((entry["id"] for entry in booked), key=record.generation_id.index))
    assert record.provider_cost_picos == sum(int(float(entry["cost"]) * 10**12 + 0.5) for entry in booked)
    assert record.completion_tokens == sum(entry["completion_tokens"] for entry in booked)
    assert (record.status, record.quantity, record.feature) == ("COMPLETED", count, "ai_image_generation")


def test_provider_is_asked_for_what_was_wanted(prepaid, simulator):
    reference = "https://example.com/a.png"
    draw(prepaid, size="512x512", attachments=[{"url": reference, "name": "a"}])

    body = simulator.requests()[0]["body"]
    assert (body["model"], body["modalities"], len(body["user"])) == (MODEL, ["image", "text"], 32)
    [message] = body["messages"]
    assert message["content"][0]["text"].startswith("A green square")
    assert "512x512" in message["content"][0]["text"]
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": reference}}


@pytest.mark.parametrize(
    ("asked", "shape", "words"),
    [
        ({}, "1:1", "Size: 1024x1024 pixels."),
        ({"size": "256x256"}, "1:1", "Size: 256x256 pixels."),
        ({"size": "1536x1024"}, "3:2", "Size: 1536x1024 pixels."),
        ({"size": "1024x1536", "aspectRatio": "2:3"}, "2:3", "Size: 1024x1536 pixels."),
        ({"aspectRatio": "16:9"}, "16:9", "Aspect ratio: 16:9."),
    ],
)
def test_size_and_shape_reach_the_model_in_words_and_as_a_ratio(prepaid, simulator, asked, shape, words):
    assert draw(prepaid, **asked).status_code == 200

    body = simulator.requests()[0]["body"]
    assert body["image_config"] == {"aspect_ratio": shape}
    assert body["messages"][0]["content"] == f"A green square\n\n{words}"


@pytest.mark.parametrize(
    "asked",
    [{"size": "1024x1024", "aspectRatio": "16:9"}, {"size": "1x1"}, {"aspectRatio": "1:7"}, {"aspect": "16:9"}],
)
def test_size_that_makes_no_sense_is_refused(prepaid, simulator, account, asked):
    assert (draw(prepaid, **asked).status_code, simulator.requests()) == (400, [])
    assert balance(account) == (100, 0)


def test_model_has_a_default(prepaid, simulator, settings):
    prepaid.post("/api/ai/image", {"prompt": "A green square"})

    assert simulator.requests()[0]["body"]["model"] == settings.DEFAULT_IMAGE_MODEL


@pytest.mark.parametrize("fault", [{"images": 0}, {"status": 400}, {"reset": 1}, {"error": 0}])
def test_image_that_does_not_come_is_not_paid_for(prepaid, simulator, account, fault):
    simulator.faults(times=1, **fault)

    answer = draw(prepaid, count=3)

    assert answer.status_code == 200
    assert (len(answer.json()["images"]), answer.json()["credits_used"]) == (2, 10)
    assert (answer.headers["X-Credits-Held"], answer.headers["X-Credits-Charged"]) == ("15", "10")
    assert (usage().status, balance(account)) == ("COMPLETED", (90, 0))


def test_more_images_than_were_asked_for_cost_no_more(prepaid, simulator, account):
    simulator.faults(images=3)

    answer = draw(prepaid, count=2)

    assert len(answer.json()["images"]) == 2
    assert balance(account) == (90, 0)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"images": 0}, 502, "PROVIDER_GARBLED"),
        ({"status": 400, "message": "No such thing."}, 400, "PROVIDER_REFUSED"),
        ({"status": 402}, 503, "PROVIDER_UNFUNDED"),
        ({"status": 500}, 502, "PROVIDER_ERROR"),
        ({"garbage": 1}, 502, "PROVIDER_GARBLED"),
        ({"reset": 0}, 502, "PROVIDER_BROKE_OFF"),
        ({"error": 0, "error_code": "server_error"}, 502, "PROVIDER_ERROR"),
    ],
)
def test_drawing_that_fails_is_free(prepaid, simulator, account, fault, status, code):
    simulator.faults(**fault)

    answer = draw(prepaid, count=2)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (usage().status, usage().error_code, usage().charged) == ("FAILED", code.lower(), 0)
    assert balance(account) == (100, 0)


def test_images_are_held_for_before_the_provider_is_asked(prepaid, simulator, account):
    answer = draw(prepaid, count=4)
    for _ in range(4):
        answer = draw(prepaid, count=4)

    again = draw(prepaid, count=1)

    assert answer.status_code == 200
    assert (again.status_code, again.json()["required"], again.json()["available"]) == (402, 5, 0)
    assert len(simulator.requests()) == 20
    assert balance(account) == (0, 0)
