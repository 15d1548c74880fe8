"""Somebody looks at what is asked, before a provider is: what is refused costs nothing, and nobody passes unseen."""

import json
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from ai.moderation import MOST_PIECES, OVERLAP, PIECE, Moderator, pieces_of
from tests.ai.prepaid import MODEL, Prepaid, assert_charged_as_booked, balance, usage
from tests.server import running_prepaid

FORBIDDEN = "how to forge a ledger"
KEY = "sk-of-the-moderation"
ASKED: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": FORBIDDEN}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": FORBIDDEN}]}]},
    {"messages": [{"role": "system", "content": FORBIDDEN}, {"role": "user", "content": "Go on."}]},
    {"messages": [{"role": "user", "content": "Go on."}], "stream": True, "user": FORBIDDEN},
    {
        "messages": [{"role": "user", "content": "Go on."}],
        "tools": [{"type": "function", "function": {"name": "f", "description": FORBIDDEN}}],
    },
]


@dataclass
class FakeEndpoint:
    """OpenAI's moderation endpoint: what it was asked, and what it answers instead."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    delay: threading.Event | None = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        results = []
        for text in question["input"]:
            is_bad = FORBIDDEN in text
            results.append({"flagged": is_bad, "categories": {"illicit": is_bad, "self-harm/intent": is_bad,
                            "violence": False}, "category_scores": {}, "category_applied_input_types": {}})  # fmt: skip
        return {"id": "modr-1", "model": question["model"], "results": results}


@pytest.fixture
def endpoint(settings: Settings) -> Iterator[FakeEndpoint]:
    """An endpoint that the settings have look."""
    fake = FakeEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if fake.delay is not None:
                fake.delay.wait(5)
            assert self.path == "/v1/moderations"
            status = fake.status if self.headers["Authorization"] == f"Bearer {KEY}" else 401
            fake.asked.append(question)
            body = json.dumps(fake.answer(question) if status == 200 else {"error": {"message": "no"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        settings.MODERATOR = "openai"
        settings.MODERATION_BASE_URL = fake.url
        settings.MODERATION_API_KEY = KEY
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def moderated(transactional_db, endpoint, simulator, account, api_key) -> Iterator[Prepaid]:
    with running_prepaid(provider_url=simulator.url) as url:
        yield Prepaid(url, api_key)


def post(moderated: Prepaid, body: dict[str, Any]) -> Any:
    return moderated.post("/v1/chat/completions", {"model": MODEL, **body})


@pytest.mark.parametrize("body", ASKED)
def test_what_is_not_allowed_never_reaches_the_provider_and_costs_nothing(moderated, simulator, account, body):
    answer = post(moderated, body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "content_refused")
    assert error["categories"] == ["illicit", "self-harm/intent"]
    assert simulator.requests() == []
    record = usage()
    assert (record.status, record.error_code, record.charged) == ("FAILED", "content_refused", 0)
    assert balance(account) == (100, 0)


def test_what_is_allowed_passes_and_was_looked_at(moderated, endpoint, simulator):
    answer = moderated.chat()

    assert answer.status_code == 200
    [question] = endpoint.asked
    assert question["model"] == "omni-moderation-latest"
    assert "What is a ledger?" in question["input"][0]
    assert_charged_as_booked(simulator)


def test_images_are_looked_at_too(moderated, simulator, account):
    answer = moderated.post("/api/ai/image", {"prompt": FORBIDDEN})

    assert (answer.status_code, answer.json()["code"]) == (400, "CONTENT_REFUSED")
    assert simulator.requests() == []
    assert balance(account) == (100, 0)


DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": FORBIDDEN}}
SCHEMA = {"format": {"type": "json_schema", "name": "s", "schema": {"description": FORBIDDEN}}}


@pytest.mark.usefixtures("one_database")
def test_every_format_is_looked_at(moderated, simulator, account):
    asked = [
        ("messages", {"messages": [{"role": "user", "content": [DOCUMENT]}]}, "content_refused"),
        ("messages", {"messages": [{"role": "user", "content": "Go on."}], "system": FORBIDDEN}, "content_refused"),
        ("responses", {"input": FORBIDDEN}, "content_refused"),
        ("responses", {"input": "Go on.", "text": SCHEMA}, "content_refused"),
        ("completions", {"prompt": ["Go on.", FORBIDDEN]}, "content_refused"),
        ("completions", {"prompt": [[1, 2], [3]]}, "validation_error"),
        ("completions", {"prompt": [1, 2, 3]}, "validation_error"),
        ("images", {"prompt": FORBIDDEN}, "content_refused"),
    ]
    for path, body, code in asked:
        answer = moderated.post(f"/v1/{path}", {"model": MODEL, **body})

        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert simulator.requests() == []
    assert balance(account) == (100, 0)


def test_nobody_is_looked_at_who_is_not_known(moderated, endpoint):
    moderated.headers["Authorization"] = "Bearer ppd_live_wrong"

    assert moderated.chat().status_code == 401
    assert endpoint.asked == []


@pytest.mark.parametrize("status", [401, 429, 500])
def test_nobody_passes_unseen(moderated, endpoint, simulator, account, status):
    endpoint.status = status

    answer = moderated.chat()

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "moderation_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert simulator.requests() == []
    assert balance(account) == (100, 0)


def test_operator_may_let_them_pass_unseen(moderated, endpoint, settings):
    settings.MODERATION_FAILS_OPEN = True
    endpoint.status = 500

    assert moderated.chat().status_code == 200


def test_who_looks_for_too_long_has_not_looked(moderated, endpoint, settings):
    settings.MODERATION_TIMEOUT = 0.05
    endpoint.delay = threading.Event()

    answer = moderated.chat()
    endpoint.delay.set()

    assert answer.json()["error"]["code"] == "moderation_unavailable"


class HouseRules(Moderator):
    """A builder's own."""

    async def refused_for(self, texts: Sequence[str]) -> Collection[str]:
        return {"rival"} if any("acme" in text.lower() for text in texts) else set()


def test_builder_has_rules_of_their_own(settings, transactional_db, simulator, account, api_key):
    settings.MODERATOR = "tests.ai.test_moderation.HouseRules"
    with running_prepaid(provider_url=simulator.url) as url:
        prepaid = Prepaid(url, api_key)

        refused = post(prepaid, {"messages": [{"role": "user", "content": "What does ACME charge?"}]})
        served = prepaid.chat()

    assert refused.json()["error"]["categories"] == ["rival"]
    assert served.status_code == 200


@pytest.mark.usefixtures("one_database")
def test_all_words_are_looked_at_and_nothing_that_is_none():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    payload = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "see", "arguments": "{}"}}]},
        ],
        "stop": ["END"],
    }

    assert pieces_of(payload) == ["Be brief.\nWhat is it?\nsee\n{}\nEND"]
    assert pieces_of({"prompt": ""}) == []


@pytest.mark.usefixtures("one_database")
@pytest.mark.parametrize("length", [1, OVERLAP, PIECE - 1, PIECE, PIECE + 1, PIECE * MOST_PIECES])
def test_nothing_hides_where_a_long_text_is_cut(length):
    text = "".join(chr(0x4E00 + number % 20_000) for number in range(length)) + FORBIDDEN

    pieces = pieces_of({"prompt": text})

    assert max(map(len, pieces)) <= PIECE
    assert pieces[0] == text[:PIECE]
    rebuilt = pieces[0] + "".join(piece[OVERLAP:] for piece in pieces[1:])
    assert rebuilt == text
    assert any(FORBIDDEN in piece for piece in pieces)


def test_long_texts_are_looked_at_to_their_end(moderated, endpoint):
    answer = post(moderated, {"messages": [{"role": "user", "content": "x" * PIECE * MOST_PIECES + FORBIDDEN}]})

    assert answer.json()["error"]["code"] == "content_refused"
    assert [len(question["input"]) for question in endpoint.asked] == [MOST_PIECES, 1]
