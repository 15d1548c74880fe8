from collections.abc import Iterator

import pytest

from credits.models import Account
from tests.ai.prepaid import Prepaid
from tests.server import running_prepaid
from tests.simulator import RunningSimulator, running_simulator


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[RunningSimulator]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(simulator_process: RunningSimulator) -> RunningSimulator:
    """A simulated provider with empty books and no faults."""
    simulator_process.reset()
    return simulator_process


@pytest.fixture
def prepaid(transactional_db: None, simulator: RunningSimulator, account: Account, api_key: str) -> Iterator[Prepaid]:
    """The product on a socket, before the simulated provider; its caller has 100 credits."""
    with running_prepaid(provider_url=simulator.url) as url:
        yield Prepaid(url, api_key)
