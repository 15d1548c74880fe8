from collections.abc import Iterator

import pytest

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
