"""Whether a call that its caller affords is within their limits too, and how much shorter it must be. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from accounts.errors import PrepaidError
from billing.errors import BudgetExceeded, BudgetInUse, NotInBudget
from billing.limits import Rations
from billing.pricing import Demand, Limits
from billing.rates import Rates
from credits.errors import InsufficientCredits

if TYPE_CHECKING:
    from billing.admission import Decision, Offer

USDC = "usdc"
#: Reserved for an answer that nobody has limited, in tokens; what it has is counted when it ends.
USUAL_ANSWER = 4096


class Pay(Protocol):
    """``billing.admission.afford`` of one call."""

    def __call__(self, offers: Sequence[Offer], /, *, available: Mapping[int, int]) -> Decision: ...


def within_rations(
    pay: Pay,
    offers: Sequence[Offer],
    rations: Rations,
    *,
    available: Mapping[int, int],
    demand: Demand,
    rates: Rates | None,
    now: datetime,
) -> Decision:
    """
    Return who pays what, of what is available and within every budget. Nothing is taken of ``rations`` yet.

    :raises RateLimited: if it comes too soon
    :raises TooManyCalls: if as many calls run as may
    :raises BudgetExceeded: if a budget has too little left for even a short answer
    :raises BudgetInUse: if that is so only as long as other calls run
    :raises NotInBudget: if there is a budget, and the call can be paid in another currency only
    :raises PrepaidError: any refusal of ``pay``
    """
    for ration in rations:
        ration.check_pace(now)
    payable = _in_budget(offers, rations)
    currencies = {offer.account_id: offer.currency for offer in payable}
    try:
        decision = pay(payable, available=_within_budgets(rations, available, currencies))
    except InsufficientCredits as refusal:
        affordable = pay(payable, available=available)
        unheld = _within_budgets(rations, available, currencies, held_too=True)
        raise _refusal(refusal, affordable, rations, is_passing=_pays(pay, payable, unheld), now=now) from refusal
    tokens = tokens_of(demand, decision.limits, rates)
    for ration in rations:
        ration.check_tokens(tokens, now)
    return replace(decision, tokens=tokens)


def _within_budgets(
    rations: Rations, available: Mapping[int, int], currencies: Mapping[int, str], *, held_too: bool = False
) -> dict[int, int]:
    """What is available by account when no budget is exceeded; ``held_too``: if nothing were held of the budgets."""
    found = {}
    for account_id, currency in currencies.items():
        lefts = [left for ration in rations if (left := ration.left(currency, held_too=held_too)) is not None]
        found[account_id] = min([available.get(account_id, 0), *lefts])
    return found


def tokens_of(demand: Demand, answer: Limits | None, rates: Rates | None) -> int:
    """How many tokens a call may use: what its hold was computed from, else what is usual."""
    prompt = demand.prompt_tokens if rates is None else min(demand.prompt_tokens, rates.context)
    if answer is not None:
        longest = answer.max_tokens
    else:
        longest = USUAL_ANSWER if demand.completion_tokens is None else demand.completion_tokens
    return demand.calls * (prompt + demand.choices * longest)


def _in_budget(offers: Sequence[Offer], rations: Rations) -> Sequence[Offer]:
    """Budgets are in credits, and nothing is exchanged: whoever has one pays nothing in USDC."""
    if all(ration.allowance.budget is None for ration in rations):
        return offers
    kept = [offer for offer in offers if offer.currency != USDC]
    if offers and not kept:
        raise NotInBudget
    return kept


def _pays(pay: Pay, offers: Sequence[Offer], available: Mapping[int, int]) -> bool:
    try:
        pay(offers, available=available)
    except InsufficientCredits:
        return False
    return True


def _refusal(
    refusal: InsufficientCredits, affordable: Decision, rations: Rations, *, is_passing: bool, now: datetime
) -> PrepaidError:
    """What the tightest budget says to a call that the account could pay."""
    lefts = [(ration.left(affordable.offer.currency), ration) for ration in rations]
    _, ration = min(((left, each) for left, each in lefts if left is not None), key=lambda found: found[0])
    allowance, counter = ration.allowance, ration.counter
    assert allowance.budget is not None, "only a budget leaves something"
    shorter: dict[str, Any] = {name: refusal.extra[name] for name in ("affordableMaxTokens",) if name in refusal.extra}
    return (BudgetInUse if is_passing else BudgetExceeded)(
        of=allowance.of,
        period=allowance.period,
        required=affordable.amount,
        budget=allowance.budget,
        spent=counter.spent,
        held=counter.held,
        resets_at=allowance.period_ends(now),
        now=now,
        **shorter,
    )
