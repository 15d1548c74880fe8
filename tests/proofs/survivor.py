"""
A process that holds and settles while the database dies, and dies itself where it is told to.

``python -m tests.proofs.survivor prepare`` makes an account of a billion; ``… spend SECONDS FILE``
lets 32 clients spend it through group commit and notes in FILE what was acknowledged to them.
With ``DIE_AT`` it kills itself there, in some batch after the start.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.db import transaction  # noqa: E402 (after django.setup)
from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from credits import services  # noqa: E402
from credits.books import HoldRequest  # noqa: E402
from credits.errors import LedgerUnreachable  # noqa: E402
from credits.group_commit import GroupCommit  # noqa: E402
from credits.models import Account, Hold  # noqa: E402

BALANCE = 10**9
CLIENTS = 32

Operation = tuple[str, str, int]


def prepare() -> None:
    person = User.objects.create_user("survivor@example.com")
    account = services.account_of(person.personal_customer)
    services.grant(
        account=account, amount=BALANCE, category="PURCHASE", source="proof", actor="system", now=timezone.now()
    )


class Spending:
    def __init__(self, seconds: float, path: str) -> None:
        self.ends_at = time.monotonic() + seconds
        self.dies_in_batch = random.randint(10, 60) if "DIE_AT" in os.environ else 0
        self.account_id = Account.objects.get().pk
        self.notes = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.ledger = GroupCommit(self.commit, capacity=1000)

    def die(self, where: str) -> None:
        if self.dies_in_batch == 0 and os.environ.get("DIE_AT") == where:
            os._exit(9)

    def commit(self, operations: Sequence[Operation], *, again: bool) -> list[Any]:
        now = timezone.now()
        self.dies_in_batch -= 1
        self.die("before the batch")
        requests = [
            HoldRequest(hold_id, self.account_id, None, amount, now + timedelta(hours=1))
            for what, hold_id, amount in operations
            if what == "hold"
        ]
        settlements = [(hold_id, amount) for what, hold_id, amount in operations if what == "settle"]
        with transaction.atomic():
            held = services.place_holds(requests, now=now)
            assert all(isinstance(hold, Hold) for hold in held), "there is enough for all"
            self.die("inside the transaction")
            services.settle_holds(settlements, actor="system", now=now)
            self.die("before the commit")
        self.die("after the commit")
        return [True] * len(operations)

    async def client(self) -> None:
        while time.monotonic() < self.ends_at:
            hold_id, amount = services.new_hold_id(), random.randint(1, 100)
            await self.done(("hold", hold_id, amount))
            await self.done(("settle", hold_id, random.randint(1, amount)))

    async def done(self, operation: Operation) -> None:
        """Have it done, however often that has to be asked for, and note that it was acknowledged."""
        while True:
            try:
                await self.ledger.run(operation, may_be_refused=False)
                break
            except LedgerUnreachable:
                await asyncio.sleep(0.05)
        os.write(self.notes, f"{' '.join(map(str, operation))}\n".encode())

    async def run(self) -> None:
        await asyncio.gather(*(self.client() for _ in range(CLIENTS)))
        self.ledger.close(60)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    else:
        asyncio.run(Spending(float(sys.argv[2]), sys.argv[3]).run())
