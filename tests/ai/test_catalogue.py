"""The catalogue of models: read from the provider, kept, and used while that is away."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from ai import providers
from ai.providers.simulator.catalogue import MODELS
from billing.listing import Refreshed, keep, rates_text
from billing.models import ListedModel
from billing.rates import FEMTO, rates_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL = "openai/gpt-4o-mini"


@pytest.fixture
def provider(simulator, settings):
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = simulator.url, "sk"
    providers.current.cache_clear()
    yield simulator
    providers.current.cache_clear()


@pytest.mark.django_db
def test_catalogue_is_read_from_the_provider(provider, capsys):
    call_command("refresh_catalogue")

    assert capsys.readouterr().out == f"{len(MODELS)} models: {len(MODELS)} new, 0 listed no more.\n"
    assert list(ListedModel.objects.values_list("entry", flat=True)) == MODELS


@pytest.mark.django_db
def test_catalogue_stays_while_the_provider_is_away(provider, now):
    keep(MODELS, now=now)
    provider.faults(path="models", status=503)

    with pytest.raises(CommandError, match="The catalogue stays as it is"):
        call_command("refresh_catalogue")

    assert ListedModel.objects.filter(is_listed=True).count() == len(MODELS)


@pytest.mark.django_db
def test_model_that_is_listed_no_more_stays_known_and_comes_back(now):
    keep(MODELS, now=now)

    assert keep(MODELS[1:], now=now) == Refreshed(len(MODELS) - 1, 0, 1)
    assert not ListedModel.objects.get(pk=MODELS[0]["id"]).is_listed
    assert keep(MODELS, now=now) == Refreshed(len(MODELS), 1, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("entries", [[], [{"id": ""}, {"id": None}, {"id": "x" * 201}, {}]])
def test_list_without_models_is_not_believed(entries, now):
    keep(MODELS, now=now)

    with pytest.raises(ValueError, match="has no models"):
        keep(entries, now=now)

    assert ListedModel.objects.filter(is_listed=True).count() == len(MODELS)


def rates(pricing, *, prompt_tokens=1000, until=NOW + HOUR, has_audio=False, **entry):
    listing = rates_text({"id": "a/b", "context_length": 1000, "pricing": pricing, **entry})
    return rates_of(listing, prompt_tokens=prompt_tokens, has_audio=has_audio, caches_long=False, now=NOW, until=until)


PLAIN = {"prompt": "0.000001", "completion": "0.000002"}


def test_rates_are_exact():
    found = rates({**PLAIN, "request": "0.01", "image": "0.003"}, top_provider={"max_completion_tokens": 400})

    assert (found.prompt, found.completion, found.request, found.image) == (10**9, 2 * 10**9, 10**13, 3 * 10**12)
    assert (found.context, found.longest) == (1000, 400)


def test_price_below_a_femtodollar_is_rounded_up():
    assert rates({"prompt": "0.00000000000000001", "completion": "0"}).prompt == 1


@pytest.mark.parametrize(
    "pricing",
    [
        {},
        {"prompt": "0.000001"},
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "cheap", "completion": "0"},
        {"prompt": "NaN", "completion": "0"},
        {"prompt": "1001", "completion": "0"},
        {**PLAIN, "request": "-1"},
    ],
)
def test_model_without_a_price_is_unknown(pricing):
    assert rates(pricing) is None


def test_sound_needs_a_price_of_its_own():
    assert rates(PLAIN, has_audio=True) is None
    assert rates({**PLAIN, "audio": "0.00004"}, has_audio=True).input == 4 * 10**10


def test_what_a_token_can_cost_at_most_is_held():
    found = rates({**PLAIN, "input_cache_write": "0.00000125", "internal_reasoning": "0.000003"})

    assert (found.input, found.output) == (1_250_000_000, 3 * 10**9)


LONG = {"min_prompt_tokens": 500, "prompt": "0.000004"}


@pytest.mark.parametrize(
    ("override", "prompt_tokens", "prompt"),
    [
        (LONG, 499, "0.000001"),
        (LONG, 500, "0.000004"),
        ({**LONG, "prompt": "0.0000001"}, 500, "0.000001"),
        ({"utc_start": "11:00", "utc_end": "14:00", "prompt": "0.0000005"}, 1, "0.0000005"),
        ({"utc_start": "11:00", "utc_end": "14:00", "prompt": "0.000005"}, 1, "0.000005"),
        ({"utc_start": "11:00", "utc_end": "12:30", "prompt": "0.0000005"}, 1, "0.000001"),
        ({"utc_start": "12:30", "utc_end": "14:00", "prompt": "0.000005"}, 1, "0.000005"),
        ({"utc_start": "13:30", "utc_end": "14:00", "prompt": "0.000005"}, 1, "0.000001"),
        ({"utc_start": "22:00", "utc_end": "11:00", "prompt": "0.000005"}, 1, "0.000001"),
        ({"utc_start": "22:00", "utc_end": "13:30", "prompt": "0.0000005"}, 1, "0.0000005"),
        ({"utc_start": "noon", "utc_end": "tea", "prompt": "0.0000005"}, 1, "0.000001"),
        ({"utc_start": "noon", "utc_end": "tea", "prompt": "0.000005"}, 1, "0.000005"),
    ],
)
def test_prices_of_long_prompts_and_of_hours_count_where_they_may_apply(override, prompt_tokens, prompt):
    found = rates({**PLAIN, "overrides": [override]}, prompt_tokens=prompt_tokens)

    assert found.prompt == int(float(prompt) * FEMTO + 0.5)
    assert found.completion == 2 * 10**9
