"""The lists of models that clients choose from: the catalogue, with filters and price tags."""

from decimal import Decimal

import pytest

from ai import catalogue
from ai.providers.simulator.catalogue import BY_ID, MODELS, with_outputs
from billing.listing import keep
from billing.models import ListedModel, Price
from billing.prices import Listed, PriceList
from billing.pricing import Terms
from billing.shelf.filters import NOT_ANSWERED, BadFilter, read
from billing.shelf.tags import tags
from credits.amounts import UNIT
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


def test_first_list_is_the_providers_and_is_kept_for_all_others(prepaid, simulator):
    for _ in range(3):
        prepaid.get("/v1/models")
        catalogue._kept.clear()

    assert len(simulator.requests()) == 1
    assert ListedModel.objects.count() == len(MODELS)


@pytest.mark.parametrize("path", ["/v1/models", "/api/ai/openrouter/models"])
def test_list_is_given_while_the_provider_is_away(prepaid, simulator, now, path):
    keep(MODELS[:2], now=now)
    simulator.faults(path="models", status=503)

    answer = prepaid.get(path)

    assert answer.status_code == 200
    listed = answer.json().get("data") or answer.json()["models"]
    assert [model["id"] for model in listed] == [model["id"] for model in MODELS[:2]]
    assert simulator.requests() == []


def test_each_model_says_what_it_costs_the_caller(prepaid, customer, now):
    keep(MODELS, now=now)
    own = {"type": "METERED", "amount": 10_000, "rate": 100 * UNIT, "markup": 1_200_000, "customer": customer}
    Price.objects.create(feature="ai_text_chat", pattern="openai/*", **own)

    prices = {model["id"]: model["prices"] for model in prepaid.get("/v1/models").json()["data"]}

    assert prices["openai/gpt-4o-mini"] == [
        {
            "feature": "ai_text_chat",
            "currency": "credits",
            "type": "METERED",
            "minimum": "0.001",
            "pricing": {
                **dict.fromkeys(("request", "image", "image_output", "web_search", "internal_reasoning"), "0"),
                "prompt": "0.000018",
                "completion": "0.000072",
            },
        }
    ]
    assert prices["anthropic/claude-sonnet-4.5"] == [
        {"feature": "ai_text_chat", "currency": "credits", "type": "FIXED", "amount": "1"}
    ]


def test_list_leaves_out_what_customer_and_installation_may_not_call(prepaid, customer, settings, now):
    keep(MODELS, now=now)
    settings.ALLOWED_MODELS = ["openai/*", "google/*"]
    customer.allowed_models = "google/* anthropic/*"
    customer.save()

    listed = prepaid.get("/v1/models").json()["data"]

    assert [model["id"] for model in listed] == ["google/gemini-2.5-flash"]


def test_long_list_comes_in_parts(prepaid, now):
    keep(MODELS, now=now)
    first = prepaid.get("/api/v1/models", params={"limit": 4, "output_modalities": "all"}).json()
    second = prepaid.get(first["links"]["next"]).json()
    third = prepaid.get(second["links"]["next"]).json()

    assert [model["id"] for part in (first, second, third) for model in part["data"]] == list(BY_ID)
    assert [part["total_count"] for part in (first, second, third)] == [len(MODELS)] * 3
    assert third["links"] == {"next": None}


def ids(**query):
    return [model["id"] for model in read(query).apply(MODELS)[0]]


CHEAP_FIRST = [
    "deepseek/deepseek-chat-v3.1:free", "mistralai/mistral-small-3.2-24b-instruct", "openai/gpt-4o-mini",
    "google/gemini-2.5-flash", "openai/gpt-4o", "anthropic/claude-sonnet-4.5",
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "MISTRAL small"}, ["mistralai/mistral-small-3.2-24b-instruct"]),
        ({"q": "gpt-4o-"}, ["openai/gpt-4o-mini"]),
        ({"context": "1000000"}, ["anthropic/claude-sonnet-4.5", "google/gemini-2.5-flash"]),
        ({"min_price": "2.5"}, ["openai/gpt-4o", "anthropic/claude-sonnet-4.5"]),
        ({"max_price": "0.06"}, ["mistralai/mistral-small-3.2-24b-instruct", "deepseek/deepseek-chat-v3.1:free"]),
        ({"model_authors": "OpenAI,mistralai"}, [
            "openai/gpt-4o-mini", "openai/gpt-4o", "mistralai/mistral-small-3.2-24b-instruct",
        ]),
        ({"supported_parameters": "tools"}, []),
        ({"supported_parameters": "top_p,stop", "input_modalities": "text,image", "q": "sonnet"}, [
            "anthropic/claude-sonnet-4.5"
        ]),
        ({"input_modalities": "audio"}, []),
        ({"sort": "pricing-low-to-high"}, CHEAP_FIRST),
        ({"sort": "pricing-high-to-low"}, CHEAP_FIRST[::-1]),
        ({"sort": "context-high-to-low", "limit": "1"}, ["google/gemini-2.5-flash"]),
        ({"sort": "pricing-low-to-high", "offset": "5"}, CHEAP_FIRST[5:]),
        ({"something": "else", "offset": "6"}, []),
    ],
)  # fmt: skip
def test_filters_are_openrouters(one_database, query, expected):
    assert ids(**query) == expected


def test_models_without_a_price_come_last_however_they_are_sorted(one_database):
    auto = {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}}
    for sort in ("pricing-low-to-high", "pricing-high-to-low"):
        assert read({"sort": sort}).apply([auto, *MODELS])[0][-1] == auto


@pytest.mark.parametrize("name", ["limit", "offset", "context", "min_price", "max_price", "sort", "input_modalities"])
@pytest.mark.parametrize("value", ["-1", "x", "1e400", "NaN", "¹", "9" * 40, "", "text,,image", "+1", " 1"])
def test_filter_that_makes_no_sense_is_refused_by_name(one_database, name, value):
    with pytest.raises(BadFilter) as caught:
        read({name: value})
    assert caught.value.name == name


@pytest.mark.parametrize("name", sorted(NOT_ANSWERED))
def test_filter_that_a_catalogue_cannot_answer_is_refused_by_name(one_database, name):
    with pytest.raises(BadFilter, match=f"leave {name} out"):
        read({name: "anything"})


def test_what_is_no_price_is_on_no_tag(one_database):
    terms = Terms(1, "METERED", 0, UNIT, 10**6)
    prices = PriceList([Listed(0, "ai_text_chat", "credits", "*", terms)])
    pricing = {
        "prompt": "0.0000001",
        "completion": "-1",
        "image": "cheap",
        "discount": 0,
        "overrides": [],
        "request": None,
    }

    (tag,) = tags({"id": "a/b", "pricing": pricing}, prices)

    assert tag["pricing"] == {"prompt": "0.0000001"}
    assert tags({"id": "a/b"}, PriceList()) == []
    assert tags({"id": "a/b", "architecture": {"output_modalities": ["audio"]}}, prices) == []


def test_tag_is_exact_however_small(one_database):
    terms = Terms(1, "METERED", 0, 1, 1)
    prices = PriceList([Listed(0, "ai_text_chat", "credits", "*", terms)])

    (tag,) = tags({"id": "a/b", "pricing": {"prompt": "0.000000000000001"}}, prices)

    assert Decimal(tag["pricing"]["prompt"]) == Decimal(1).scaleb(-28)
    assert "E" not in tag["pricing"]["prompt"]


@pytest.mark.parametrize("path", ["/v1/models", "/api/v1/models", "/api/ai/openrouter/models"])
def test_list_is_for_callers_that_we_know(prepaid, simulator, path):
    prepaid.headers = {}

    answer = prepaid.get(path)

    assert (answer.status_code, simulator.requests()) == (401, [])


def test_list_says_that_it_is_whole(prepaid):
    """OpenRouter's own client refuses one that does not."""
    body = prepaid.get("/api/v1/models").json()

    assert (body["total_count"], body["links"]) == (len(body["data"]), {"next": None})


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
