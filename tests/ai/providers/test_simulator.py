"""The simulator keeps true books, and obeys its faults."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from ai.providers.simulator import catalogue
from ai.providers.simulator.faults import BEFORE_HEADERS, Faults
from tests.simulator import RunningSimulator

MODEL = "openai/gpt-4o-mini"
KEY = {"Authorization": "Bearer any"}
MANAGE = Path(__file__).resolve().parents[3] / "manage.py"


def ask(
    simulator: RunningSimulator, *, model: str = MODEL, question: str = "How are you?", timeout: float = 5, **more: Any
) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": question}], **more}
    response = requests.post(f"{simulator.url}/chat/completions", json=body, headers=KEY, timeout=timeout)
    response.encoding = "utf-8"
    return response


def get(simulator: RunningSimulator, path: str, **query: str) -> Any:
    return requests.get(f"{simulator.url}/{path}", params=query, headers=KEY, timeout=5)


def events_of(response: requests.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]


# Answers


def test_answer_has_openrouters_shape_and_costs_by_its_words(simulator):
    answer = ask(simulator, question="one two three").json()

    words = len(answer["choices"][0]["message"]["content"].split())
    assert list(answer) == ["id", "object", "created", "model", "provider", "choices", "system_fingerprint", "usage"]
    assert answer["system_fingerprint"] is None
    assert answer["usage"]["prompt_tokens"] == 3
    assert answer["usage"]["completion_tokens"] == words
    [entry] = simulator.books()
    assert Decimal(entry["cost"]) == 3 * Decimal("0.00000015") + words * Decimal("0.0000006")


def test_stream_says_the_same_as_the_plain_answer_and_reports_usage_once(simulator):
    plain = ask(simulator).json()

    streamed = ask(simulator, stream=True)

    events = events_of(streamed)
    assert streamed.text.startswith(": OPENROUTER PROCESSING\n\n")
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert (
        "".join(c["delta"]["content"] for e in events for c in e["choices"])
        == plain["choices"][0]["message"]["content"]
    )
    assert [event["usage"] for event in events if "usage" in event] == [plain["usage"]]
    assert events[-1]["choices"] == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
def test_limit_of_tokens_cuts_the_answer_and_its_cost(simulator, name, stream):
    response = ask(simulator, stream=stream, **{name: 4})

    assert '"finish_reason":"length"' in response.text
    assert simulator.books()[0]["completion_tokens"] == 4


def test_empty_answer_costs_nothing(simulator):
    answer = ask(simulator, model=f"{MODEL}?empty=1").json()

    assert answer["choices"][0]["finish_reason"] is None
    assert answer["usage"]["completion_tokens"] == 0
    assert answer["usage"]["cost"] == 0
    assert simulator.books()[0]["cost"] == "0"


@pytest.mark.parametrize("stream", [False, True])
def test_image_model_answers_with_a_picture(simulator, stream):
    response = ask(
        simulator, model="google/gemini-2.5-flash-image-preview", stream=stream, modalities=["image", "text"]
    )

    parts = (
        [choice["delta"] for event in events_of(response) for choice in event["choices"]]
        if stream
        else [response.json()["choices"][0]["message"]]
    )
    [image] = [image for part in parts for image in part.get("images", [])]
    png = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", png[16:24])
    pixels = zlib.decompress(png[png.index(b"IDAT") + 4 :])
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(pixels) == height * (width * 3 + 1)
    assert simulator.books()[0]["images"] == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"model": "nobody/nothing"}, 400),
        ({"messages": []}, 400),
        ({"max_tokens": 0}, 400),
        ({"modalities": ["image"]}, 404),
        ({"model": f"{MODEL}?no_such_fault=1"}, 400),
        ({"model": f"{MODEL}?chunks=many"}, 400),
    ],
)
def test_wrong_request_is_refused_and_not_booked(simulator, request_, status):
    response = ask(simulator, **request_)

    assert response.status_code == status
    assert response.json()["error"]["code"] == status
    assert simulator.books() == []


def test_request_without_a_key_is_refused(simulator):
    response = requests.get(f"{simulator.url}/models", headers={"Authorization": "Bearer "}, timeout=5)

    assert response.status_code == 401


# Books


@pytest.mark.parametrize(
    ("model", "stream", "billed"),
    [
        ("openai/gpt-4o-mini?", True, "sent"),
        ("mistralai/mistral-small-3.2-24b-instruct?", True, "whole"),
        ("openai/gpt-4o-mini?bill=whole&", True, "whole"),
        ("mistralai/mistral-small-3.2-24b-instruct?bill=sent&", True, "sent"),
        ("openai/gpt-4o-mini?", False, "whole"),
    ],
)
def test_client_that_hangs_up_is_billed_as_the_model_does(simulator, model, stream, billed):
    with pytest.raises(requests.RequestException):
        ask(simulator, model=f"{model}chunks=40&stall={3 if stream else 0}", stream=stream, timeout=0.2)

    [entry] = simulator.ended_books()
    assert entry["status"] == "CANCELLED"
    assert entry["completion_tokens"] == {"sent": 3, "whole": 40}[billed]


@pytest.mark.parametrize("stream", [False, True])
def test_error_inside_an_answer_is_not_charged(simulator, stream):
    response = ask(simulator, model=f"{MODEL}?error=2&error_code=server_error&message=Sorry", stream=stream)

    last = events_of(response)[-1] if stream else response.json()
    [entry] = simulator.books()
    assert response.status_code == 200
    assert last["error"]["code"] == "server_error"
    assert last["error"]["message"] == "Sorry"
    assert "[DONE]" not in response.text
    assert (entry["status"], entry["cost"]) == ("FAILED", "0")


def test_record_appears_after_its_delay(simulator):
    generation_id = ask(simulator, model=f"{MODEL}?generation_ms=200").headers["X-Generation-Id"]

    early = get(simulator, "generation", id=generation_id)
    time.sleep(0.25)
    late = get(simulator, "generation", id=generation_id)

    assert (early.status_code, late.status_code) == (404, 200)
    assert json.loads(late.text, parse_float=str)["data"]["total_cost"] == simulator.books()[0]["cost"]


def test_key_and_credits_tell_what_was_used(simulator):
    ask(simulator)

    used = Decimal(simulator.books()[0]["cost"])
    assert json.loads(get(simulator, "key").text, parse_float=Decimal)["data"]["usage"] == used
    assert json.loads(get(simulator, "credits").text, parse_float=Decimal)["data"]["total_usage"] == used


@pytest.mark.parametrize(("wanted", "image_models"), [("", False), ("image", True), ("all", True), ("text", True)])
def test_catalogue_lists_image_models_on_demand(simulator, wanted, image_models):
    listed = get(simulator, "models", **({"output_modalities": wanted} if wanted else {})).json()["data"]

    assert ("openai/gpt-5-image-mini" in [model["id"] for model in listed]) is image_models
    assert all(isinstance(price, str) for model in listed for price in model["pricing"].values())


def test_default_models_of_the_settings_are_sold(settings):
    assert settings.DEFAULT_CHAT_MODEL in catalogue.BY_ID
    assert settings.DEFAULT_IMAGE_MODEL in catalogue.BY_ID


# Faults


@pytest.mark.parametrize(
    ("fault", "costs"),
    [
        ("usage=none", []),
        ("usage=repeated", ["half", "true"]),
        ("cost=absent", [None]),
        ("cost=-1", [-1]),
        ("cost=0", [0]),
        ('cost="0.1"', ["0.1"]),
        ("cost=1e308", [1e308]),
    ],
)
def test_usage_can_be_told_wrong_while_the_books_stay_right(simulator, fault, costs):
    response = ask(simulator, model=f"{MODEL}?chunks=4&{fault}", stream=True)

    true = 3 * Decimal("0.00000015") + 4 * Decimal("0.0000006")
    expected = [{"true": float(true), "half": float(true / 2)}.get(cost, cost) for cost in costs]
    assert [event["usage"].get("cost") for event in events_of(response) if "usage" in event] == expected
    assert Decimal(simulator.books()[0]["cost"]) == true


def test_cost_can_be_no_json(simulator):
    assert '"cost":NaN' in ask(simulator, model=f"{MODEL}?cost=NaN").text


def test_usage_can_come_after_the_end(simulator):
    text = ask(simulator, model=f"{MODEL}?usage=late", stream=True).text

    assert text.index("[DONE]") < text.index('"usage"')


def test_faults_can_be_set_for_the_next_requests_of_a_model(simulator):
    simulator.faults(model=MODEL, times=2, status=503, retry_after=9)

    statuses = [ask(simulator, model=model).status_code for model in ["openai/gpt-4o", MODEL, MODEL, MODEL]]

    assert statuses == [200, 503, 503, 200]


def test_faults_can_be_asked_for_in_the_metadata(simulator):
    response = ask(simulator, metadata={"simulate": "status=429&retry_after=2"})

    assert (response.status_code, response.headers["Retry-After"]) == (429, "2")


def test_fault_after_the_model_counts_more_than_metadata_and_settings(simulator):
    simulator.faults(chunks=3)

    ask(simulator)
    ask(simulator, metadata={"simulate": "chunks=4"})
    ask(simulator, metadata={"simulate": "chunks=4"}, model=f"{MODEL}?chunks=5")

    assert [entry["completion_tokens"] for entry in simulator.books()] == [3, 4, 5]


def test_model_that_refuses_falls_back_to_the_next(simulator):
    response = ask(simulator, model="openai/gpt-4o?status=500", models=[MODEL])

    assert response.json()["model"] == MODEL


def test_unknown_fault_is_refused_when_it_is_set(simulator):
    rule = {"faults": {"no_such_fault": 1}}

    response = requests.post(f"{simulator.origin}/_simulator/faults", json=rule, timeout=5)

    assert response.status_code == 400
    assert "no_such_fault" in response.json()["error"]


def test_reset_is_a_reset_and_no_end(simulator):
    host, _, port = simulator.origin.removeprefix("http://").partition(":")
    body = json.dumps({"model": f"{MODEL}?reset=2", "messages": [{"role": "user", "content": "Hi"}], "stream": True})
    head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: k\r\nContent-Length: {len(body)}"

    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"{head}\r\n\r\n{body}".encode())
        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: connection.recv(65_536), b""))


def test_position_before_the_headers_has_a_name():
    assert Faults.parse({"stall": "headers", "reset": "3"}) == Faults(stall=BEFORE_HEADERS, reset=3)


def test_reset_forgets_everything(simulator):
    simulator.faults(status=500)
    ask(simulator)

    simulator.reset()

    assert simulator.requests() == []
    assert ask(simulator).status_code == 200
    assert len(simulator.books()) == 1


# The command


def test_command_serves_until_it_is_told_to_stop():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, str(MANAGE), "simulate_provider", "--port", str(port), "--pace-ms", "0"]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        simulator = RunningSimulator(f"http://127.0.0.1:{port}")
        try:
            assert process.stdout is not None
            assert f"http://127.0.0.1:{port}/api/v1" in process.stdout.readline()
            assert _once_it_listens(simulator).status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)


def _once_it_listens(simulator: RunningSimulator) -> Any:
    for _ in range(200):
        try:
            return ask(simulator)
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the simulator does not listen")
