"""What a call costs: exact products, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import METERED, Terms, ceiling, charge

AMOUNTS = st.integers(0, 2**53)
QUANTITIES = st.integers(0, 1000)


@given(AMOUNTS, QUANTITIES)
def test_ceiling_is_the_price_of_all_that_is_asked_for(amount, quantity):
    assert ceiling(Terms(1, "FIXED", amount), quantity) == sum([amount] * quantity)


@given(AMOUNTS, QUANTITIES, QUANTITIES)
def test_charge_is_for_what_was_delivered_and_never_above_the_ceiling(amount, asked, delivered):
    terms = Terms(1, "FIXED", amount)

    assert charge(terms, delivered) == amount * delivered
    assert (charge(terms, delivered) <= ceiling(terms, asked)) or delivered > asked


@given(AMOUNTS)
def test_nothing_delivered_is_free(amount):
    assert charge(Terms(1, "FIXED", amount), 0) == 0


@pytest.mark.parametrize("compute", [ceiling, charge])
@pytest.mark.parametrize("type_", [METERED, "", "fixed"])
def test_price_of_another_type_is_never_guessed(compute, type_):
    with pytest.raises(ValueError, match=f"type {type_} has no ceiling"):
        compute(Terms(1, type_, 1), 1)
