"""What callers say of their calls: kept here, and who it was for is told to nobody."""

import pytest

from billing.models import UsageRecord
from tests.ai.prepaid import MODEL, QUESTION, pending, until

UI = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}


def kept():
    until(lambda: UsageRecord.objects.exists() and not pending())
    record = UsageRecord.objects.get()
    return record.end_user, record.notes


@pytest.mark.parametrize("stream", [False, True])
def test_user_and_metadata_of_a_call_are_kept_and_the_user_is_not_told(prepaid, simulator, stream):
    prepaid.chat(stream=stream, user="ada@example.com", metadata={"run": "42", "depth": 3, "long": "x" * 513})

    assert kept() == ("ada@example.com", {"run": "42"})
    sent = simulator.requests()[-1]["body"]
    assert sent["user"] != "ada@example.com"
    assert "ada@example.com" not in str(sent)


def test_user_of_anthropics_clients_is_not_told_either(prepaid, simulator):
    metadata = {"user_id": "ada@example.com", "run": "42"}
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 50, "metadata": metadata}

    assert prepaid.post("/v1/messages", body).status_code == 200

    end_user, notes = kept()
    assert (end_user, notes["run"]) == ("ada@example.com", "42")
    sent = simulator.requests()[-1]["body"]
    assert sent["metadata"] == {"run": "42"}
    assert "ada@example.com" not in str(sent)


@pytest.mark.parametrize(("path", "body"), [("/api/ai/chat", UI), ("/api/ai/image", {"prompt": "A green square"})])
def test_header_names_the_end_user_on_every_path(prepaid, simulator, path, body):
    prepaid.post(path, body, X_End_User="ada")

    assert kept() == ("ada", None)
    assert "ada" not in str(simulator.requests())


def test_header_wins_over_the_body_and_nothing_is_nobody(prepaid):
    prepaid.post("/v1/chat/completions", {"model": MODEL, "messages": QUESTION, "user": "bob"}, X_End_User="ada")

    assert kept() == ("ada", None)


@pytest.mark.parametrize("named", [7, ["ada"], "x" * 201, "a\nb", "a\0b", "\u202eada"])
def test_end_user_without_a_name_that_is_kept_is_refused(prepaid, simulator, named):
    answer = prepaid.chat(user=named)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "user")
    assert simulator.requests() == []


@pytest.mark.parametrize("metadata", [None, "text", ["a"], {"a": None}, {"a\0": "b"}, {"a" * 65: "b"}])
def test_metadata_that_is_none_passes_by(prepaid, metadata):
    assert prepaid.chat(metadata=metadata).status_code == 200
    assert kept() == ("", None)


def test_as_many_notes_are_kept_as_openai_takes(prepaid):
    prepaid.chat(metadata={f"n{number}": "x" for number in range(20)})

    assert list(kept()[1]) == [f"n{number}" for number in range(16)]
