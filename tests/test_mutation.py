"""`make mutate` itself: what it breaks is broken, in a process of its own, and what nobody tests it finds."""

import importlib.util
from datetime import UTC, datetime

import pytest

from credits import ledger
from credits.ledger import Draw, Lot
from tests.mutation.mutants import mutants_of
from tests.mutation.swap import FAILED, PASSED, Child, running, swap_in
from tests.mutation.warm import allow

pytestmark = pytest.mark.usefixtures("one_database")

LEDGER = "credits/ledger.py"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
BOUND = '''
from functools import cache, wraps


def twice(function):
    @wraps(function)
    def called(*args):
        return 2 * function(*args)

    return called


@twice
def decorated(number):
    """A docstring with 1 number."""
    assert number != 1, "not 1"
    return number + 1


@cache
def cached(number):
    return number + 1


class Thing:
    limit: int = 1

    @property
    def bound(self):
        return self.limit + 1

    def endless(self):
        number, total = 1, 0
        while number < 5:
            number += 1
            total += number
        return total
'''


def lot(number, remaining, held, priority=1):
    return Lot(number, 9, remaining, held, priority, LONG_AGO, None, LONG_AGO)


def strong():
    """What ``burn_down`` must do with a lot that is empty, one that is used up, one in part, and one not at all."""
    lots = [lot(4, 5, 0, priority=2), lot(3, 5, 0), lot(2, 3, 2), lot(1, 3, 3)]
    assert ledger.burn_down(lots, 3) == [Draw(2, 1), Draw(3, 2)]


def weak():
    """Only the sum, of which a test would be content that does not look at the parts."""
    assert sum(draw.amount for draw in ledger.burn_down([lot(1, 5, 0), lot(2, 5, 0)], 3)) == 3


def outcomes(mutants, loaded, test):
    """What came of each mistake, and what it changes."""

    def work(mutant):
        swap_in(mutant, loaded)
        allow(0, patience=1)
        try:
            test()
        except Exception:
            return FAILED
        return PASSED

    return [(Child(lambda mutant=mutant: work(mutant), seconds=20).wait(), mutant.change) for mutant in mutants]


@pytest.fixture
def burn_down():
    return [mutant for mutant in mutants_of(LEDGER) if mutant.function == "burn_down"]


def test_test_that_says_what_comes_out_kills_every_mistake(burn_down):
    strong()

    assert {outcome for outcome, _ in outcomes(burn_down, running([LEDGER]), strong)} == {FAILED}
    assert len(burn_down) > 7


def test_weak_test_lets_mistakes_live(burn_down):
    weak()

    alive = [change for outcome, change in outcomes(burn_down, running([LEDGER]), weak) if outcome == PASSED]

    assert alive == ["taken > 0 → taken >= 0", "0 → 1", "0 → -1"]


def test_mistakes_stay_in_their_process(burn_down):
    outcomes(burn_down, running([LEDGER]), strong)

    strong()


def test_mistakes_reach_functions_however_they_are_bound_and_loops_without_end_are_stopped(tmp_path):
    path = tmp_path / "bound.py"
    path.write_text(BOUND)
    spec = importlib.util.spec_from_file_location("bound", path)
    bound = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bound)
    thing = bound.Thing()

    def test():
        assert bound.decorated(3) == 8
        assert bound.cached(3) == 4
        assert thing.bound == 2
        assert thing.endless() == 14

    test()
    found = outcomes(mutants_of(str(path)), running([str(path)]), test)

    # A decorator's work is done before any test begins; what it has made is reached.
    assert [change for outcome, change in found if outcome == PASSED] == ["return called → return None"]
    stopped = [change for outcome, change in found if outcome < 0]
    assert stopped == ["without number += 1", "number += 1 → number -= 1", "1 → 0"]
    assert (FAILED, "2 * function(*args) → 2 // function(*args)") in found
