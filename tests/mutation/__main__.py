"""
Which mistakes in the money's code no test sees.

    python -m tests.mutation [--minutes N] [--jobs N] [module …]

What is known is kept in ``build/mutation``, so that a run that was stopped goes on where it was, and
only what was changed since, code or tests, is tried again.
"""

import argparse
import sys

from tests.mutation.trial import Trial
from tests.mutation.warm import start


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="paths; all of the money's if there are none")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="begin nothing new after so long")
    parser.add_argument("--jobs", type=int, default=2, help="mistakes that are tried at once")
    parser.add_argument(
        "--budget",
        type=float,
        default=20,
        help="seconds of the tests of its module after which a mistake is alive",
    )
    parser.add_argument("--report", action="store_true", help="only say what is known")
    options = parser.parse_args()
    trial = Trial(options.modules, minutes=options.minutes, jobs=options.jobs, budget=options.budget)
    if not options.report and (trial.tests_are_new() or trial.waiting()):
        start(trial.run)
    return trial.report()


if __name__ == "__main__":
    sys.exit(main())
