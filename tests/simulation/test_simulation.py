"""
The bank against the model, over random histories with crashes between any two statements.

``make prove-ledger`` lives through a million steps. A history that ends badly says its seed;
``make prove-ledger SEED=… STEPS=…`` lives through it again.
"""

import os
import random

import pytest

from tests import factories
from tests.simulation.bank import Simulation

STEPS_OF_A_HISTORY = 100
SHARDS = 4
STEPS = int(os.environ.get("STEPS") or 10_000)
SEED = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))


@pytest.mark.proof
@pytest.mark.timeout(max(600, STEPS))
@pytest.mark.parametrize("shard", range(SHARDS))
def test_bank_and_model_agree_after_every_step(shard: int, db: None):
    accounts = [factories.account() for _ in range(2)]
    histories = -(-STEPS // STEPS_OF_A_HISTORY)

    for number in range(shard, histories, SHARDS):
        seed = SEED + number
        try:
            Simulation(accounts, seed).run(STEPS_OF_A_HISTORY)
        except Exception as error:
            error.add_note(f"To live through it again: make prove-ledger SEED={seed} STEPS={STEPS_OF_A_HISTORY}")
            raise
