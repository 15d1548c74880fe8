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
from billing.admission import NOBODY, Asked, Caller, decide
from billing.errors import UnknownPrice
from billing.pricing import Terms
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
    assert decide(caller, TERMS, asked=ASKED, quantity=3, available=15, now=NOW) == 15


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
        decide(caller, terms, asked=ASKED, quantity=3, available=available, now=NOW)

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
            decide(caller, None, asked=ASKED, quantity=3, available=0, now=NOW)
    with pytest.raises(UnknownPrice):
        decide(KEY, None, asked=ASKED, quantity=3, available=0, now=NOW)


@given(st.integers(0, 10**9), st.integers(0, 100), st.integers(-1, 10**11))
def test_admitted_is_what_is_available_and_for_the_ceiling(amount, quantity, available):
    try:
        held = decide(KEY, Terms(1, "FIXED", amount), asked=ASKED, quantity=quantity, available=available, now=NOW)
    except InsufficientCredits:
        assert amount * quantity > available
    else:
        assert held == amount * quantity <= available


def test_refusal_for_want_of_credits_tells_how_many():
    with pytest.raises(InsufficientCredits) as refusal:
        decide(KEY, Terms(1, "FIXED", 10_000_000), asked=ASKED, quantity=5, available=25_000_000, now=NOW)

    assert refusal.value.extra == {"required": 5, "available": "2.5"}


def test_actor_is_who_asked():
    assert (KEY.actor, PERSON.actor) == ("key:3", "user:4")
