"""The product and its provider, for clients that know nothing of either but a base URL and a key."""

from collections.abc import Iterator

import pytest

from credits.models import Account
from tests.clients.node import GENERATIONS, Clients
from tests.server import running_prepaid
from tests.simulator import RunningSimulator, running_simulator


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def prepaid_url(transactional_db: None, simulator: RunningSimulator, account: Account) -> Iterator[str]:
    """The product on a socket, before the simulated provider. The owner of ``api_key`` has 100 credits."""
    with running_prepaid(provider_url=simulator.url) as url:
        yield url


@pytest.fixture(params=GENERATIONS)
def clients(request: pytest.FixtureRequest) -> Clients:
    """The clients on Node.js, of either generation."""
    return Clients(request.param)
