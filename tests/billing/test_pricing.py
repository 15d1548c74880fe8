"""What a call costs, and what it can cost at most."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import (
    FIXED,
    METERED,
    Demand,
    Limits,
    Terms,
    affordable,
    allowed,
    cost,
    price,
    quote,
    wanted,
    within,
    worth,
)
from billing.rates import FEMTO, Rates

AMOUNTS = st.integers(0, 2**53)
QUANTITIES = st.integers(0, 1000)
MARKUPS = st.integers(1, 10**9)
RATES_OF_EXCHANGE = st.integers(1, 10**12)
FEMTOS = st.integers(0, 10**15)
TOKENS = st.integers(1, 2_000_000)
DEMANDS = st.builds(
    Demand,
    prompt_tokens=st.integers(0, 10**7),
    images=st.integers(0, 20),
    completion_tokens=st.none() | TOKENS,
    choices=st.integers(1, 128),
    calls=st.integers(1, 4),
)
RATES = st.builds(
    Rates,
    prompt=FEMTOS,
    completion=FEMTOS,
    input=FEMTOS,
    output=FEMTOS,
    request=FEMTOS,
    image=FEMTOS,
    context=TOKENS,
    longest=TOKENS,
)
METERED_TERMS = st.builds(
    Terms,
    price_id=st.just(1),
    type=st.just(METERED),
    amount=st.integers(0, 10**9),
    rate=RATES_OF_EXCHANGE,
    markup=MARKUPS,
)


@given(AMOUNTS, QUANTITIES)
def test_fixed_price_is_for_each_unit(amount, quantity):
    assert price(Terms(1, FIXED, amount), quantity) == sum([amount] * quantity)


@pytest.mark.parametrize("type_", [METERED, "", "fixed", "WITHDRAWN"])
def test_price_of_another_type_is_never_guessed(type_):
    with pytest.raises(ValueError, match=f"type {type_} is not fixed"):
        price(Terms(1, type_, 1), 1)


def test_metered_price_is_the_cost_times_the_markup_at_the_rate():
    """$0.0001335 at 1.2 times and 100 credits for a dollar are 0.01602 credits."""
    terms = Terms(1, METERED, 0, rate=100 * 10**7, markup=1_200_000)

    assert worth(terms, Fraction("0.0001335") * FEMTO) == 160_200


@pytest.mark.parametrize(
    ("femtos", "units"), [(0, 7), (1, 7), (7 * 10**8, 7), (7 * 10**8 + 1, 8), (Fraction(7 * 10**8 * 3 + 1, 3), 8)]
)
def test_metered_price_is_rounded_up_once_and_never_below_the_least(femtos, units):
    assert worth(Terms(1, METERED, 7, rate=10**7, markup=10**5), femtos * 10) == max(units, 7)


@given(METERED_TERMS, FEMTOS)
def test_metered_price_is_exact(terms, femtos):
    exact = Fraction(femtos, FEMTO) * terms.rate * Fraction(terms.markup, 10**6)

    units = worth(terms, femtos)

    assert units == terms.amount or 0 <= units - exact < 1
    assert units >= exact


@given(METERED_TERMS, DEMANDS, RATES, st.integers(0, 10**15))
def test_tokens_that_are_affordable_are_and_one_more_is_not(terms, demand, rates, available):
    tokens = affordable(terms, demand, rates, available=available)

    def held(tokens):
        return worth(terms, cost(demand, rates, tokens))

    if tokens >= 0:
        assert held(tokens) <= available
    if tokens >= 0 and rates.output:
        assert held(tokens + 1) > available
    if tokens < 0:
        assert held(0) > available


@given(FEMTOS, DEMANDS, RATES, st.integers(1, 10))
def test_fixed_price_bounds_our_cost(most_cost, demand, rates, quantity):
    terms = Terms(1, FIXED, 5, most_cost=most_cost)

    tokens = allowed(terms, quantity, demand, rates)

    if tokens >= 0:
        assert cost(demand, rates, tokens) <= most_cost * quantity
        assert tokens <= wanted(demand, rates)
    else:
        assert cost(demand, rates, 0) > most_cost * quantity
    assert within(most_cost * quantity, demand, rates) >= tokens


def test_plain_fixed_price_needs_no_limits():
    quoted = quote(Terms(1, FIXED, 5), 3, Demand(), None, 0)

    assert (quoted.amount, quoted.limits) == (15, None)


# Examples where a femtodollar is worth a unit.

RATES_OF_MODEL = Rates(prompt=3, completion=5, input=3, output=5, request=7, image=11, context=1000, longest=500)
AT_COST = Terms(1, METERED, 0, rate=FEMTO, markup=10**6)


@pytest.mark.parametrize(("limit", "tokens"), [(None, 500), (200, 200), (1000, 1000), (1001, 1000)])
def test_answer_is_as_long_as_was_asked_for_and_as_the_model_has_room_for(limit, tokens):
    assert wanted(Demand(completion_tokens=limit), RATES_OF_MODEL) == tokens


@pytest.mark.parametrize(
    ("demand", "units"),
    [
        (Demand(prompt_tokens=100), 300 + 7),
        (Demand(prompt_tokens=5000), 3000 + 7),
        (Demand(prompt_tokens=100, images=2), 300 + 22 + 7),
        (Demand(prompt_tokens=100, choices=3), 300 + 21),
        (Demand(prompt_tokens=100, images=1, choices=2, calls=4), 4 * (300 + 11 + 14)),
    ],
)
def test_call_costs_its_prompt_its_images_and_each_of_its_answers(demand, units):
    assert cost(demand, RATES_OF_MODEL, 0) == units
    assert cost(demand, RATES_OF_MODEL, 10) == units + 50 * demand.choices * demand.calls


@pytest.mark.parametrize(("tokens", "prompts", "read"), [(2500, 1, 1000), (2500, 2, 2000), (2500, 3, 2500)])
def test_each_prompt_of_a_call_may_fill_the_context(tokens, prompts, read):
    demand = Demand(prompt_tokens=tokens, prompts=prompts, completion_tokens=0)

    assert cost(demand, RATES_OF_MODEL, 0) == 3 * read + 7


@pytest.mark.parametrize("left", [0, -1])
def test_budget_that_is_spent_before_the_first_token_has_room_for_none_even_if_they_are_free(left):
    free = replace(RATES_OF_MODEL, output=0)

    assert within(307 + left, Demand(prompt_tokens=100), free) == (500 if left == 0 else -1)


@pytest.mark.parametrize(
    ("terms", "available", "tokens"),
    [
        (replace(AT_COST, amount=627), 627, 64),
        (replace(AT_COST, amount=627), 626, -1),
        (Terms(1, METERED, 5), 5, 500),
        (Terms(1, METERED, 5), 4, -1),
    ],
)
def test_least_charge_must_be_affordable(terms, available, tokens):
    assert affordable(terms, Demand(prompt_tokens=100), RATES_OF_MODEL, available=available) == tokens


def test_fixed_price_without_a_ceiling_on_our_cost_limits_nothing_although_rates_are_known():
    assert quote(Terms(1, FIXED, 5), 3, Demand(), RATES_OF_MODEL, 10).limits is None


def test_metered_price_is_not_quoted_without_rates():
    with pytest.raises(ValueError, match="not fixed"):
        quote(AT_COST, 1, Demand(), None, 10)


@pytest.mark.parametrize(("tokens", "is_clamped"), [(499, True), (500, False)])
def test_answer_is_clamped_that_is_shorter_than_was_asked_for(tokens, is_clamped):
    assert quote(AT_COST, 1, Demand(), RATES_OF_MODEL, tokens).limits == Limits(tokens, is_clamped, RATES_OF_MODEL)
