"""The providers that can be called. A new one is a file here and a line in ``PROVIDERS``."""

from collections.abc import Callable
from functools import cache

from django.conf import settings

from ai.providers.base import Provider
from ai.providers.health import Health
from ai.providers.keyring import Keyring
from ai.providers.openrouter import OpenRouter
from ai.providers.simulated import Simulated


def _openrouter() -> Provider:
    if not settings.OPENROUTER_API_KEYS:
        return _with_key(settings.OPENROUTER_API_KEY)
    members = []
    for label, api_key, weight in settings.OPENROUTER_API_KEYS:
        member = _with_key(api_key)
        member.label, member.weight, member.health = label, weight, Health()
        members.append(member)
    return Keyring(members)


def _with_key(api_key: str) -> Provider:
    return OpenRouter(
        base_url=settings.OPENROUTER_BASE_URL,
        api_key=api_key,
        public_url=settings.PUBLIC_URL,
        connect_timeout=settings.PROVIDER_CONNECT_TIMEOUT,
        idle_timeout=settings.PROVIDER_IDLE_TIMEOUT,
        total_timeout=settings.PROVIDER_TOTAL_TIMEOUT,
    )


@cache
def _simulated() -> Provider:
    """One a process: its books are all that knows how a simulated call ended."""
    return Simulated(
        idle_timeout=settings.PROVIDER_IDLE_TIMEOUT,
        total_timeout=settings.PROVIDER_TOTAL_TIMEOUT,
    )


PROVIDERS: dict[str, Callable[[], Provider]] = {
    OpenRouter.name: _openrouter,
    Simulated.name: _simulated,
}


@cache
def current() -> Provider:
    """Return this process' provider, made once from the settings. Its ``start`` and ``close`` are the gateway's."""
    return PROVIDERS[OpenRouter.name]()


def of_call(name: str) -> Provider:
    """Return the provider that an admitted call was given: this process', or the simulator for those of test keys."""
    return _simulated() if name == Simulated.name else current()
