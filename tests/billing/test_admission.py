"""The decision, refusal by refusal, in their order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import (
    AddressNotAllowed,
    CustomerNotFound,
    FeatureNotAllowed,
    InvalidApiKey,
    ModelNotAllowed,
    PermissionDenied,
    PrepaidError,
    Suspended,
)
from billing.admission import NOBODY, Asked, Caller, Offer, afford, check, decide, offers_of
from billing.errors import CallTooDear, UnknownPrice
from billing.prices import Listed, PriceList
from billing.pricing import Demand, Terms
from billing.rates import FEMTO, Rates
from credits.amounts import number
from credits.errors import InsufficientCredits

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TICK = timedelta.resolution
TERMS = Terms(price_id=1, type="FIXED", amount=5)
KEY = Caller(
    customer_id=1,
    account_id=2,
    key_id=3,
    user_id=None,
    mode="live",
    scopes="ai read",
    is_active=True,
    suspended_at=None,
    expires_at=None,
    revoked_at=None,
    last_used_at=None,
)
PERSON = replace(KEY, key_id=None, user_id=4, scopes="ai read manage")
ASKED = Asked(("openai/gpt-4o-mini",), "ai_text_chat", "192.0.2.7")


def held(caller, *terms, quantity=3, available=0):
    """What is held where credits, and nothing else, have ``available``."""
    offers = [Offer("credits", caller.account_id, (each,)) for each in terms if each is not None]
    available = {caller.account_id: available}
    return decide(caller, offers, asked=ASKED, quantity=quantity, available=available, now=NOW).amount


@pytest.mark.parametrize(
    "caller",
    [
        KEY,
        PERSON,
        replace(KEY, scopes="ai"),
        replace(KEY, scopes="manage ai read"),
        replace(KEY, expires_at=NOW + TICK),
        replace(KEY, last_used_at=NOW),
        replace(KEY, mode="test"),
        replace(KEY, allowed_models="openai/*", allowed_features="ai_text_chat", allowed_addresses="192.0.2.0/24"),
    ],
)
def test_whoever_may_spend_and_can_afford_it_is_admitted(caller):
    assert held(caller, TERMS, available=15) == 15


@pytest.mark.parametrize(
    ("caller", "terms", "available", "refusal"),
    [
        (replace(KEY, revoked_at=NOW - TICK), TERMS, 15, InvalidApiKey),
        (replace(KEY, revoked_at=NOW + TICK), TERMS, 15, InvalidApiKey),
        (replace(KEY, expires_at=NOW), TERMS, 15, InvalidApiKey),
        (replace(KEY, expires_at=NOW - TICK), TERMS, 15, InvalidApiKey),
        (replace(KEY, suspended_at=NOW + TICK), TERMS, 15, Suspended),
        (replace(KEY, is_active=False), TERMS, 15, Suspended),
        (replace(PERSON, suspended_at=NOW - TICK), TERMS, 15, Suspended),
        (replace(PERSON, is_active=False), TERMS, 15, Suspended),
        (replace(KEY, scopes=""), TERMS, 15, PermissionDenied),
        (replace(KEY, scopes="read manage"), TERMS, 15, PermissionDenied),
        (replace(KEY, scopes="aim fair,ai"), TERMS, 15, PermissionDenied),
        (replace(PERSON, scopes="read"), TERMS, 15, PermissionDenied),
        (replace(PERSON, customer_id=NOBODY, account_id=NOBODY, scopes=""), TERMS, 15, CustomerNotFound),
        (replace(KEY, allowed_addresses="198.51.100.0/24"), TERMS, 15, AddressNotAllowed),
        (replace(KEY, allowed_features="ai_image_generation"), TERMS, 15, FeatureNotAllowed),
        (replace(KEY, allowed_models="anthropic/*"), TERMS, 15, ModelNotAllowed),
        (KEY, None, 15, UnknownPrice),
        (KEY, Terms(1, "METERED", 5), 15, UnknownPrice),
        (KEY, TERMS, 14, InsufficientCredits),
        (KEY, TERMS, 0, InsufficientCredits),
        (KEY, TERMS, -1, InsufficientCredits),
    ],
)
def test_refusal(caller, terms, available, refusal):
    with pytest.raises(PrepaidError) as raised:
        held(caller, terms, available=available)

    assert type(raised.value) is refusal


def test_refusals_come_in_one_order():
    """Whoever has several reasons to be refused hears of the first; putting that right shows the next."""
    wrongs = [
        ({"revoked_at": NOW, "expires_at": NOW}, InvalidApiKey, None),
        ({"suspended_at": NOW, "is_active": False}, Suspended, None),
        ({"scopes": "read"}, PermissionDenied, "it lacks the scope 'ai'"),
        ({"allowed_addresses": "198.51.100.0/24"}, AddressNotAllowed, None),
        ({"allowed_features": "ai_image_generation"}, FeatureNotAllowed, None),
        ({"allowed_models": "anthropic/*"}, ModelNotAllowed, None),
    ]
    for first, (_, refusal, says) in enumerate(wrongs):
        caller = replace(KEY, **{name: value for wrong, _, _ in wrongs[first:] for name, value in wrong.items()})
        with pytest.raises(refusal, match=says):
            held(caller)
    with pytest.raises(UnknownPrice):
        held(KEY)


@given(st.integers(0, 10**9), st.integers(0, 100), st.integers(-1, 10**11))
def test_admitted_is_what_is_available_and_for_the_ceiling(amount, quantity, available):
    try:
        units = held(KEY, Terms(1, "FIXED", amount), quantity=quantity, available=available)
    except InsufficientCredits:
        assert amount * quantity > available
    else:
        assert units == amount * quantity <= available


def test_refusal_for_want_of_credits_tells_how_many():
    with pytest.raises(InsufficientCredits) as refusal:
        held(KEY, Terms(1, "FIXED", 10_000_000), quantity=5, available=25_000_000)

    assert refusal.value.extra == {"required": 5, "available": "2.5"}


def test_actor_is_who_asked():
    assert (KEY.actor, PERSON.actor) == ("key:3", "user:4")


# Currencies

CREDITS_TERMS, USDC_TERMS = Terms(1, "FIXED", 10_000_000), Terms(2, "FIXED", 500_000)
RICH = replace(KEY, usdc_account_id=9)
IN_CREDITS = Listed(0, "ai_text_chat", "credits", "*", CREDITS_TERMS)
IN_USDC = Listed(0, "ai_text_chat", "usdc", "*", USDC_TERMS)
BOTH = PriceList([IN_CREDITS, IN_USDC])


def paid_by(caller, prices, available):
    offers = offers_of(caller, ASKED, prices)
    decision = decide(caller, offers, asked=ASKED, quantity=2, available=available, now=NOW)
    return decision.offer.currency, decision.offer.account_id, decision.amount


@pytest.mark.parametrize(
    ("available", "paid"),
    [
        ({2: 20_000_000, 9: 1_000_000}, ("credits", 2, 20_000_000)),
        ({2: 20_000_000}, ("credits", 2, 20_000_000)),
        ({2: 19_999_999, 9: 1_000_000}, ("usdc", 9, 1_000_000)),
        ({9: 1_000_000}, ("usdc", 9, 1_000_000)),
    ],
)
def test_credits_pay_first_and_one_account_pays_it_all(available, paid):
    assert paid_by(RICH, BOTH, available) == paid


def test_two_accounts_do_not_pay_for_a_call_together():
    with pytest.raises(InsufficientCredits) as refusal:
        paid_by(RICH, BOTH, {2: 19_999_999, 9: 999_999})

    assert refusal.value.extra == {"required": 2, "available": "1.9999999"}


def test_usdc_pays_where_there_is_a_price_in_it_alone():
    with pytest.raises(InsufficientCredits):
        paid_by(RICH, PriceList([IN_CREDITS]), {9: 10**12})
    only = PriceList([IN_USDC])
    assert paid_by(RICH, only, {2: 10**12, 9: 1_000_000}) == ("usdc", 9, 1_000_000)


def test_what_is_missing_is_said_in_usdc_where_that_alone_can_pay():
    with pytest.raises(InsufficientCredits) as refusal:
        paid_by(KEY, PriceList([IN_USDC]), {2: 10**12})

    assert refusal.value.extra == {"required": "0.10", "available": "0.00", "currency": "usdc"}
    assert "needs 0.10 USDC and 0.00 are available" in refusal.value.message


def test_a_test_key_is_offered_test_credits_alone():
    offers = offers_of(replace(RICH, mode="test"), ASKED, BOTH)

    assert offers == [Offer("test", 2, (CREDITS_TERMS,))]


def test_models_of_the_customer_and_of_the_installation_are_asked_for_as_well():
    with pytest.raises(ModelNotAllowed):
        held(replace(KEY, customers_models="anthropic/*"), TERMS, available=15)
    with pytest.raises(ModelNotAllowed):
        check(KEY, asked=ASKED, now=NOW, installation_models="anthropic/*")

    check(replace(KEY, customers_models="openai/*"), asked=ASKED, now=NOW, installation_models="openai/*")


def test_what_names_no_model_has_the_price_of_all_of_them():
    assert offers_of(RICH, Asked((), "ai_text_chat"), BOTH) == offers_of(RICH, ASKED, BOTH)


def test_dearest_of_several_fixed_prices_is_held():
    offer = Offer("credits", 2, (TERMS, replace(TERMS, amount=7), replace(TERMS, amount=6)))

    assert afford([offer], quantity=3, available={2: 21}).amount == 21


@pytest.mark.parametrize(("amount", "is_admitted"), [(0, True), (1, False)])
def test_account_that_is_not_there_has_nothing(amount, is_admitted):
    terms = Terms(1, "FIXED", amount)
    metered = Offer("credits", 2, (AT_COST,))
    rates = replace(RATES, input=amount, output=0, request=0)
    demand = Demand(prompt_tokens=1, completion_tokens=0)
    if is_admitted:
        assert afford([Offer("credits", 2, (terms,))], quantity=1, available={}).amount == 0
        assert afford([metered], quantity=1, available={}, demand=demand, rates=rates).amount == 0
        return
    with pytest.raises(InsufficientCredits) as fixed:
        afford([Offer("credits", 2, (terms,))], quantity=1, available={})
    with pytest.raises(InsufficientCredits) as refusal:
        afford([metered], quantity=1, available={}, demand=demand, rates=rates)
    assert fixed.value.extra == {"required": "0.0000001", "available": 0}
    assert refusal.value.extra == {"required": "0.0000001", "available": 0, "affordableMaxTokens": 0}


# Metered prices, where a femtodollar is worth a unit: 307 before the answer, and 5 for each of its tokens.

RATES = Rates(prompt=3, completion=5, input=3, output=5, request=7, image=11, context=1000, longest=500)
AT_COST = Terms(1, "METERED", 0, rate=FEMTO, markup=10**6)
DEMAND = Demand(prompt_tokens=100, completion_tokens=200)
WHOLE = 307 + 200 * 5
SHORTEST = 307 + 64 * 5


def metered(available, *terms, demand=DEMAND, rates=RATES, quantity=1):
    """What is decided where accounts have ``available``, and each has its price of ``terms``."""
    prices = terms or [AT_COST] * len(available)
    offers = [Offer("credits", number, (each,)) for number, each in zip(available, prices, strict=True)]
    decision = afford(offers, quantity=quantity, available=available, demand=demand, rates=rates)
    limits = decision.limits
    return decision.offer.account_id, decision.amount, limits.max_tokens, limits.is_clamped


@pytest.mark.parametrize(
    ("available", "decided"),
    [
        ({1: WHOLE}, (1, WHOLE, 200, False)),
        ({1: WHOLE - 1}, (1, WHOLE - 5, 199, True)),
        ({1: SHORTEST}, (1, SHORTEST, 64, True)),
        ({1: WHOLE - 1, 2: WHOLE}, (2, WHOLE, 200, False)),
        ({1: SHORTEST, 2: WHOLE - 1}, (1, SHORTEST, 64, True)),
        ({1: SHORTEST - 1, 2: SHORTEST}, (2, SHORTEST, 64, True)),
    ],
)
def test_whole_answer_is_paid_by_whoever_can_and_else_a_shorter_one(available, decided):
    assert metered(available) == decided


@pytest.mark.parametrize(("available", "tokens"), [(SHORTEST - 1, 63), (312, 1), (307, 0), (306, 0), (0, 0)])
def test_refusal_tells_how_short_an_answer_would_be_affordable(available, tokens):
    with pytest.raises(InsufficientCredits) as refusal:
        metered({1: available})

    assert refusal.value.extra == {
        "required": "0.0001307",
        "available": number(available),
        "affordableMaxTokens": tokens,
    }


def test_answer_that_cannot_be_limited_is_paid_whole_or_not_at_all():
    demand = replace(DEMAND, can_be_limited=False)

    assert metered({1: WHOLE}, demand=demand) == (1, WHOLE, 200, False)
    with pytest.raises(InsufficientCredits) as refusal:
        metered({1: WHOLE - 1}, demand=demand)
    assert refusal.value.extra["affordableMaxTokens"] == 199


def test_refusal_says_no_more_tokens_than_were_asked_for():
    """The least charge is what is too much here."""
    with pytest.raises(InsufficientCredits) as refusal:
        metered({1: WHOLE}, replace(AT_COST, amount=WHOLE + 1))

    assert refusal.value.extra["affordableMaxTokens"] == 0


def test_fixed_price_that_bounds_our_cost_shortens_the_answer_or_refuses_it():
    bounded = Terms(1, "FIXED", 9, most_cost=SHORTEST)

    assert metered({1: 9}, bounded) == (1, 9, 64, True)
    with pytest.raises(CallTooDear):
        metered({1: 9}, replace(bounded, most_cost=SHORTEST - 1))
    with pytest.raises(InsufficientCredits) as refusal:
        metered({1: 8}, bounded)
    assert refusal.value.extra == {"required": "0.0000009", "available": "0.0000008"}


def several(*terms, available):
    """The decision where several models may answer, each at its price."""
    offer = Offer("credits", 1, terms)
    return afford([offer], quantity=1, available={1: available}, demand=DEMAND, rates=RATES)


def test_dearest_of_several_prices_is_held_and_the_shortest_answer_that_any_allows():
    dear = replace(AT_COST, markup=2 * 10**6)
    bounded = Terms(1, "FIXED", 9, most_cost=307 + 100 * 5)

    whole = several(AT_COST, dear, available=2 * WHOLE)
    short = several(AT_COST, dear, available=2 * WHOLE - 1)
    allowed = several(AT_COST, bounded, available=WHOLE)

    assert (whole.terms, whole.amount, whole.limits.max_tokens) == (dear, 2 * WHOLE, 200)
    assert (short.terms, short.amount, short.limits.max_tokens) == (dear, 2 * WHOLE - 10, 199)
    assert (allowed.terms, allowed.amount, allowed.limits.max_tokens) == (AT_COST, 307 + 100 * 5, 100)


def test_answer_is_shortened_beside_a_fixed_price_that_takes_all_there_is():
    fixed = Terms(1, "FIXED", 650)

    decisions = [several(*terms, available=650) for terms in ((AT_COST, fixed), (fixed, AT_COST))]

    assert [(decision.amount, decision.limits.max_tokens) for decision in decisions] == [(650, 68)] * 2


def test_refusal_tells_what_the_first_account_lacks():
    with pytest.raises(InsufficientCredits) as refusal:
        metered({1: 100, 2: 200})

    assert refusal.value.extra["available"] == number(100)


def test_free_answer_that_cannot_be_limited_needs_no_account():
    free = Rates(prompt=0, completion=0, input=0, output=0, request=0, image=0, context=1000, longest=500)
    offer = Offer("credits", 1, (AT_COST,))

    demand = replace(DEMAND, can_be_limited=False)
    assert afford([offer], quantity=1, available={}, demand=demand, rates=free).amount == 0


def test_no_answer_is_affordable_where_a_fixed_price_among_several_is_not():
    with pytest.raises(InsufficientCredits) as refusal:
        several(AT_COST, Terms(1, "FIXED", 700), available=650)

    assert refusal.value.extra["affordableMaxTokens"] == 0


def test_offer_needs_rates_if_one_of_its_prices_does_and_others_pay_without_them():
    mixed = Offer("credits", 1, (TERMS, AT_COST))

    assert mixed.needs_rates
    assert afford([mixed, Offer("usdc", 2, (TERMS,))], quantity=1, available={2: 5}).offer.currency == "usdc"
    with pytest.raises(UnknownPrice):
        afford([mixed], quantity=1, available={1: 10**9})
