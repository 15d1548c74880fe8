"""What a key is for: what is not certainly allowed is refused."""

import pytest

from accounts.errors import AddressNotAllowed, FeatureNotAllowed, ModelNotAllowed
from billing import permits

MINI = "openai/gpt-4o-mini"
CALL = {
    "models": "",
    "features": "",
    "networks": "",
    "asked": (MINI,),
    "feature": "ai_text_chat",
    "address": "192.0.2.7",
}


@pytest.mark.parametrize(
    ("patterns", "model", "is_allowed"),
    [
        ("openai/gpt-4o-mini", MINI, True),
        ("openai/gpt-4o-mini", "OpenAI/GPT-4o-Mini", True),
        ("OpenAI/*", MINI, True),
        ("anthropic/* openai/gpt-4o*", MINI, True),
        ("*:free", "meta/llama:free", True),
        ("*", MINI, True),
        ("openai/gpt-4o-mini", "openai/gpt-4o", False),
        ("openai/gpt-4o", MINI, False),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini:online", False),
        ("*:free", MINI, False),
        ("openai/*", "openai/gpt-4o@preset/dear", False),
        ("openai/* @preset/*", "openai/gpt-4o@preset/dear", True),
        ("openai/*", "@preset/dear", False),
        ("@preset/dear", "@preset/dear", True),
        ("*", "", False),
    ],
)
def test_a_pattern_is_the_whole_model_with_stars_for_any_text(patterns: str, model: str, is_allowed: bool) -> None:
    assert permits.model_is_allowed(patterns, model) is is_allowed


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({}, (MINI,)),
        ({"models": None, "preset": ""}, (MINI,)),
        ({"models": ["a/b", "c/d"]}, (MINI, "a/b", "c/d")),
        ({"models": "a/b"}, (MINI, "a/b")),
        ({"models": ["a/b", 7]}, (MINI, "a/b", "")),
        ({"models": {"a": 1}}, (MINI, "")),
        ({"preset": "dear"}, (MINI, "@preset/dear")),
    ],
)
def test_every_model_that_may_answer_is_named(payload: dict[str, object], named: tuple[str, ...]) -> None:
    assert permits.models_named(MINI, payload) == named


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"address": ""},
        {"networks": "192.0.2.0/24 2001:db8::/32", "address": "2001:db8::1"},
        {"networks": "192.0.2.0/24", "address": "::ffff:192.0.2.7"},
        {"networks": "192.0.2.7"},
        {"features": "ai_image_generation ai_text_chat"},
        {"models": "openai/* anthropic/*", "asked": (MINI, "anthropic/claude")},
    ],
)
def test_what_a_key_is_for_passes(terms: dict[str, object]) -> None:
    permits.check(**CALL | terms)


@pytest.mark.parametrize(
    ("terms", "refusal"),
    [
        ({"networks": "192.0.2.0/28", "address": "192.0.2.16"}, AddressNotAllowed),
        ({"networks": "192.0.2.0/24", "address": ""}, AddressNotAllowed),
        ({"networks": "192.0.2.0/24", "address": "localhost"}, AddressNotAllowed),
        ({"networks": "192.0.2.0/24", "address": "::1"}, AddressNotAllowed),
        ({"features": "ai_text"}, FeatureNotAllowed),
        ({"features": "ai_text_chat", "feature": ""}, FeatureNotAllowed),
        ({"models": "anthropic/*"}, ModelNotAllowed),
        ({"models": "openai/*", "asked": (MINI, "anthropic/claude")}, ModelNotAllowed),
        ({"models": "*", "asked": (MINI, "")}, ModelNotAllowed),
        ({"models": "*", "asked": ()}, ModelNotAllowed),
    ],
)
def test_what_a_key_is_not_for_is_refused(terms: dict[str, object], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        permits.check(**CALL | terms)
