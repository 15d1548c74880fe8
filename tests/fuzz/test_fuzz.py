"""
Whatever can be sent to a route under ``/api/``, the answer is one that the OpenAPI document promises.

Schemathesis makes the requests from the document, valid and invalid, alone and in sequences, as a member who has
signed in, with all its checks. ``make fuzz`` goes on, in one new world after another, until there were ``CASES``.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from pytest_django import Settings

from tests import factories
from tests.accounts import tokens
from tests.accounts.people import join, team_of
from tests.server import running_prepaid
from tests.simulator import running_simulator
from tests.walls.world import CLERK_OWNER, LATER, World, build, switch_sign_in_on

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
CASES = int(os.environ.get("CASES", "0"))
#: Signed by others: what a member sends there is worth nothing.
SIGNED = "^/api/(webhooks/|keys/leaked)"
#: In ``make test``, the seconds that it has.
SHORT = [["--phases", "fuzzing,stateful", "--max-examples", "1", "--max-time", "25"]]
#: Sequences come first: little is left of a team that strangers' requests have gone over. They end early, because
#: what one leaves behind answers the next; so they have a time, and begin anew until it is over.
LONG = [
    ["--phases", "stateful", "--max-examples", "1000", "--max-time", "150"],
    ["--phases", "examples,coverage,fuzzing", "--max-examples", "100"],
]
#: That all phases make in a world.
AT_LEAST = 12_000
GENERATED = re.compile(r"(\d+) generated")
LINKS = re.compile(r"API Links: +(\d+) covered")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def world(transactional_db: None, settings: Settings) -> World:
    """Somebody who has what most requests need, and cannot lose it: they own another team, and are not deleted."""
    switch_sign_in_on(settings)
    world = build()
    factories.grant(world.ours.account, "1000000000")
    join(factories.UserFactory.create(), team_of(world.ours.owner))
    return world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with running_simulator() as simulator, running_prepaid(provider_url=simulator.url) as url:
        yield url


@pytest.fixture
def configuration(world: World, tmp_path: Path) -> Path:
    names = {
        "CUSTOMER": world.ours.team.pk,
        "MEMBER": world.members["BILLING"].pk,
        "KEY": world.ours.key.pk,
        "INVITATION": world.ours.invitation.pk,
        "HOLD": world.ours.hold.pk,
    }
    filled = tmp_path / "schemathesis.toml"
    filled.write_text(Template(CONFIGURATION.read_text()).safe_substitute(names))
    return filled


def fuzz(url: str, configuration: Path, customer: int, *options: str) -> int:
    """
    Return how many requests were made; whatever fails is told with the request that shows it again.

    Sequences that follow no link from one answer to the next request would be none.
    """
    token = tokens.service_token(sub=CLERK_OWNER, exp=LATER)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run", f"{url}/api/schema"),
        *("--include-path-regex", "^/api/", "--exclude-path-regex", SIGNED, "--no-color"),
        *("--header", f"Authorization: Bearer {token}", "--generation-database", "none", "--workers", "1"),
        # A busy machine is no fault of what it makes requests for.
        *("--suppress-health-check", "all"),
        *options,
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(REPOSITORY), "FUZZ_CUSTOMER": str(customer)}
    done = subprocess.run(
        command, cwd=configuration.parent, env=os.environ | hooks, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    found = GENERATED.search(done.stdout)
    assert found, done.stdout
    followed = LINKS.search(done.stdout)
    assert list(options) != LONG[0] or (followed and int(followed[1]) > 0), done.stdout
    return int(found[1])


@pytest.mark.usefixtures("one_database")
@pytest.mark.timeout(24 * 3600 if CASES else 120)
@pytest.mark.parametrize("number", range(max(1, -(-CASES // AT_LEAST))))
def test_every_answer_is_one_that_is_promised(url: str, configuration: Path, world: World, number: int) -> None:
    made = sum(fuzz(url, configuration, world.ours.team.pk, *options) for options in (LONG if CASES else SHORT))

    assert made > (AT_LEAST if CASES else 10)  # a busy machine makes fewer
    print(f"{made} requests", flush=True)  # how far it is
