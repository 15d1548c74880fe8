"""
A key that is revoked, and a customer who is suspended, are refused by every process at once, and stay refused.

Server processes as in production, four of them in ``make prove-revocation``. Under load, whatever was asked for after
the change was committed is refused. And in thousands of races admissions meet the change in the same instant, in every
process: whatever came of those, what is asked for afterwards is decided by how the change left things, and a credential
that is dead stays dead.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ApiKey, Customer
from accounts.services import create_key, revoke_key, rotate_key
from accounts.teams.customers import reactivate, suspend
from credits.models import Hold
from tests import factories
from tests.ai.prepaid import MODEL, QUESTION, until
from tests.ai.processes import ServerProcess
from tests.conftest import url_of_database
from tests.simulator import running_simulator

IS_LONG = "RACES" in os.environ
RACES = int(os.environ.get("RACES") or 30)
PROCESSES = 4 if IS_LONG else 2
SECONDS_OF_LOAD = 5.0 if IS_LONG else 0.5
CLIENTS = 24
RACERS = 24 if IS_LONG else 6
PROMISED_SECONDS = 1.0
BODY = {"model": MODEL, "messages": QUESTION}

pytestmark = [
    pytest.mark.proof,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(7200),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="several processes are production, on PostgreSQL"),
]


#: They say of every bad credential what is wrong with it, however many there are.
SETTINGS = {"DATABASE_POOL_SIZE": "4", "FAILED_SIGN_INS_BY_ACCOUNT": "0", "FAILED_SIGN_INS_BY_ADDRESS": "0"}


@contextmanager
def processes(application: str) -> Iterator[list[str]]:
    """Serve ``application`` by several processes; yield where."""
    with running_simulator() as provider, ExitStack() as stack:
        servers = [
            ServerProcess(url_of_database(), provider.url, application=application, **SETTINGS)
            for _ in range(PROCESSES)
        ]
        for server in servers:
            stack.push(server)
        with ThreadPoolExecutor(PROCESSES) as threads:
            list(threads.map(ServerProcess.__enter__, servers))
        yield [server.url for server in servers]


@pytest.fixture(scope="module")
def urls(django_db_setup: None) -> Iterator[list[str]]:
    """Where the processes are. They keep nothing between two tests, which empty the database."""
    with processes("config.asgi:application") as urls:
        yield urls


@asynccontextmanager
async def callers(urls: list[str]) -> AsyncIterator["Callers"]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Callers(session, urls)


@dataclass
class Callers:
    """Calls a model at any process, and changes what they are judged by as an operator does: in the database."""

    session: aiohttp.ClientSession
    urls: list[str]
    statuses: Counter[int] = field(default_factory=Counter)

    async def call(self, key: str, url: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        async with self.session.post(f"{url}/v1/chat/completions", json=BODY, headers=headers) as answer:
            await answer.read()
        self.statuses[answer.status] += 1
        return answer.status

    async def everywhere(self, key: str) -> set[int]:
        """What each process says of ``key``."""
        return set(await asyncio.gather(*(self.call(key, url) for url in self.urls)))


async def in_database(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    def work() -> Any:
        try:
            return function(*arguments, now=timezone.now(), **options)
        finally:
            connection.close()

    return await asyncio.to_thread(work)


# Under load


@dataclass
class Asked:
    """A call under load, by the clock of this machine."""

    sent_at: float
    status: int


def revoke(customer: Customer, key: ApiKey) -> None:
    assert revoke_key(key, now=timezone.now(), actor="user:1")


def suspend_customer(customer: Customer, key: ApiKey) -> None:
    assert suspend(customer, reason="A proof", actor="user:1", now=timezone.now())


@pytest.mark.parametrize(("end", "refusal"), [(revoke, 401), (suspend_customer, 403)])
def test_an_end_counts_in_every_process_within_a_second(
    urls: list[str], end: Callable[[Customer, ApiKey], None], refusal: int
) -> None:
    customer, key, text = funded("1000000")
    _, _, bystander = funded("1000000")
    asked: list[Asked] = []
    ended: dict[str, Any] = {}

    async def go_on(caller: Callers, url: str, text: str, kept: list[Asked]) -> None:
        while "over" not in ended:
            sent_at = time.monotonic()
            kept.append(Asked(sent_at, await caller.call(text, url)))

    async def some_time(since: float) -> None:
        """Long enough for the load, and until every client has asked, and been answered, meanwhile."""

        def is_over() -> bool:
            return time.monotonic() > since + SECONDS_OF_LOAD and sum(each.sent_at > since for each in asked) > CLIENTS

        while not is_over():  # noqa: ASYNC110 (what is waited for are the answers themselves)
            await asyncio.sleep(0.01)

    async def run() -> list[Asked]:
        others: list[Asked] = []
        async with callers(urls) as caller:
            load = asyncio.gather(
                *(
                    go_on(caller, urls[number % PROCESSES], *((text, asked) if number % 3 else (bystander, others)))
                    for number in range(CLIENTS)
                )
            )
            await some_time(time.monotonic())
            await asyncio.to_thread(end_it)
            await some_time(ended["monotonic"])
            ended["over"] = True
            await load
        return others

    def end_it() -> None:
        end(customer, key)
        ended.update(monotonic=time.monotonic(), at=timezone.now())
        connection.close()

    others = asyncio.run(run())

    admitted = [each for each in asked if each.status == 200]
    last_sent = max(each.sent_at for each in admitted) - ended["monotonic"]
    last_held = (Hold.objects.filter(account__customer=customer).latest("created_at").created_at - ended["at"]) / SECOND
    print(
        f"{len(admitted):,} calls admitted before, {len(asked) - len(admitted):,} refused after; the last that was "
        f"admitted was sent {last_sent:+.3f} s and held {last_held:+.3f} s after the change was committed"
    )
    assert {each.status for each in asked} == {200, refusal}
    assert {each.status for each in asked if each.sent_at > ended["monotonic"] + PROMISED_SECONDS} <= {refusal}
    assert last_held < PROMISED_SECONDS
    assert any(each.sent_at > ended["monotonic"] for each in asked)
    assert {each.status for each in others} == {200}


SECOND = timedelta(seconds=1)


def funded(credits: str) -> tuple[Customer, ApiKey, str]:
    """A team with credits and a key."""
    team = factories.TeamFactory.create()
    factories.account(team, credits)
    key, text = create_key(customer=team, name="Production", now=timezone.now())
    return team, key, text


# In races


@dataclass
class Racer:
    """A customer whose credentials change while they are used."""

    caller: Callers
    customer: Customer
    key: ApiKey
    text: str
    chance: random.Random
    dead: list[str] = field(default_factory=list)
    is_suspended: bool = False

    async def race(self) -> str:
        """Let admissions in every process meet one change, and then ask each process how things stand."""
        change = "reactivate" if self.is_suspended else self.chance.choice(["revoke", "rotate", "suspend"])
        changing, changed = getattr(self, change), self.text
        _, *raced = await asyncio.gather(
            self.after_a_moment(changing()),
            *(self.after_a_moment(self.caller.call(changed, url)) for url in self.caller.urls),
        )
        assert set(raced) <= {200, 401, 403}, raced
        left = {"revoke": 401, "rotate": 401, "suspend": 403, "reactivate": 200}[change]
        assert await self.caller.everywhere(changed) == {left}, f"{change} does not count"
        if changed != self.text:
            self.dead.append(changed)
            assert await self.somewhere(self.text) == 200, f"{change}: the new key is not good"
        if self.dead:
            assert await self.somewhere(self.chance.choice(self.dead)) == 401, "a dead key came back"
        return change

    async def somewhere(self, text: str) -> int:
        return await self.caller.call(text, self.chance.choice(self.caller.urls))

    async def after_a_moment(self, what: Any) -> Any:
        await asyncio.sleep(self.chance.random() * 0.004)
        return await what

    async def revoke(self) -> None:
        assert await in_database(revoke_key, self.key, actor="user:1")
        self.key, self.text = await in_database(create_key, customer=self.customer, name="Next")

    async def rotate(self) -> None:
        self.key, self.text, _ = await in_database(rotate_key, self.key, overlap=timedelta(0), actor="user:1")

    async def suspend(self) -> None:
        self.is_suspended = await in_database(suspend, self.customer, reason="A proof", actor="user:1")

    async def reactivate(self) -> None:
        self.is_suspended = not await in_database(reactivate, self.customer, actor="user:1")


def race(urls: list[str], races: int) -> tuple[Counter[str], Counter[int]]:
    """Let ``RACERS`` customers race side by side; return how often each change was made and each status answered."""
    made = [funded("1000000") for _ in range(RACERS)]
    changes: Counter[str] = Counter()
    seed = random.getrandbits(32)

    async def race_on(racer: Racer) -> None:
        while changes.total() < races:
            changes[await racer.race()] += 1

    async def run() -> Counter[int]:
        async with callers(urls) as caller:
            racers = [Racer(caller, *each, random.Random(seed + number)) for number, each in enumerate(made)]
            await asyncio.gather(*map(race_on, racers))
            for racer in racers:
                for text in racer.dead:
                    assert await racer.somewhere(text) == 401, "a dead key came back"
            return caller.statuses

    statuses = asyncio.run(run())
    until(lambda: not Hold.objects.filter(status=Hold.Status.PENDING).exists())
    return changes, statuses


def test_what_has_ended_never_comes_back(urls: list[str]) -> None:
    changes, statuses = race(urls, RACES)

    print(f"{changes.total():,} races {dict(changes)}, {statuses.total():,} calls {dict(statuses)}")
    assert changes.total() >= RACES
    assert Hold.objects.filter(status=Hold.Status.SETTLED).count() == statuses[200]


@pytest.mark.skipif(not IS_LONG, reason="make prove-revocation tells")
def test_the_proof_is_red_where_a_decision_is_kept(transactional_db: None) -> None:
    """Half a second long, as others keep it."""
    with (
        processes("tests.proofs.remembering:application") as urls,
        pytest.raises(AssertionError, match="does not count"),
    ):
        race(urls, 100)
