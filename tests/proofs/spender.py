"""
A process of clients that spend as fast as they can: ``python -m tests.proofs.spender ACCOUNT CLIENTS EACH SEED``.

Each client holds ``EACH`` random amounts one after another, through group commit, as the gateway
does, once a line comes in that says so. For each transaction a line is printed: what was held
before it, and each amount asked for with whether it was admitted. With ``--unlocked`` the account
is read without its lock.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
from collections.abc import Sequence
from datetime import timedelta

import django

HIGHEST_PRICE = 100


def main() -> None:
    arguments = argparse.ArgumentParser()
    for name in ("account", "clients", "each", "seed"):
        arguments.add_argument(name, type=int)
    arguments.add_argument("--unlocked", action="store_true")
    asked = arguments.parse_args()
    django.setup()
    asyncio.run(spend(asked.account, asked.clients, asked.each, asked.seed, unlocked=asked.unlocked))


async def spend(account_id: int, clients: int, each: int, seed: int, *, unlocked: bool) -> None:
    from django.db import IntegrityError, transaction  # noqa: PLC0415 (after django.setup)
    from django.utils import timezone  # noqa: PLC0415

    from credits import services, tables  # noqa: PLC0415
    from credits.books import Books, HoldRequest  # noqa: PLC0415
    from credits.errors import InsufficientCredits  # noqa: PLC0415
    from credits.group_commit import GroupCommit  # noqa: PLC0415

    if unlocked:
        tables.LOCK_ACCOUNTS = tables.LOCK_ACCOUNTS.replace("{lock}", "")

    def commit(prices: Sequence[int], *, again: bool) -> list[bool]:
        now = timezone.now()
        admitted = []
        with transaction.atomic():
            books = Books.open([account_id], now=now)
            before = books.by_account[account_id].held
            for price in prices:
                request = HoldRequest(services.new_hold_id(), account_id, None, price, now + timedelta(hours=1))
                try:
                    books.hold(request)
                    admitted.append(True)
                except InsufficientCredits:
                    admitted.append(False)
            books.save()
        sys.stdout.write(json.dumps([before, list(zip(prices, admitted, strict=True))]) + "\n")
        return admitted

    async def client(number: int) -> None:
        chance = random.Random(seed + number)
        for _ in range(each):
            with contextlib.suppress(*seen_to_be_wrong):
                await ledger.run(chance.randint(1, HIGHEST_PRICE))

    # Without the lock the database and the rules still see some of what is wrong; the proof must see the rest.
    seen_to_be_wrong = (IntegrityError, AssertionError) if unlocked else ()
    ledger = GroupCommit(commit, capacity=clients)
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(client(number) for number in range(clients)))
    ledger.close(60)


if __name__ == "__main__":
    main()
