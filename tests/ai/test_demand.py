"""What is held is never less than what a provider that honours its limits can bill."""

import os
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import orjson
import pytest

from ai.demand import TOKENS_OF_IMAGE, UNKNOWN_LENGTH, measure
from ai.limits import last_fields
from ai.protocols.completions import Completions
from ai.protocols.embeddings import Embeddings
from ai.protocols.messages import Messages
from ai.protocols.openai import ChatCompletions
from ai.protocols.responses import Responses
from ai.relay import encoded
from billing.admission import Offer, afford
from billing.calls import Call
from billing.errors import CallTooDear, UnpricedField
from billing.listing import rates_text
from billing.metering import charge
from billing.pricing import FIXED, METERED, Terms
from billing.rates import dearest, rates_of
from credits.errors import InsufficientCredits

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=20)
ACCOUNT = 7
#: `make prove-ceiling` tries 100,000.
EXAMPLES = int(os.environ.get("EXAMPLES", "3000"))
SEED = int(os.environ.get("SEED", "0")) or random.getrandbits(32)

MODELS = ["a/cheap", "b/dear", "c/long"]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "description": "d" * 50, "parameters": {"type": "object"}}}
CLOCKS = ["00:00", "11:30", "11:50", "12:00", "12:05", "12:10", "12:20", "13:00", "23:00"]


def some_text(rng):
    return "".join(chr(rng.choice((97, 34, 10, 233, 8364, 128512))) for _ in range(rng.choice((0, 1, 20, 200))))


def some_content(rng):
    if rng.random() < 0.6:
        return some_text(rng)
    return [IMAGE if rng.random() < 0.3 else {"type": "text", "text": some_text(rng)} for _ in range(rng.randint(0, 4))]


def some_of(rng, fields):
    """Each of ``fields`` with even odds."""
    return {name: make() for name, make in fields.items() if rng.random() < 0.5}


def some_size(rng, most):
    """A number up to ``most``, of any magnitude."""
    return max(1, min(most, int(10 ** rng.uniform(0, 7))))


def some_messages(rng):
    return [{"role": "user", "content": some_content(rng)} for _ in range(rng.randint(1, 6))]


def some_prompts(rng):
    """One prompt, or several, each answered for itself."""
    return [some_text(rng) or "x" for _ in range(rng.randint(1, 5))] if rng.random() < 0.7 else some_text(rng) or "x"


def some_request(rng):
    """A wire format and a body in it."""
    several = {"n": lambda: rng.choice((1, 2, 128))}
    asked = {
        ChatCompletions: ("messages", some_messages, ("max_tokens", "max_completion_tokens"), several),
        Messages: ("messages", some_messages, ("max_tokens",), {"system": lambda: some_text(rng)}),
        Responses: ("input", some_messages, ("max_output_tokens",), {"instructions": lambda: some_text(rng)}),
        Completions: ("prompt", some_prompts, ("max_tokens",), several),
        Embeddings: ("input", some_prompts, (), {"dimensions": lambda: 8}),
    }
    form = rng.choice(list(asked))
    name, make, limits, more = asked[form]
    body = {"model": rng.choice(MODELS), name: make(rng)} | some_of(
        rng,
        {
            "models": lambda: [rng.choice(MODELS) for _ in range(rng.randint(0, 3))],
            "tools": lambda: [TOOL] * rng.randint(0, 3),
            "stream": lambda: rng.random() < 0.5,
            "provider": lambda: {"max_price": {"prompt": "0.000001"}},
            "response_format": lambda: {"type": "json_object"},
            **{limit: lambda: some_size(rng, 10**6) for limit in limits},
            **more,
        },
    )
    return form(), body


def some_price(rng):
    return rng.choice(("0", f"{rng.randint(1, 10**4)}e-9", f"{rng.randint(1, 10**9)}e-13"))


def some_override(rng):
    return some_of(
        rng,
        {
            "min_prompt_tokens": lambda: rng.randint(0, 5000),
            "prompt": lambda: some_price(rng),
            "completion": lambda: some_price(rng),
            "utc_start": lambda: rng.choice(CLOCKS),
            "utc_end": lambda: rng.choice(CLOCKS),
        },
    )


def some_entry(rng):
    pricing = {"prompt": some_price(rng), "completion": some_price(rng)} | some_of(
        rng,
        {
            "request": lambda: some_price(rng),
            "image": lambda: some_price(rng),
            "internal_reasoning": lambda: some_price(rng),
            "input_cache_write": lambda: some_price(rng),
            "overrides": lambda: [some_override(rng) for _ in range(rng.randint(1, 3))],
        },
    )
    longest = rng.choice((None, some_size(rng, 10**5)))
    return {
        "context_length": some_size(rng, 200_000),
        "top_provider": {"max_completion_tokens": longest},
        "pricing": pricing,
    }


def some_terms(rng):
    if rng.random() < 0.3:
        return Terms(1, FIXED, rng.randint(0, 10**8), most_cost=some_size(rng, 10**7) * 10**9)
    return Terms(1, METERED, some_size(rng, 10**6), rate=some_size(rng, 10**7) * 1000, markup=some_size(rng, 10**7))


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


def prompts_in(body):
    """The contents of each prompt that is answered for itself."""
    if "messages" in body or (isinstance(body.get("input"), list) and isinstance(body["input"][0], dict)):
        messages = body.get("messages") or body["input"]
        return [[*(message["content"] for message in messages), body.get("system", ""), body.get("instructions", "")]]
    given = body.get("prompt") or body["input"]
    return [[given]] if isinstance(given, str) else [[each] for each in given]


def length_of(content):
    if isinstance(content, str):
        return len(content.encode())
    return sum(len(part.get("text", "").encode()) for part in content)


def bill(rng, body, entry):
    """What a provider that honours its limits may bill for ``body``: anything up to them."""
    prompts = prompts_in(body)
    images = sum(isinstance(content, list) and content.count(IMAGE) for contents in prompts for content in contents)
    around = 100 * len(body.get("tools", []))
    read = [
        sum(4 + length_of(content) for content in contents) + images * TOKENS_OF_IMAGE + around for contents in prompts
    ]
    prompt_tokens = sum(min(tokens, entry["context_length"]) for tokens in read)
    at = NOW + rng.random() * LIFETIME
    prices = {
        name: price_at(entry["pricing"], name, prompt_tokens=prompt_tokens, at=at)
        for name in ("prompt", "completion", "request", "image", "internal_reasoning", "input_cache_write")
    }
    limits = [body[name] for name in ("max_completion_tokens", "max_tokens", "max_output_tokens") if name in body]
    completion_tokens = sum(limits[:1]) * body.get("n", 1) * len(prompts)
    reasoned, written = rng.random() < 0.5, rng.random() < 0.5
    return (
        prompt_tokens * (max(prices["input_cache_write"], prices["prompt"]) if written else prices["prompt"])
        + completion_tokens
        * (max(prices["internal_reasoning"], prices["completion"]) if reasoned else prices["completion"])
        + prices["request"]
        + images * prices["image"]
    )


def test_hold_is_never_less_than_what_is_billed():
    print(f"SEED={SEED} EXAMPLES={EXAMPLES}")  # shown when it fails
    rng, admitted, clamped = random.Random(SEED), 0, 0
    for _ in range(EXAMPLES):
        decision = admitted_and_billed(rng)
        if decision is not None:
            admitted += 1
            clamped += decision.limits.is_clamped

    assert admitted > EXAMPLES // 3
    assert clamped > EXAMPLES // 100


def admitted_and_billed(rng):
    """Ask for a call, and let a provider bill all that it may. Returns the decision; None if it was refused."""
    (form, body), table, terms = some_request(rng), {model: some_entry(rng) for model in MODELS}, some_terms(rng)
    available = some_size(rng, 10**7) * 10**6
    wanted = form.read(body)
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
        return None
    assert decision.amount <= available
    sent = {name: value for name, value in wanted.payload.items() if name not in wanted.limit_fields}
    sent |= last_fields(wanted, decision.limits, "u")

    cost = bill(rng, sent, table[rng.choice(named)])

    if terms.type == FIXED:
        assert cost * 10**15 <= terms.most_cost * wanted.quantity
    else:
        call = replace(CALL, terms=terms, limits=decision.limits, held=decision.amount)
        assert charge(call, Exactly(wanted.quantity, cost)) <= decision.amount
    return decision


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


class Exactly:
    """A report of a cost that no decimal text may be able to say."""

    prompt_tokens = completion_tokens = kept_percent = None

    def __init__(self, delivered, cost):
        self.delivered, self.exact_cost = delivered, cost


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
