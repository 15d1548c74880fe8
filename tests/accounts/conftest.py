from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.accounts import tokens
from tests.accounts.tokens import Publisher


@pytest.fixture
def service_secret(settings: Settings) -> str:
    settings.SERVICE_JWT_SECRET = tokens.SERVICE_SECRET
    return tokens.SERVICE_SECRET


@pytest.fixture
def clerk(settings: Settings) -> None:
    """Clerk without a network: its public key is in the settings."""
    settings.CLERK_ISSUER = tokens.ISSUER
    settings.CLERK_AUTHORIZED_PARTIES = [tokens.PARTY]
    settings.CLERK_JWT_KEY = tokens.PEM


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Publisher]:
    """Clerk with a network: its keys are fetched from a server."""
    settings.CLERK_ISSUER = tokens.ISSUER
    settings.CLERK_AUTHORIZED_PARTIES = [tokens.PARTY]
    with tokens.published() as publisher:
        settings.CLERK_JWKS_URL = publisher.url
        yield publisher
