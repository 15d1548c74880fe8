"""Several keys of the provider, as ``OPENROUTER_API_KEYS`` names them."""

import re
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

LABEL = re.compile(r"[A-Za-z0-9_-]{1,30}")
MOST_WEIGHT = 1000


def provider_keys(texts: Sequence[str]) -> list[tuple[str, str, int]]:
    """
    Return label, key and weight of each of ``texts``, which are ``label:key:weight``; without a weight it is 1.

    :raises ImproperlyConfigured: if one is none, or two have a label; its message has no key in it
    """
    keys: list[tuple[str, str, int]] = []
    for number, text in enumerate(texts, 1):
        label, _, rest = text.partition(":")
        key, colon, weight = rest.partition(":")
        is_weight = weight.isascii() and weight.isdecimal() and int(weight[:9]) <= MOST_WEIGHT
        if not (LABEL.fullmatch(label) and key and key.isprintable() and (is_weight or not colon)):
            raise ImproperlyConfigured(
                f"OPENROUTER_API_KEYS: number {number} is not label:key:weight, with a weight up to {MOST_WEIGHT}."
            )
        if label in {known for known, _, _ in keys}:
            raise ImproperlyConfigured(f"OPENROUTER_API_KEYS: the label of number {number} is another's.")
        keys.append((label, key, int(weight) if colon else 1))
    if keys and not any(weight for _, _, weight in keys):
        raise ImproperlyConfigured("OPENROUTER_API_KEYS: all are spares; give one a weight of 1.")
    return keys
