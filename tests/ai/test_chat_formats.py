"""What front ends of other ages read: plain text, the data stream of version 4, and every kind of part."""

import json
from itertools import groupby

import orjson
import pytest

from ai.errors import ProviderBrokeOff
from ai.protocols.older_streams import DataTranslator, TextTranslator
from ai.protocols.ui_message_stream import UITranslator
from billing.calls import Receipt
from credits.amounts import UNIT
from tests.ai.prepaid import MODEL, assert_charged_as_booked, balance
from tests.ai.test_ui_message_stream import HELLO, kinds, parts_of

RECEIPT = Receipt(charged=UNIT, held=UNIT, shortfall=0, available=99 * UNIT, first=True)
ANSWER = "You asked: “What is a ledger?”"


def event(*, reason=None, **delta):
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}) + b"\n\n"


def call(text, **more):
    return {"index": 0, "function": {"arguments": text, **({"name": "weather"} if more else {})}, **more}


CITED = {"type": "url_citation", "url_citation": {"url": "https://example.com/", "title": "Example"}}
PICTURE = {"image_url": {"url": "data:image/png;base64,AAAA"}}
STREAM = b"".join([
    event(role="assistant", content=""),
    event(reasoning="Hm. "),
    event(content="It is "),
    event(content="so.", annotations=[CITED, {"type": "other"}]),
    event(images=[PICTURE, {"image_url": {"url": "https://example.com/a.png"}}]),
    event(tool_calls=[call("", id="call-1", type="function")]),
    event(tool_calls=[call('{"city": ')]),
    event(tool_calls=[call('"Oslo"}')]),
    event(reason="tool_calls"),
    b"data: [DONE]\n\n",
])  # fmt: skip


def lines(body):
    """The lines of a data stream: what each is, and what it says."""
    assert not body or body.endswith(b"\n")
    return [(line[:1].decode(), json.loads(line[2:])) for line in body.splitlines()]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_every_kind_of_part_reaches_the_newest_clients(one_database, size):
    translator = UITranslator("r-1")
    body = b"".join(translator.feed(STREAM[i : i + size]) for i in range(0, len(STREAM), size))

    parts = parts_of(body + translator.finish(RECEIPT))

    assert kinds(parts) == [
        "start", "start-step", "reasoning-start", "reasoning-delta", "reasoning-end", "text-start", "text-delta",
        "text-end", "source-url", "file", "tool-input-start", "tool-input-delta", "tool-input-available",
        "finish-step", "finish",
    ]  # fmt: skip
    by_kind = {part["type"]: part for part in parts}
    assert by_kind["source-url"] == {
        "type": "source-url", "sourceId": "1", "url": "https://example.com/", "title": "Example",
    }  # fmt: skip
    tool = {"toolCallId": "call-1", "toolName": "weather", "input": {"city": "Oslo"}}
    assert by_kind["tool-input-available"] == {"type": "tool-input-available", **tool}
    assert by_kind["finish"]["messageMetadata"]["creditsRemaining"] == 99


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_every_kind_of_part_reaches_clients_of_version_4(one_database, size):
    translator = DataTranslator("r-1")
    body = b"".join(translator.feed(STREAM[i : i + size]) for i in range(0, len(STREAM), size))

    told = lines(body + translator.finish(RECEIPT))

    assert told == [
        ("f", {"messageId": "msg-r-1"}),
        ("g", "Hm. "),
        ("0", "It is "),
        ("0", "so."),
        ("h", {"sourceType": "url", "id": "1", "url": "https://example.com/", "title": "Example"}),
        ("k", {"data": "AAAA", "mimeType": "image/png"}),
        ("h", {"sourceType": "url", "id": "2", "url": "https://example.com/a.png"}),
        ("b", {"toolCallId": "call-1", "toolName": "weather"}),
        ("c", {"toolCallId": "call-1", "argsTextDelta": '{"city": '}),
        ("c", {"toolCallId": "call-1", "argsTextDelta": '"Oslo"}'}),
        ("9", {"toolCallId": "call-1", "toolName": "weather", "args": {"city": "Oslo"}}),
        ("8", [{"requestId": "r-1", "creditsCharged": 1, "creditsRemaining": 99}]),
        ("e", {
            "finishReason": "tool-calls",
            "usage": {"promptTokens": None, "completionTokens": None},
            "isContinued": False,
        }),
        ("d", {"finishReason": "tool-calls", "usage": {"promptTokens": None, "completionTokens": None}}),
    ]  # fmt: skip


def test_plain_text_is_the_text_alone(one_database):
    translator = TextTranslator()
    assert translator.feed(STREAM) + translator.finish(RECEIPT) == b"It is so."


@pytest.mark.parametrize(
    "told",
    [
        [None, "x", {}],
        [{"index": "x", "id": 7}],
        [{"index": 0, "id": "call-1", "function": {"name": ""}}],
        [{"index": 0, "id": "call-1", "function": None}],
    ],
)
def test_tool_call_that_nobody_could_answer_is_left_out(one_database, told):
    translator = UITranslator("r-1")
    parts = parts_of(translator.feed(event(tool_calls=told)) + translator.finish(RECEIPT))
    assert kinds(parts) == ["start", "start-step", "finish-step", "finish"]


def test_arguments_that_are_no_json_stay_text(one_database):
    translator = UITranslator("r-1")
    translator.feed(event(tool_calls=[call("{broken", id="call-1")]))
    assert b'"input":"{broken"' in translator.finish(None)


@pytest.mark.parametrize("translator", [DataTranslator("r-1"), TextTranslator()], ids=["data", "text"])
def test_error_in_the_stream_ends_it_and_nothing_follows(one_database, translator):
    broken = b'data: {"error": {"message": "no", "code": 502}}\n\n' + event(content="never")
    body = translator.feed(event(content="So ")) + translator.feed(broken) + translator.finish(RECEIPT)
    expected = [("f", {"messageId": "msg-r-1"}), ("0", "So "), ("3", ProviderBrokeOff.message)]
    assert body == b"So " if isinstance(translator, TextTranslator) else lines(body) == expected


def test_answer_that_never_began_is_an_error_line(one_database):
    assert lines(DataTranslator("r-1").fail(ProviderBrokeOff()))[-1] == ("3", ProviderBrokeOff.message)


def ask(prepaid, query="", **headers):
    return prepaid.post(f"/api/ai/chat{query}", {"messages": [HELLO]}, **headers)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?protocol=text", {}), ("", {"Accept": "text/plain"}), ("?a=b&protocol=text", {"Accept": "text/event-stream"})],
)
def test_text_stream_is_chosen_by_query_or_accept(prepaid, simulator, account, query, headers):
    answer = ask(prepaid, query, **headers)

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode().startswith(ANSWER)
    assert "x-vercel-ai-ui-message-stream" not in answer.headers
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


def test_data_stream_is_chosen_by_query(prepaid, simulator, account):
    answer = ask(prepaid, "?protocol=data", X_Request_Id="r-1")

    told = lines(answer.content)
    assert answer.headers["x-vercel-ai-data-stream"] == "v1"
    assert [kind for kind, _ in groupby(kind for kind, _ in told)] == ["f", "0", "8", "e", "d"]
    assert "".join(text for kind, text in told if kind == "0").startswith(ANSWER)
    (metadata,) = dict(told)["8"]
    assert (metadata["creditsCharged"], metadata["creditsRemaining"], metadata["model"]) == (1, 99, MODEL)
    assert dict(told)["d"]["finishReason"] == "stop"
    assert balance(account) == (99, 0)
    assert_charged_as_booked(simulator)


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream", "text/plain, text/event-stream"])
def test_parts_are_what_whoever_leaves_it_open_gets(prepaid, accept):
    assert parts_of(ask(prepaid, Accept=accept).content)


def test_unknown_format_is_refused_by_name(prepaid, account):
    answer = ask(prepaid, "?protocol=morse")

    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "query.protocol")
    assert balance(account) == (100, 0)


def test_messages_of_version_4_are_understood(prepaid):
    old = {"messages": [{"role": "user", "content": "What is a ledger?"}]}
    assert prepaid.post("/api/ai/chat?protocol=text", old).content.decode().startswith(ANSWER)


def test_regenerating_is_asking_again(prepaid, account):
    again = {"messages": [HELLO], "id": "chat-1", "trigger": "regenerate-message", "messageId": "m2"}
    assert parts_of(prepaid.post("/api/ai/chat", again).content)[-1]["messageMetadata"]["creditsRemaining"] == 99


def test_nothing_is_resumed(prepaid):
    answer = prepaid.get("/api/ai/chat/chat-1/stream")
    assert (answer.status_code, answer.content) == (204, b"")
    prepaid.headers = {}
    assert prepaid.get("/api/ai/chat/chat-1/stream").status_code == 401
