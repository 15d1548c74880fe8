"""What can happen to the bank, as rules that Hypothesis chooses from, and makes short where one goes wrong."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from credits import services
from credits.errors import DuplicateHold, HoldNotFound, SourceConflict
from credits.models import Account
from credits.reversals import reverse, void_grant
from tests.simulation.bank import LAST_DEATH, LIVES, TWICE, Bank
from tests.simulation.model import NEVER, Claim, Heap, TakeBack

HOUR = timedelta(hours=1)
#: How many accounts a machine needs.
ACCOUNTS = 3
STEPS_BETWEEN_PROOFS = 30

Kept = TypeVar("Kept")
One = st.integers(0, 999)  # of however many there are
Who = st.integers(0, ACCOUNTS - 1)
Fate = st.sampled_from([LIVES] * 60 + [TWICE] * 4 + [*range(1, LAST_DEATH + 1)])
Hours = st.integers(1, 12)
Amount = st.sampled_from([0, 1, 3, 7, 20])
Asked = st.sampled_from([0, 1, 5, 10, 30, 100])
Age = st.sampled_from([0, 0, 0, 1, 5])
Kind = st.sampled_from(["REFUND", "DISPUTE"])
Span = st.sampled_from([HOUR / 60, HOUR, HOUR, 3 * HOUR, 24 * HOUR, 400 * 24 * HOUR])

COSTS: dict[str, Callable[[Claim], int]] = {
    "nothing": lambda claim: 0,
    "one": lambda claim: 1,
    "half": lambda claim: claim.amount // 2,
    "all": lambda claim: claim.amount,
    "more": lambda claim: claim.amount + 3,
}
Cost = st.sampled_from([*COSTS])


def a_few(**each: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(each), min_size=2, max_size=4)


class BankMachine(RuleBasedStateMachine):
    """One history. It leaves the database as it was."""

    def __init__(self, accounts: Sequence[Account], did: Callable[[], None]) -> None:
        """``did`` is called after each step, once it is compared."""
        super().__init__()
        self.did = did
        self.steps = count(1)
        self.numbers = count(1)
        self.announced: list[tuple[Account, str]] = []
        self.keyed: list[tuple[Callable[[int], int], int]] = []
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.bank = Bank(accounts)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.bank.prove()
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    @invariant()
    def both_say_the_same(self):
        self.bank.compare()
        if next(self.steps) % STEPS_BETWEEN_PROOFS == 0:
            self.bank.prove()
        self.did()

    # Time

    @rule(span=Span)
    def time_passes(self, span):
        self.bank.wait(span)

    @precondition(lambda self: self.instants)
    @rule(one=One)
    def something_falls_due(self, one):
        self.bank.wait(self.one(self.instants, one) - self.bank.now)

    @property
    def instants(self) -> list[datetime]:
        """When something will take effect or be over."""
        of_heaps = [instant for _, heap in self.bank.heaps for instant in (heap.effective, heap.expires)]
        of_claims = [claim.expires for claim in self.bank.pending]
        return [instant for instant in of_heaps + of_claims if self.bank.now < instant < NEVER]

    # Giving and taking

    @initialize(amounts=st.tuples(*[st.integers(1, 50)] * ACCOUNTS))
    def everybody_has_something(self, amounts):
        for who, amount in enumerate(amounts):
            self.granted(who, Heap(self.name("source"), amount))

    @rule(
        who=Who,
        amount=st.integers(1, 30),
        priority=st.integers(1, 3),
        delay=st.sampled_from([0, 0, 0, -3, 2, 6]),
        life=st.none() | st.integers(1, 8),
        fate=Fate,
    )
    def give(self, who, amount, priority, delay, life, fate):
        effective = self.bank.now + delay * HOUR
        expires = effective + life * HOUR if life else NEVER
        self.granted(who, Heap(self.name("source"), amount, priority, effective, expires), fate)

    @precondition(lambda self: self.announced)
    @rule(amount=st.integers(1, 30), fate=Fate)
    def give_what_was_refunded_before(self, amount, fate):
        account, source = self.announced.pop()
        self.granted(self.bank.accounts.index(account), Heap(source, amount, effective=self.bank.now), fate)

    def granted(self, who: int, heap: Heap, fate: int = LIVES) -> None:
        account = self.bank.accounts[who]
        terms = {"category": "PURCHASE", "source": heap.source, "actor": "system", "priority": heap.priority}
        if heap.effective > datetime.min.replace(tzinfo=heap.effective.tzinfo):
            terms["effective_at"] = heap.effective
        if heap.expires != NEVER:
            terms["expires_at"] = heap.expires

        def call(amount: int) -> int:
            return services.grant(account=account, amount=amount, now=self.bank.now, **terms).amount

        def expected() -> int:
            self.bank.models[account.pk].give(heap, self.bank.now)
            return heap.amount

        self.keep(call, heap.amount, self.bank.do(lambda: call(heap.amount), expected, fate))

    @rule(who=Who, amount=st.sampled_from([-1, -5, -30, 1, 5, 30]), fate=Fate)
    def adjust(self, who, amount, fate):
        account, reference = self.bank.accounts[who], self.name("adjustment")
        model = self.bank.models[account.pk]

        def call(amount: int) -> int:
            terms = {"reference": reference, "memo": "simulated", "actor": "user:1", "now": self.bank.now}
            return sum(entry.amount for entry in services.adjust(account=account, amount=amount, **terms))

        def expected() -> int:
            if amount > 0:
                model.give(Heap(reference, amount, effective=self.bank.now), self.bank.now)
            else:
                model.take(-amount)
            return amount

        self.keep(call, amount, self.bank.do(lambda: call(amount), expected, fate))

    @rule(who=Who, amount=st.integers(1, 20), fate=Fate)
    def debit(self, who, amount, fate):
        account, reference = self.bank.accounts[who], self.name("debit")
        model = self.bank.models[account.pk]

        def call(amount: int) -> int:
            terms = {"kind": "ADJUSTMENT", "reference": reference, "actor": "system", "memo": "simulated"}
            terms["now"] = self.bank.now
            return -sum(entry.amount for entry in services.debit(account=account, amount=amount, **terms))

        def expected() -> int:
            model.take(amount)
            return amount

        self.keep(call, amount, self.bank.do(lambda: call(amount), expected, fate))

    def keep(self, call: Callable[[int], int], amount: int, outcome: Any) -> None:
        if outcome == amount:
            self.keyed.append((call, amount))

    @precondition(lambda self: self.keyed)
    @rule(one=One, fate=Fate)
    def ask_again_for_what_was_given_or_taken(self, one, fate):
        call, amount = self.one(self.keyed, one)
        self.bank.do(lambda: call(amount), lambda: amount, fate)

    @precondition(lambda self: self.keyed)
    @rule(one=One)
    def ask_for_another_amount(self, one):
        call, amount = self.one(self.keyed, one)
        self.bank.refuse(SourceConflict, lambda: call(2 * amount))

    @precondition(lambda self: self.bank.heaps)
    @rule(one=One, fate=Fate)
    def void(self, one, fate):
        account, heap = self.one(self.bank.heaps, one)
        grant = self.bank.grant_of(account, heap)
        terms = {"actor": "user:1", "memo": "simulated", "now": self.bank.now}
        self.bank.do(
            lambda: void_grant(grant=grant, **terms).voided_at is not None,
            lambda: self.bank.models[account.pk].void(heap, self.bank.now) is None,
            fate,
        )

    # Holding

    @rule(who=Who, amount=Amount, hours=Hours, is_keyed=st.booleans(), fate=Fate)
    def hold(self, who, amount, hours, is_keyed, fate):
        self.bank.place([self.claim(who, amount, hours, is_keyed=is_keyed)], fate)

    @rule(who=Who, more=st.integers(0, 1), hours=Hours, fate=Fate)
    def hold_all_there_is_or_one_more(self, who, more, hours, fate):
        model = self.bank.models[self.bank.accounts[who].pk]
        model.arrive(self.bank.now)
        self.bank.place([self.claim(who, model.available + more, hours)], fate)

    @rule(each=a_few(who=Who, amount=Amount, hours=Hours, of_session=st.none() | One), fate=Fate)
    def hold_several_at_once(self, each, fate):
        sessions = self.bank.sessions
        claims = []
        for terms in each:
            one = terms.pop("of_session")
            if one is None or not sessions:
                claims.append(self.claim(**terms))
            else:
                claims.append(self.claim_of(self.one(sessions, one), terms["amount"], terms["hours"]))
        self.bank.place(claims, fate)

    @precondition(lambda self: self.bank.sessions)
    @rule(one=One, amount=Amount, hours=Hours, fate=Fate)
    def draw_from_a_session(self, one, amount, hours, fate):
        self.bank.place([self.claim_of(self.one(self.bank.sessions, one), amount, hours)], fate)

    @precondition(lambda self: self.bank.sessions)
    @rule(one=One, more=st.integers(0, 1), hours=Hours, fate=Fate)
    def draw_all_of_a_session_or_one_more(self, one, more, hours, fate):
        session = self.one(self.bank.sessions, one)
        left = self.bank.models[self.bank.owner(session)].claimed(session)
        self.bank.place([self.claim_of(session, left + more, hours)], fate)

    @precondition(lambda self: self.bank.claims)
    @rule(one=One, hours=Hours)
    def draw_from_what_may_be_over_or_no_session(self, one, hours):
        self.bank.place([self.claim_of(self.one(self.bank.claims, one), 1, hours)], LIVES)

    @precondition(lambda self: self.bank.claims)
    @rule(one=One, fate=Fate)
    def hold_again(self, one, fate):
        """The same terms find the first hold, however it ended."""
        claim, request = self.again(one, more=0)
        self.bank.do(lambda: self.bank.placed(request), lambda: [claim.id], fate)

    @precondition(lambda self: self.bank.claims)
    @rule(one=One)
    def hold_again_for_another_amount(self, one):
        _, request = self.again(one, more=1)
        self.bank.refuse(DuplicateHold, lambda: self.bank.placed(request))

    def again(self, one: int, *, more: int) -> tuple[Claim, Any]:
        """A request by the name of a claim there is: its key, under another id, or the id where there is no key."""
        claim = self.one(self.bank.claims, one)
        key = self.bank.keys.get(claim.id)
        again = Claim(self.new_id() if key else claim.id, claim.amount + more, claim.expires, None)
        if key:
            self.bank.keys[again.id] = key
        return claim, self.bank.request(self.bank.owner(claim), again)

    def claim(self, who: int, amount: int, hours: int, *, is_keyed: bool = False) -> tuple[int, Claim]:
        claim = Claim(self.new_id(), amount, self.bank.now + hours * HOUR, None)
        if is_keyed:
            self.bank.keys[claim.id] = self.name("key")
        return self.bank.accounts[who].pk, claim

    def claim_of(self, session: Claim, amount: int, hours: int) -> tuple[int, Claim]:
        claim = Claim(self.new_id(), amount, self.bank.now + hours * HOUR, session)
        return self.bank.owner(session), claim

    # Resolving

    @precondition(lambda self: self.bank.pending)
    @rule(one=One, cost=Cost, fate=Fate)
    def settle(self, one, cost, fate):
        self.settled([(self.one(self.bank.pending, one), cost)], fate)

    @precondition(lambda self: self.bank.pending)
    @rule(each=a_few(one=One, cost=Cost), fate=Fate)
    def settle_several_at_once(self, each, fate):
        pending = self.bank.pending
        costs = {self.one(pending, terms["one"]).id: terms["cost"] for terms in each}
        self.settled([(claim, costs[claim.id]) for claim in pending if claim.id in costs], fate)

    @precondition(lambda self: self.overdue)
    @rule(one=One, cost=Cost, fate=Fate)
    def settle_late(self, one, cost, fate):
        self.settled([(self.one(self.overdue, one), cost)], fate)

    @precondition(lambda self: self.bank.claims)
    @rule(one=One, cost=Cost)
    def settle_whatever_became_of_it(self, one, cost):
        self.settled([(self.one(self.bank.claims, one), cost)], LIVES)

    @precondition(lambda self: self.bank.pending)
    @rule(one=One, fate=Fate)
    def release(self, one, fate):
        self.released([self.one(self.bank.pending, one)], fate)

    @precondition(lambda self: self.bank.claims)
    @rule(several=st.lists(One, min_size=1, max_size=4))
    def release_whatever_became_of_them(self, several):
        ids = {self.one(self.bank.claims, one).id for one in several}
        self.released([claim for claim in self.bank.claims if claim.id in ids], LIVES)

    @precondition(lambda self: any(claim.expires <= self.bank.now for claim in self.bank.pending))
    @rule(fate=Fate)
    def expire(self, fate):
        ids = [claim.id for claim in self.bank.claims]
        due = sorted(
            (claim for claim in self.bank.claims if claim.expires <= self.bank.now), key=lambda claim: claim.id
        )
        self.bank.resolve(
            lambda: sorted(services.expire_holds(ids, now=self.bank.now), key=lambda each: each.hold_id),
            [(claim, "EXPIRED", 0) for claim in due],
            fate,
        )

    @rule(is_settled=st.booleans())
    def resolve_what_there_is_not(self, is_settled):
        unknown, now = self.new_id(), self.bank.now
        self.bank.refuse(
            HoldNotFound,
            lambda: (
                services.settle_holds([(unknown, 1)], actor="key:1", now=now)
                if is_settled
                else services.release_holds([unknown], now=now)
            ),
        )

    @property
    def overdue(self) -> list[Claim]:
        return [claim for claim in self.bank.claims if claim.status == "EXPIRED" and not claim.late]

    def settled(self, chosen: list[tuple[Claim, str]], fate: int) -> None:
        costs = [(claim, COSTS[cost](claim)) for claim, cost in chosen]
        settlements = [(claim.id, cost) for claim, cost in costs]
        self.bank.resolve(
            lambda: services.settle_holds(settlements, actor="key:1", now=self.bank.now),
            [(claim, "SETTLED", cost) for claim, cost in costs],
            fate,
        )

    def released(self, chosen: list[Claim], fate: int) -> None:
        self.bank.resolve(
            lambda: services.release_holds([claim.id for claim in chosen], now=self.bank.now),
            [(claim, "RELEASED", 0) for claim in chosen],
            fate,
        )

    # Taking back

    @precondition(lambda self: self.purchases)
    @rule(one=One, kind=Kind, asked=Asked, age=Age, fate=Fate)
    def refund_or_dispute(self, one, kind, asked, age, fate):
        account, source = self.one(self.purchases, one)
        self.heard(account, TakeBack(self.name("reversal"), source, kind, asked, self.bank.now - age * HOUR), fate)

    @rule(who=Who, kind=Kind, asked=Asked, age=Age, fate=Fate)
    def refund_what_was_not_given_yet(self, who, kind, asked, age, fate):
        account, source = self.bank.accounts[who], self.name("source")
        self.announced.append((account, source))
        self.heard(account, TakeBack(self.name("reversal"), source, kind, asked, self.bank.now - age * HOUR), fate)

    @precondition(lambda self: self.bank.take_backs)
    @rule(one=One, asked=Asked, age=Age, fate=Fate)
    def hear_more_of_a_refund(self, one, asked, age, fate):
        account, known = self.one(self.bank.take_backs, one)
        as_of = self.bank.now - age * HOUR
        self.heard(account, TakeBack(known.key, known.source, known.kind, asked, as_of), fate)

    @precondition(lambda self: self.bank.take_backs)
    @rule(one=One, fate=Fate)
    def reinstate(self, one, fate):
        account, known = self.one(self.bank.take_backs, one)
        self.heard(account, TakeBack(known.key, known.source, known.kind, 0, self.bank.now), fate)

    @precondition(lambda self: self.bank.take_backs)
    @rule(one=One)
    def take_a_refund_for_a_dispute(self, one):
        account, known = self.one(self.bank.take_backs, one)
        other = "REFUND" if known.kind == "DISPUTE" else "DISPUTE"
        news = TakeBack(known.key, known.source, other, known.asked, self.bank.now)
        self.bank.refuse(SourceConflict, lambda: self.reversed(account, news))

    @property
    def purchases(self) -> list[tuple[Account, str]]:
        return [(account, heap.source) for account, heap in self.bank.heaps if heap.source.startswith("source")]

    def heard(self, account: Account, news: TakeBack, fate: int) -> None:
        def expected() -> str:
            self.bank.models[account.pk].hear(news, self.bank.now)
            return news.key

        self.bank.do(lambda: self.reversed(account, news), expected, fate)

    def reversed(self, account: Account, news: TakeBack) -> str:
        terms = {"source": news.source, "key": news.key, "kind": news.kind, "asked": news.asked, "as_of": news.as_of}
        return reverse(account=account, actor="system", now=self.bank.now, **terms).key

    # What there is to choose from

    def one(self, kept: Sequence[Kept], number: int) -> Kept:
        return kept[number % len(kept)]

    def name(self, what: str) -> str:
        return f"{what}:{next(self.numbers)}"

    def new_id(self) -> str:
        return f"{next(self.numbers):032x}"
