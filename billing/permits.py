"""
What a key is for: models, features and networks, each a text of words with spaces between them. Pure.

Empty allows everything. What cannot be judged is refused.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from accounts.addresses import is_within
from accounts.errors import AddressNotAllowed, FeatureNotAllowed, ModelNotAllowed

#: What OpenRouter calls a set of parameters that is kept there, and may name another model.
PRESET = "@preset/"


def models_named(model: str, payload: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return every model that a request may be answered by: the one it names, its fallbacks, and its preset.

    What is no name comes back as no name, which only a key for all models allows.
    """
    fallbacks, preset = payload.get("models"), payload.get("preset")
    if not fallbacks and not preset:
        return (model,)
    others = fallbacks if isinstance(fallbacks, list) else [fallbacks] if fallbacks else []
    presets = [PRESET + str(preset)] if preset else []
    return (model, *(name if isinstance(name, str) else "" for name in others), *presets)


def check(*, models: str, features: str, networks: str, asked: tuple[str, ...], feature: str, address: str) -> None:
    """
    Refuse a call that a key is not for.

    :raises AddressNotAllowed: if it comes from elsewhere
    :raises FeatureNotAllowed: if it is for another feature
    :raises ModelNotAllowed: if one of the models ``asked`` is not among its own
    """
    if networks and not is_within(address, networks.split()):
        raise AddressNotAllowed
    if features and feature not in features.split():
        raise FeatureNotAllowed
    check_models(models, asked)


def check_models(patterns: str, asked: tuple[str, ...]) -> None:
    """
    Refuse models that are not all among ``patterns``.

    :raises ModelNotAllowed: if one is not
    """
    if patterns and not (asked and all(model_is_allowed(patterns, name) for name in asked)):
        raise ModelNotAllowed


@lru_cache(maxsize=4096)
def model_is_allowed(patterns: str, model: str) -> bool:
    """
    Whether one of ``patterns`` is ``model``, with ``*`` for any text, in any case.

    A model with a preset behind it is both, and both must be allowed.
    """
    name, at, preset = model.casefold().partition("@")
    parts = [part for part in (name, at + preset) if part]
    wanted = patterns.casefold().split()
    return bool(parts) and all(any(fnmatchcase(part, pattern) for pattern in wanted) for part in parts)
