"""The product, which kills itself where its environment says so (``DIE``): at one of the commits of a call."""

import os
import signal
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from config.asgi import application

# isort: split
# Models can be imported once the application is.
from billing import batch
from billing.operations import Admit, Conclude, Operation

BEFORE_HOLD, AFTER_HOLD = "before the hold", "after the hold"
BEFORE_SETTLEMENT, AFTER_SETTLEMENT = "before the settlement", "after the settlement"

committed = batch.commit


def commit(operations: Sequence[Operation], *, again: bool, now: datetime) -> list[Any]:
    concludes = any(isinstance(operation, Conclude) for operation in operations)
    admits = any(isinstance(operation, Admit) for operation in operations)
    die_at(BEFORE_HOLD, admits)
    die_at(BEFORE_SETTLEMENT, concludes)
    outcomes = committed(operations, again=again, now=now)
    die_at(AFTER_HOLD, admits)
    die_at(AFTER_SETTLEMENT, concludes)
    return outcomes


def die_at(point: str, is_there: bool) -> None:
    if is_there and os.environ["DIE"] == point:
        os.kill(os.getpid(), signal.SIGKILL)


batch.commit = commit

__all__ = ["application"]
