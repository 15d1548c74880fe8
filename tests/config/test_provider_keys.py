"""Several keys of the provider in one setting."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.provider_keys import provider_keys

pytestmark = pytest.mark.usefixtures("one_database")


def test_each_key_has_a_label_and_a_weight():
    assert provider_keys([]) == []
    assert provider_keys(["main:sk-or-v1-a:3", "b-2:sk-or-v1-b", "spare:sk-or-v1-c:0"]) == [
        ("main", "sk-or-v1-a", 3),
        ("b-2", "sk-or-v1-b", 1),
        ("spare", "sk-or-v1-c", 0),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["sk-or-v1-secret"],
        [":sk-or-v1-secret"],
        ["main:"],
        ["ma in:sk-or-v1-secret"],
        ["main:sk-or-v1-secret:"],
        ["main:sk-or-v1-secret:-1"],
        ["main:sk-or-v1-secret:1001"],
        ["main:sk-or-v1-secret:1.5"],
        ["main:sk-or-v1-secret:²"],
        ["main:sk-or-v1-secret:1:2"],
        ["main:sk-or-v1-secret", "main:sk-or-v1-secret"],
        ["main:sk-or-v1-secret:0"],
    ],
)
def test_what_is_no_key_stops_the_process_and_is_not_quoted(texts):
    with pytest.raises(ImproperlyConfigured, match="OPENROUTER_API_KEYS") as refusal:
        provider_keys(texts)

    assert "secret" not in str(refusal.value)
