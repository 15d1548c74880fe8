"""The first original's chat, as ``useChat`` reads it: only keys that its strictest client knows."""

import json
from typing import Any

import orjson
import pytest
from openapi_schema_validator import OAS31Validator

from ai.protocols.ui_message_stream import UITranslator
from ai.schema import COMPONENTS
from billing.calls import Receipt
from credits.amounts import UNIT
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance, events_of, usage

HELLO = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "What is a ledger?"}]}
#: Every part that is sent, with exactly the keys that ai 5.0.0 accepts.
KEYS: dict[str, tuple[set[str], set[str]]] = {
    "start": (set(), {"messageId", "messageMetadata"}),
    "start-step": (set(), set()),
    "text-start": ({"id"}, set()),
    "text-delta": ({"id", "delta"}, set()),
    "text-end": ({"id"}, set()),
    "reasoning-start": ({"id"}, set()),
    "reasoning-delta": ({"id", "delta"}, set()),
    "reasoning-end": ({"id"}, set()),
    "file": ({"url", "mediaType"}, set()),
    "source-url": ({"sourceId", "url"}, {"title"}),
    "tool-input-start": ({"toolCallId", "toolName"}, set()),
    "tool-input-delta": ({"toolCallId", "inputTextDelta"}, set()),
    "tool-input-available": ({"toolCallId", "toolName", "input"}, set()),
    "error": ({"errorText"}, set()),
    "finish-step": (set(), set()),
    "finish": (set(), {"messageMetadata"}),
}

DOCUMENTED = OAS31Validator({"$ref": "#/components/schemas/UIMessageChunk", "components": {"schemas": COMPONENTS}})


def parts_of(body: bytes) -> list[dict[str, Any]]:
    """The parts of a stream that every client from 5.0.0 on accepts, as documented, up to its ``[DONE]``."""
    assert body.endswith(b"data: [DONE]\n\n")
    *parts, done = events_of(body)
    assert done == "[DONE]"
    assert [error.message for part in [*parts, done] for error in DOCUMENTED.iter_errors(part)] == []
    opened: set[tuple[str, str]] = set()
    for part in parts:
        required, optional = KEYS[part["type"]]
        assert required | {"type"} <= part.keys() <= required | optional | {"type"}
        kind, _, step = part["type"].rpartition("-")
        if kind in {"text", "reasoning"}:
            if step == "start":
                assert part["id"] not in {id_ for _, id_ in opened}
                opened.add((kind, part["id"]))
            else:
                assert (kind, part["id"]) in opened
            if step == "end":
                opened.remove((kind, part["id"]))
    assert not opened
    return parts


def kinds(parts: list[dict[str, Any]]) -> list[str]:
    """The types of ``parts``, each run of the same once."""
    return [part["type"] for i, part in enumerate(parts) if not i or parts[i - 1]["type"] != part["type"]]


def chat(prepaid, **body):
    return prepaid.post("/api/ai/chat", {"messages": [HELLO], **body}, X_Request_Id="r-1")


TEXT = ["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"]


def test_text_arrives_in_parts_and_the_last_tells_what_it_cost(prepaid, simulator, account):
    answer = chat(prepaid)

    parts = parts_of(answer.content)
    [booked] = simulator.ended_books()
    assert answer.status_code == 200
    assert kinds(parts) == TEXT
    assert "".join(part.get("delta", "") for part in parts).startswith("You asked: “What is a ledger?”")
    assert parts[-1]["messageMetadata"] == {
        "requestId": "r-1",
        "model": MODEL,
        "usage": {"promptTokens": booked["prompt_tokens"], "completionTokens": booked["completion_tokens"]},
        "creditsCharged": 1,
        "creditsRemaining": 99,
    }
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_headers_are_those_of_a_ui_message_stream(prepaid):
    answer = chat(prepaid)

    wanted = {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        "X-Vercel-AI-UI-Message-Stream": "v1",
        "X-Accel-Buffering": "no",
        "X-Request-Id": "r-1",
        "X-Credits-Held": "1",
    }
    assert {name: answer.headers[name] for name in wanted} == wanted
    assert answer.headers["X-Generation-Id"]


@pytest.mark.parametrize("fault", ["drip_ms=0&chunks=3", "split=1", "crlf=1", "usage=late", "usage=repeated"])
def test_answer_reads_the_same_however_it_comes(prepaid, fault):
    parts = parts_of(chat(prepaid, model=f"{MODEL}?{fault}").content)

    assert kinds(parts) == TEXT
    assert parts[-1]["messageMetadata"]["creditsCharged"] == 1


def test_answer_whose_cost_comes_later_ends_without_it(prepaid, simulator):
    parts = parts_of(chat(prepaid, model=f"{MODEL}?usage=none").content)

    assert kinds(parts) == TEXT
    assert parts[-1]["messageMetadata"] == {"requestId": "r-1"}
    assert_charged_as_booked(simulator)


def test_images_arrive_as_files(prepaid):
    parts = parts_of(chat(prepaid, model="google/gemini-2.5-flash-image-preview?images=2&chunks=3").content)

    assert kinds(parts) == [*TEXT[:5], "file", "finish-step", "finish"]
    files = [part for part in parts if part["type"] == "file"]
    assert [part["mediaType"] for part in files] == ["image/png", "image/png"]
    assert all(part["url"].startswith("data:image/png;base64,") for part in files)


def test_empty_answer_is_a_whole_message(prepaid, account):
    parts = parts_of(chat(prepaid, model=f"{MODEL}?empty=1").content)

    assert kinds(parts) == ["start", "start-step", "finish-step", "finish"]
    assert parts[-1]["messageMetadata"]["creditsCharged"] == 0
    assert balance(account) == (100, 0)


@pytest.mark.parametrize("fault", ["error=2", "reset=2&interval_ms=60", "truncate=2"])
def test_answer_that_breaks_off_ends_with_an_error_part(prepaid, simulator, fault):
    parts = parts_of(chat(prepaid, model=f"{MODEL}?{fault}").content)

    assert kinds(parts) == [*TEXT[:5], "error"]
    assert parts[-1]["errorText"] == "The model provider broke off its answer. Try again."
    assert_charged_as_booked(simulator)


def test_refusal_of_the_provider_is_told_before_the_stream(prepaid, account):
    answer = chat(prepaid, model=f"{MODEL}?status=429&retry_after=3")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    assert answer.json() == {
        "error": "provider_busy",
        "code": "PROVIDER_BUSY",
        "message": "The model provider is overloaded. You were not charged. Try again in a moment.",
        "requestId": "r-1",
    }
    assert balance(account) == (100, 0)


# What useChat sends


def test_everything_that_a_client_sends_is_accepted(prepaid, simulator):
    image = "data:image/png;base64,iVBORw0KGgo="
    conversation = [
        {"id": "s", "role": "system", "parts": [{"type": "text", "text": "Be brief."}]},
        {**HELLO, "metadata": {"createdAt": 1}},
        {
            "id": "a1",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "reasoning", "text": "Hm.", "state": "done", "providerMetadata": {}},
                {"type": "text", "text": "A book.", "state": "done"},
                {"type": "tool-search", "toolCallId": "t", "state": "output-available", "input": {}, "output": []},
                {"type": "source-url", "sourceId": "1", "url": "https://example.com"},
                {"type": "data-weather", "data": {"text": 5}},
            ],
        },
        {
            "id": "m2",
            "role": "user",
            "parts": [
                {"type": "text", "text": "And this?"},
                {"type": "file", "mediaType": "image/png", "filename": "a.png", "url": image},
                {"type": "file", "mediaType": "application/pdf", "url": "https://example.com/b.pdf"},
            ],
        },
    ]

    answer = chat(
        prepaid,
        messages=conversation,
        id="chat-1",
        trigger="regenerate-message",
        messageId="a1",
        provider="openrouter",
        model=MODEL,
        temperature=1,
        attachments=[{"name": "c.txt", "url": "https://example.com/c.txt"}],
    )

    assert answer.status_code == 200, answer.text
    [received] = simulator.requests()
    assert received["body"].pop("user")
    assert received["body"] == {
        "model": MODEL,
        "temperature": 1.0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is a ledger?"},
            {"role": "assistant", "content": "A book."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And this?"},
                    {"type": "image_url", "image_url": {"url": image}},
                    {"type": "file", "file": {"filename": "file", "file_data": "https://example.com/b.pdf"}},
                ],
            },
            {"role": "user", "content": "Attachments:\n- c.txt: https://example.com/c.txt"},
        ],
    }


def test_model_and_temperature_have_defaults(prepaid, simulator, settings):
    chat(prepaid)

    body = simulator.requests()[0]["body"]
    assert (body["model"], body["temperature"]) == (settings.DEFAULT_CHAT_MODEL, 0.4)
    assert usage().model == settings.DEFAULT_CHAT_MODEL


# The translation by itself, of what the simulated provider does not say


def chunk(**delta: Any) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n"


def translated(*pieces: bytes) -> list[dict[str, Any]]:
    translator = UITranslator("r-1")
    receipt = Receipt(charged=UNIT // 2, held=UNIT, shortfall=0, available=3 * UNIT, first=True)
    return parts_of(b"".join(map(translator.feed, pieces)) + translator.finish(receipt))


THOUGHT = [
    b": OPENROUTER PROCESSING\n\n",
    chunk(role="assistant", content="", reasoning="Let me "),
    chunk(content=None, reasoning="think…"),
    chunk(content="So: ", reasoning=None),
    chunk(content="yes."),
    chunk(reasoning="Or?", content=""),
    chunk(content="No."),
    b'data: {"choices":[],"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4,"cost":0.1}}\n\n',
    b"data: [DONE]\n\n",
]


def test_reasoning_and_text_take_turns_in_parts_of_their_own():
    parts = translated(*THOUGHT)

    assert [tuple(part.values()) for part in parts] == [
        ("start",),
        ("start-step",),
        ("reasoning-start", "1"),
        ("reasoning-delta", "1", "Let me "),
        ("reasoning-delta", "1", "think…"),
        ("reasoning-end", "1"),
        ("text-start", "2"),
        ("text-delta", "2", "So: "),
        ("text-delta", "2", "yes."),
        ("text-end", "2"),
        ("reasoning-start", "3"),
        ("reasoning-delta", "3", "Or?"),
        ("reasoning-end", "3"),
        ("text-start", "4"),
        ("text-delta", "4", "No."),
        ("text-end", "4"),
        ("finish-step",),
        (
            "finish",
            {
                "requestId": "r-1",
                "model": "m",
                "usage": {"promptTokens": 3, "completionTokens": 4},
                "creditsCharged": "0.5",
                "creditsRemaining": 3,
            },
        ),
    ]


def test_stream_that_is_cut_anywhere_translates_to_the_same():
    stream = b"".join(THOUGHT)
    whole = translated(stream)

    for offset in range(len(stream)):
        assert translated(stream[:offset], stream[offset:]) == whole
    assert translated(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@pytest.mark.parametrize(
    "odd",
    [
        b"data: {not json}\n\n",
        b"data: 5\n\n",
        b"data: []\n\n",
        b"event: ping\ndata:\n\n",
        json.dumps({"choices": 5}).join(["data: ", "\n\n"]).encode(),
        json.dumps({"choices": {"a": 1}}).join(["data: ", "\n\n"]).encode(),
        json.dumps({"choices": [None, 5, {"delta": "x"}]}).join(["data: ", "\n\n"]).encode(),
        chunk(content=5, reasoning=["x"]),
        chunk(images=5),
        chunk(images=[None, {}, {"image_url": "x"}, {"image_url": {"url": 5}}]),
        chunk(tool_calls=[{"index": 0}]),
        b"data: [" * 2000 + b"\n\n",
        b"\xff\xfe\n\n",
        b'data: {"usage": {"cost": "x"}}\n\n',
    ],
)
def test_what_cannot_be_read_is_passed_over(odd):
    parts = translated(chunk(content="a"), odd, chunk(content="b"))

    assert "".join(part.get("delta", "") for part in parts) == "ab"
    assert kinds(parts) == TEXT
