"""Which of several keys a call is made with: by weight, and rather with those that are well."""

from collections import Counter
from typing import Any

import pytest

from ai import errors
from ai.providers.base import Generation, Provider, Usage
from ai.providers.health import LONGEST_REST, Health
from ai.providers.keyring import Keyring
from ai.providers.openrouter import OpenRouter

pytestmark = pytest.mark.usefixtures("one_database")

BUSY = errors.ProviderBusy(headers={"Retry-After": "20"})


def failed(*failures: errors.ProviderError) -> list[float]:
    """The rests after each of ``failures``, one after another."""
    health = Health()
    return [health.failed(failure, now=0) for failure in failures]


@pytest.mark.parametrize(
    ("failures", "rests"),
    [
        ([errors.ProviderUnfunded()] * 4, [60, 120, 240, 300]),
        ([errors.ProviderMisconfigured()] * 2, [60, 120]),
        ([errors.ProviderBusy()] * 3, [1, 2, 4]),
        ([BUSY] * 2, [20, 40]),
        ([errors.ProviderError()] * 5, [0, 0, 5, 10, 20]),
        ([errors.ProviderUnreachable()] * 3, [0, 0, 5]),
        ([errors.ProviderRefused()] * 9, [0] * 9),
        ([errors.ProviderUnfunded()] * 99, [60, 120, 240, *[LONGEST_REST] * 96]),
    ],
)
def test_key_rests_longer_with_each_failure(failures, rests):
    assert failed(*failures) == rests


def test_one_answer_makes_a_key_well():
    health = Health()
    health.failed(errors.ProviderUnfunded(), now=100)
    assert [health.is_awake(now) for now in (100, 159.9, 160)] == [False, False, True]

    health.succeeded()

    assert health.is_awake(100)
    assert health.failed(errors.ProviderUnfunded(), now=200) == 60, "as for the first time"


def test_short_rest_does_not_end_a_long_one():
    health = Health()
    health.failed(errors.ProviderUnfunded(), now=0)
    health.failed(errors.ProviderBusy(), now=1)

    assert not health.is_awake(59)


class Key(OpenRouter):
    """A key that knows some generations, or fails."""

    def __init__(self, label: str, weight: int = 1, *, knows: str = "", failure: errors.ProviderError | None = None):
        self.label, self.weight, self.health = label, weight, Health()
        self._knows, self._failure = knows, failure

    def generation(self, generation_id: str) -> Generation | None:
        if self._failure:
            raise self._failure
        return Generation(generation_id, Usage(), False, self.label) if generation_id == self._knows else None

    def models(self, **filters: str) -> list[dict[str, Any]]:
        if self._failure:
            raise self._failure
        return [{"id": self.label}]


def chosen(keyring: Keyring, *tried: Provider, times: int = 400) -> Counter[str]:
    return Counter(keyring.choose(tried).label for _ in range(times))


def test_keys_are_chosen_by_weight():
    found = chosen(Keyring([Key("a", 3), Key("b", 1), Key("spare", 0)]))

    assert set(found) == {"a", "b"}
    assert 0.6 < found["a"] / 400 < 0.9


def test_next_attempt_is_made_with_another_key():
    a, b, spare = Key("a", 3), Key("b", 1), Key("spare", 0)
    keyring = Keyring([a, b, spare])

    assert set(chosen(keyring, a)) == {"b"}
    assert set(chosen(keyring, a, b)) == {"spare"}
    assert set(chosen(keyring, a, b, spare)) == {"a", "b"}


def test_key_that_rests_is_left_alone_as_long_as_another_is_awake():
    a, b = Key("a"), Key("b")
    keyring = Keyring([a, b])
    a.health.rests_until = 1e12

    assert set(chosen(keyring)) == {"b"}
    assert set(chosen(keyring, b)) == {"b"}
    b.health.rests_until = 1e11
    assert set(chosen(keyring)) == {"b"}, "its rest ends first"


def test_record_is_found_with_whichever_key_it_was_made():
    broken = Key("broken", failure=errors.ProviderUnreachable())
    keyring = Keyring([broken, Key("a", knows="gen-1"), Key("b", knows="gen-2")])

    assert keyring.generation("gen-1").finish_reason == "a"
    assert keyring.generation("gen-2").finish_reason == "b"
    with pytest.raises(errors.ProviderUnreachable):
        keyring.generation("gen-3")  # it may be known where nobody can be asked
    assert Keyring([Key("a"), Key("b")]).generation("gen-3") is None


def test_catalogue_is_read_with_the_first_key_that_can():
    broken = Key("broken", failure=errors.ProviderMisconfigured())

    assert Keyring([broken, Key("a")]).models() == [{"id": "a"}]
    with pytest.raises(errors.ProviderMisconfigured):
        Keyring([broken, broken]).models()
