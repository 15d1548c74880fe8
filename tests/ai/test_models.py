"""The lists of models that clients choose from."""

import pytest

from ai import catalogue
from ai.providers.simulator.catalogue import BY_ID, with_outputs
from tests.ai.prepaid import balance


@pytest.fixture(autouse=True)
def nothing_kept():
    catalogue._kept.clear()


@pytest.mark.parametrize("path", ["/v1/models", "/api/v1/models"])
def test_list_is_the_providers_with_what_openai_adds(prepaid, account, path):
    answer = prepaid.get(path)

    assert answer.status_code == 200
    assert answer.json()["object"] == "list"
    assert [model["id"] for model in answer.json()["data"]] == [model["id"] for model in with_outputs("")]
    first = answer.json()["data"][0]
    assert (first["object"], first["owned_by"]) == ("model", "openai")
    assert first["pricing"] == BY_ID[first["id"]]["pricing"]
    assert balance(account) == (100, 0)


@pytest.mark.parametrize("wanted", ["image", "text", "all"])
def test_list_can_be_of_one_modality(prepaid, wanted):
    answer = prepaid.get("/v1/models", params={"output_modalities": wanted})

    assert [model["id"] for model in answer.json()["data"]] == [model["id"] for model in with_outputs(wanted)]


def test_picker_of_the_first_original_gets_ids_and_labels(prepaid):
    answer = prepaid.get("/api/ai/openrouter/models", params={"capability": "image"})

    assert answer.json() == {"models": [{"id": model["id"], "label": model["name"]} for model in with_outputs("image")]}


def test_list_is_asked_for_once_a_minute(prepaid, simulator):
    for _ in range(3):
        prepaid.get("/v1/models")

    assert len(simulator.requests()) == 1


@pytest.mark.parametrize("path", ["/v1/models", "/api/v1/models", "/api/ai/openrouter/models"])
def test_list_is_for_callers_that_we_know(prepaid, simulator, path):
    prepaid.headers = {}

    answer = prepaid.get(path)

    assert (answer.status_code, simulator.requests()) == (401, [])


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/models", {"output_modalities": "smell"}, "query.output_modalities"),
        ("/v1/models", {"output_modalities": ""}, "query.output_modalities"),
        ("/api/ai/openrouter/models", {"capability": "smell"}, "query.capability"),
        ("/api/ai/openrouter/models", {"capability": ""}, "query.capability"),
        ("/api/ai/openrouter/models", {"page": "1"}, "query"),
    ],
)
def test_unknown_filter_is_refused(prepaid, simulator, path, query, field):
    answer = prepaid.get(path, params=query)

    assert (answer.status_code, simulator.requests()) == (400, [])
    body = answer.json()
    assert (body["details"][0]["field"] if "details" in body else body["error"]["param"]) == field


@pytest.mark.parametrize("path", ["/v1/models", "/api/ai/openrouter/models"])
def test_list_that_the_provider_does_not_give_is_an_error(prepaid, simulator, path):
    simulator.faults(path="models", status=500)

    answer = prepaid.get(path)

    body = answer.json()
    assert answer.status_code == 502
    assert (body.get("code") or body["error"]["code"]).lower() == "provider_error"
