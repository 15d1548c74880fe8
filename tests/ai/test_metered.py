"""Calls that are charged by the provider's cost, from the hold to the last unit."""

from datetime import timedelta
from decimal import Decimal

import pytest

from ai.providers.simulator.catalogue import BY_ID, MODELS
from billing.listing import keep
from billing.models import Price, UsageRecord
from credits.amounts import UNIT, parse
from credits.models import Hold
from credits.services import adjust
from tests.ai.prepaid import MODEL, pending, until, usage

#: A hundred credits for a dollar, 20 % on top, a ten-thousandth of a credit at the least.
METERED = {"type": "METERED", "amount": parse("0.0001"), "rate": 100 * UNIT, "markup": 1_200_000}


@pytest.fixture
def catalogue(transactional_db, now):
    keep(MODELS, now=now)


@pytest.fixture
def metered(catalogue, now):
    return Price.objects.create(feature="ai_text_chat", effective_at=now - timedelta(seconds=1), **METERED)


def leave(account, amount, now):
    """Take all but ``amount`` credits."""
    adjust(account=account, amount=parse(amount) - 100 * UNIT, reference="T", memo="m", actor="system", now=now)


def charge_for(cost):
    exact = Decimal(cost) * 120 * UNIT
    return max(METERED["amount"], int(exact.to_integral_value(rounding="ROUND_CEILING")))


@pytest.mark.parametrize("stream", [False, True])
def test_call_is_charged_what_it_cost_times_the_markup(prepaid, metered, simulator, account, stream):
    answer = prepaid.chat(stream=stream)

    [booked] = simulator.ended_books()
    record = usage()
    assert answer.status_code == 200
    assert (record.charged, record.cost_report) == (charge_for(booked["cost"]), "REPORTED")
    assert 0 < record.charged <= record.held
    account.refresh_from_db()
    assert (account.balance, account.held) == (100 * UNIT - record.charged, 0)


def test_provider_is_told_what_the_hold_was_computed_from(prepaid, metered, simulator):
    prepaid.chat(provider={"order": ["azure"], "max_price": {"prompt": 0.1}})

    sent = simulator.requests()[-1]["body"]
    assert sent["max_tokens"] == BY_ID[MODEL]["top_provider"]["max_completion_tokens"]
    assert sent["provider"] == {
        "order": ["azure"],
        "max_price": {"prompt": "0.1", "completion": "0.6", "request": "0", "image": "0"},
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit_of_the_caller_is_held_and_sent_under_its_name(prepaid, metered, simulator, name):
    held = {}
    for limit in (100, 200):
        held[limit] = prepaid.chat(**{name: limit}).headers["X-Credits-Held"]
        body = simulator.requests()[-1]["body"]
        assert {field: body[field] for field in body if field.startswith("max_")} == {name: limit}

    assert Decimal(held[200]) - Decimal(held[100]) == Decimal(100) * Decimal("0.0000006") * 120


@pytest.mark.parametrize("stream", [False, True])
def test_answer_is_clamped_to_what_is_affordable(prepaid, metered, simulator, account, now, stream):
    leave(account, "0.2", now)

    answer = prepaid.chat(stream=stream)

    most = int(answer.headers["X-Max-Tokens-Clamped"])
    assert answer.status_code == 200
    assert 64 <= most < 16_384
    assert simulator.requests()[-1]["body"]["max_tokens"] == most
    assert parse("0.2") - parse(answer.headers["X-Credits-Held"]) < Decimal("0.0000006") * 120 * UNIT
    assert usage().shortfall == 0


def test_call_that_is_not_clamped_says_nothing_of_it(prepaid, metered):
    assert "X-Max-Tokens-Clamped" not in prepaid.chat(max_tokens=100).headers


def test_refusal_names_what_a_shorter_answer_could_be(prepaid, metered, simulator, account, now):
    leave(account, "0.005", now)

    answer = prepaid.chat()

    stated = answer.json()["error"]
    assert (answer.status_code, stated["code"]) == (402, "insufficient_credits")
    assert (stated["available"], answer.headers["x-should-retry"]) == ("0.005", "false")
    assert parse(stated["required"]) > UNIT
    assert 0 <= stated["affordableMaxTokens"] < 64
    assert simulator.requests() == []


def test_model_that_the_catalogue_does_not_know_is_not_sold(prepaid, metered, simulator):
    answer = prepaid.chat(model="openai/gpt-99")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unknown_price")
    assert simulator.requests() == []


def test_fallbacks_are_held_for_at_the_dearest(prepaid, metered, simulator):
    dear = prepaid.chat(model="openai/gpt-4o", max_tokens=100).headers["X-Credits-Held"]
    several = prepaid.chat(models=[MODEL, "openai/gpt-4o"], max_tokens=100).headers["X-Credits-Held"]

    assert Decimal(several) > Decimal(dear)  # by the bytes of the list


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("cost", "report"),
    [
        ("0", "ZERO"),
        ("absent", "ABSENT"),
        ("-1", "NEGATIVE"),
        ("NaN", "NOT_FINITE"),
        ('"0.1"', "NOT_A_NUMBER"),
        ("1e308", "OUT_OF_RANGE"),
    ],
)
def test_cost_that_cannot_be_believed_is_estimated_from_the_tokens(prepaid, metered, stream, cost, report):
    prepaid.chat(stream=stream, metadata={"simulate": f"chunks=50&cost={cost}"})

    record = usage()
    listed = record.prompt_tokens * Decimal("0.00000015") + record.completion_tokens * Decimal("0.0000006")
    assert (record.cost_report, record.charged, record.shortfall) == (report, charge_for(listed), 0)


def test_cost_of_nothing_is_believed_of_a_free_model(prepaid, metered):
    prepaid.chat(model="deepseek/deepseek-chat-v3.1:free")

    record = usage()
    assert (record.cost_report, record.charged) == ("ZERO", METERED["amount"])


def test_more_than_was_held_is_our_loss(prepaid, metered, account):
    prepaid.chat(max_tokens=100, metadata={"simulate": "cost=5"})

    record = usage()
    assert (record.charged, record.shortfall) == (record.held, 5 * 120 * UNIT - record.held)
    account.refresh_from_db()
    assert account.balance == 100 * UNIT - record.held


def test_answer_that_fails_is_free(prepaid, metered, account):
    prepaid.chat(metadata={"simulate": "status=500"})

    assert (usage().charged, usage().status) == (0, UsageRecord.Status.FAILED)


def test_stream_that_was_cut_off_is_charged_by_the_providers_record(prepaid, metered, simulator):
    prepaid.chat(stream=True, hang_up_after=200, metadata={"simulate": "chunks=40&interval_ms=20"})

    until(lambda: Hold.objects.exists() and not pending())
    [booked] = simulator.ended_books()
    assert usage().charged == charge_for(booked["cost"])


def test_stream_ends_with_what_it_was_charged(prepaid, metered):
    lines = prepaid.chat(stream=True).content.decode().splitlines()

    record = usage()
    left = Decimal(100) - Decimal(record.charged) / UNIT
    [comment] = [line for line in lines if line.startswith(": credits")]
    assert comment == f": credits charged={Decimal(record.charged) / UNIT} available={left} currency=credits"


# Fixed prices with a ceiling on what a call may cost us


@pytest.fixture
def capped(catalogue, now):
    """One credit a chat, which may cost us a cent."""
    return Price.objects.create(
        feature="ai_text_chat", amount=UNIT, most_cost_picos=10**10, effective_at=now - timedelta(seconds=1)
    )


def test_one_credit_does_not_buy_a_dear_answer(prepaid, capped, simulator):
    answer = prepaid.chat(model="anthropic/claude-sonnet-4.5", max_tokens=64_000)

    sent = simulator.requests()[-1]["body"]
    assert answer.headers["X-Credits-Charged"] == "1"
    assert sent["max_tokens"] == int(answer.headers["X-Max-Tokens-Clamped"]) < 700
    assert sent["provider"]["max_price"]["completion"] == "15"


def test_what_the_ceiling_covers_is_not_clamped(prepaid, capped, simulator):
    answer = prepaid.chat(max_tokens=1000)

    assert (answer.status_code, "X-Max-Tokens-Clamped" in answer.headers) == (200, False)
    assert simulator.requests()[-1]["body"]["max_tokens"] == 1000


def test_prompt_that_is_dearer_than_the_ceiling_is_refused(prepaid, capped, simulator):
    answer = prepaid.chat(model="anthropic/claude-sonnet-4.5", messages=[{"role": "user", "content": "long " * 1000}])

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "call_too_dear")
    assert answer.headers["x-should-retry"] == "false"
    assert simulator.requests() == []


# What cannot be priced


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"plugins": [{"id": "web"}]}, "plugins[0]"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"model": "openai/gpt-4o:online"}, "model"),
        ({"models": [MODEL, "openai/gpt-4o:online"]}, "models[1]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"preset": "dear"}, "preset"),
    ],
)
def test_field_that_costs_money_is_refused_by_name(prepaid, simulator, account, fields, param):
    answer = prepaid.chat(**fields)

    stated = answer.json()["error"]
    assert (answer.status_code, stated["code"], stated["param"]) == (400, "unpriced_field", param)
    assert (simulator.requests(), Hold.objects.count()) == ([], 0)
