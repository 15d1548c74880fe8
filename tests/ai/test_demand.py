"""What is held is never less than what a provider that honours its limits can bill."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ai.demand import TOKENS_OF_IMAGE, UNKNOWN_LENGTH, measure
from ai.limits import last_fields
from ai.protocols.openai import ChatCompletions
from ai.relay import encoded
from billing.admission import Offer, afford
from billing.calls import Call, Ending, Report
from billing.errors import CallTooDear, UnpricedField
from billing.listing import rates_text
from billing.metering import charge
from billing.pricing import FIXED, METERED, Terms
from billing.rates import dearest, rates_of
from credits.errors import InsufficientCredits

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=20)
ACCOUNT = 7
#: 100,000 with HYPOTHESIS_PROFILE=thorough (`make prove-ceiling`).
EXAMPLES = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 200

MODELS = ["a/cheap", "b/dear", "c/long"]
TEXTS = st.text(max_size=200)
PRICES = st.integers(0, 10**6).map(lambda nanos: str(Fraction(nanos, 1)) if nanos == 0 else f"{nanos:d}e-9")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PARTS = TEXTS.map(lambda text: {"type": "text", "text": text}) | st.just(IMAGE)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS | st.lists(PARTS, max_size=4)}
    ),
    min_size=1,
    max_size=6,
)
TOOL = {"type": "function", "function": {"name": "f", "description": "d" * 50, "parameters": {"type": "object"}}}
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS), "messages": MESSAGES},
    optional={
        "models": st.lists(st.sampled_from(MODELS), max_size=3),
        "n": st.integers(1, 128),
        "max_tokens": st.integers(1, 10**6),
        "max_completion_tokens": st.integers(1, 10**6),
        "tools": st.lists(st.just(TOOL), max_size=3),
        "stream": st.booleans(),
        "provider": st.just({"max_price": {"prompt": "0.000001"}}),
        "response_format": st.just({"type": "json_object"}),
    },
)
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "min_prompt_tokens": st.integers(0, 5_000),
        "prompt": PRICES,
        "completion": PRICES,
        "utc_start": st.sampled_from(["00:00", "11:30", "12:00", "12:10", "23:00"]),
        "utc_end": st.sampled_from(["00:00", "11:50", "12:05", "12:20", "13:00"]),
    },
)
ENTRIES = st.fixed_dictionaries(
    {
        "context_length": st.integers(1, 200_000),
        "top_provider": st.fixed_dictionaries({"max_completion_tokens": st.none() | st.integers(1, 100_000)}),
        "pricing": st.fixed_dictionaries(
            {"prompt": PRICES, "completion": PRICES},
            optional={
                "request": PRICES,
                "image": PRICES,
                "internal_reasoning": PRICES,
                "input_cache_write": PRICES,
                "overrides": st.lists(OVERRIDES, max_size=3),
            },
        ),
    }
)
TABLES = st.fixed_dictionaries(dict.fromkeys(MODELS, ENTRIES))
TERMS = st.builds(
    Terms,
    price_id=st.just(1),
    type=st.just(METERED),
    amount=st.integers(0, 10**6),
    rate=st.integers(1, 10**10),
    markup=st.integers(1, 10**7),
) | st.builds(
    Terms, price_id=st.just(1), type=st.just(FIXED), amount=st.integers(0, 10**8), most_cost=st.integers(1, 10**16)
)


def price_at(pricing, name, *, prompt_tokens, at):
    """A price as OpenRouter's documentation says that it applies, written down a second time."""
    price = pricing.get(name)
    for override in pricing.get("overrides", []):
        window = (override.get("utc_start"), override.get("utc_end"))
        if name not in override or prompt_tokens < override.get("min_prompt_tokens", 0):
            continue
        if None not in window:
            opens, closes = window
            clock = at.strftime("%H:%M")
            is_open = opens <= clock < closes if opens <= closes else clock >= opens or clock < closes
            if not is_open:
                continue
        elif window != (None, None):
            continue  # half a window: nobody knows, so it need not apply
        price = override[name]
    return Fraction(price or 0)


def bill(body, entry, data):
    """What a provider that honours its limits may bill for ``body``: anything up to them."""
    text = sum(
        len(content.encode())
        if isinstance(content, str)
        else sum(len(part.get("text", "").encode()) for part in content)
        for content in (message["content"] for message in body["messages"])
    )
    images = sum(
        isinstance(message["content"], list) and message["content"].count(IMAGE) for message in body["messages"]
    )
    most = text + 4 * len(body["messages"]) + images * TOKENS_OF_IMAGE + 100 * len(body.get("tools", []))
    prompt_tokens = min(most, entry["context_length"])
    at = NOW + data.draw(st.floats(0, 1)) * LIFETIME
    prices = {
        name: price_at(entry["pricing"], name, prompt_tokens=prompt_tokens, at=at)
        for name in ("prompt", "completion", "request", "image", "internal_reasoning", "input_cache_write")
    }
    limit = next(body[name] for name in ("max_completion_tokens", "max_tokens") if name in body)
    completion_tokens = limit * body.get("n", 1)
    reasoned, written = data.draw(st.booleans()), data.draw(st.booleans())
    return (
        prompt_tokens * (max(prices["input_cache_write"], prices["prompt"]) if written else prices["prompt"])
        + completion_tokens
        * (max(prices["internal_reasoning"], prices["completion"]) if reasoned else prices["completion"])
        + prices["request"]
        + images * prices["image"]
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(body=BODIES, table=TABLES, terms=TERMS, available=st.integers(0, 10**13), data=st.data())
def test_hold_is_never_less_than_what_is_billed(body, table, terms, available, data):
    wanted = ChatCompletions().read(body)
    demand = measure(wanted, encoded(wanted))
    named = [body["model"], *body.get("models", [])]
    found = [
        rates_of(
            rates_text({"id": model, **table[model]}),
            prompt_tokens=demand.prompt_tokens,
            has_audio=False,
            caches_long=False,
            now=NOW,
            until=NOW + LIFETIME,
        )
        for model in named
    ]
    offer = Offer("credits", ACCOUNT, (terms,))
    try:
        decision = afford(
            [offer], quantity=wanted.quantity, available={ACCOUNT: available}, demand=demand, rates=dearest(found)
        )
    except (InsufficientCredits, CallTooDear):
        assume(False)
    assert decision.amount <= available
    sent = {**wanted.payload, **last_fields(wanted, decision.limits, "u")}
    for name in wanted.limit_fields:
        if name in wanted.payload and name not in last_fields(wanted, decision.limits, "u"):
            del sent[name]

    cost = bill(sent, table[data.draw(st.sampled_from(named))], data)

    if terms.type == FIXED:
        assert cost * 10**15 <= terms.most_cost * wanted.quantity
    else:
        text = format(float(0), "f") if cost == 0 else str(cost.numerator) + "/" + str(cost.denominator)
        call = replace(CALL, terms=terms, limits=decision.limits, held=decision.amount)
        report = replace(REPORT, delivered=wanted.quantity, completion_tokens=0)
        assert charge(call, Exactly(report, cost)) <= decision.amount, text


CALL = Call(
    hold_id="0" * 32,
    account_id=ACCOUNT,
    customer_id=1,
    key_id=1,
    actor="key:1",
    request_id="r",
    feature="ai_text_chat",
    quantity=1,
    terms=Terms(1, METERED, 0),
    held=0,
    provider="openrouter",
    model="a/cheap",
    streamed=False,
    admitted_at=NOW,
)
REPORT = Report(Ending.COMPLETED)


class Exactly:
    """A report of a cost that no decimal text can say."""

    def __init__(self, report, cost):
        self.delivered, self.exact_cost = report.delivered, cost
        self.prompt_tokens, self.completion_tokens = report.prompt_tokens, report.completion_tokens


def demand_of(**fields):
    body = {"model": "a/cheap", "messages": [{"role": "user", "content": "Hi"}], **fields}
    wanted = ChatCompletions().read(body)
    return measure(wanted, encoded(wanted))


def message(*parts):
    return [{"role": "user", "content": list(parts)}]


def test_images_are_counted_and_their_bytes_are_not():
    few = demand_of(messages=message(IMAGE))
    many = demand_of(
        messages=message({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}})
    )

    assert few.images == many.images == 1
    assert abs(few.prompt_tokens - many.prompt_tokens) < 1000
    assert few.prompt_tokens > TOKENS_OF_IMAGE


@pytest.mark.parametrize("kind", ["file", "video_url", "document"])
def test_nobody_knows_how_long_a_file_is(kind):
    assert demand_of(messages=message({"type": kind})).prompt_tokens == UNKNOWN_LENGTH


def test_text_that_looks_like_a_part_is_text():
    assert demand_of(messages=message({"type": "text", "text": '"type":"image_url"'})).images == 0


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7, "max_tokens": 5}, 5),
        ({"max_tokens": None}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": "5"}, None),
    ],
)
def test_limit_is_the_lowest_that_was_asked_for(fields, tokens):
    assert demand_of(**fields).completion_tokens == tokens


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL, {"type": "custom"}, {"type": "bash_20250124"}, {}]},
        {"plugins": [{"id": "file-parser", "pdf": {"engine": "pdf-text"}}, {"id": "response-healing"}]},
        {"service_tier": "default"},
        {"web_search_options": None},
        {"models": ["b/dear"]},
    ],
)
def test_what_costs_nothing_besides_tokens_passes(fields):
    demand_of(**fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"plugins": {"id": "web"}}, "body.plugins[0]"),
        ({"plugins": [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]}, "body.plugins[0]"),
        ({"plugins": ["web"]}, "body.plugins[0]"),
        ({"tools": [TOOL, {"type": "openrouter:web_search"}]}, "body.tools[1]"),
        ({"tools": ["web"]}, "body.tools[0]"),
        ({"search_parameters": {"mode": "on"}}, "body.search_parameters"),
        ({"prediction": {"content": "x"}}, "body.prediction"),
    ],
)
def test_what_costs_money_is_refused_by_name(fields, field):
    with pytest.raises(UnpricedField) as refused:
        demand_of(**fields)

    assert refused.value.details[0]["field"] == field


def test_callers_lower_price_is_kept_and_a_higher_one_is_not():
    wanted = ChatCompletions().read(
        {"model": "a/cheap", "messages": [{}], "provider": {"max_price": {"prompt": 0.5, "completion": 99, "audio": 1}}}
    )
    listing = rates_text({"id": "a", "context_length": 9, "pricing": {"prompt": "0.000001", "completion": "0.000002"}})
    rates = rates_of(listing, prompt_tokens=1, has_audio=False, caches_long=False, now=NOW, until=NOW + LIFETIME)
    decision = afford(
        [Offer("credits", ACCOUNT, (Terms(1, METERED, 0, 10, 10),))],
        quantity=1,
        available={ACCOUNT: 10**12},
        demand=measure(wanted, orjson.dumps(wanted.payload)),
        rates=rates,
    )

    told = last_fields(wanted, decision.limits, "u")["provider"]["max_price"]

    assert told == {"prompt": "0.5", "completion": "2", "audio": 1, "request": "0", "image": "0"}
