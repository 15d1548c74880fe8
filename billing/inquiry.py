"""All that a batch's admissions are decided by, read in a statement or two a table: who asks, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing import lookup
from billing.admission import NOBODY, Asked, Caller, Offer, offers_of
from billing.limits import Allowance, of_end_user
from billing.operations import Admit
from billing.rates import Rates, dearest, rates_of
from billing.services import prices_in_force, rates_listed

#: Ways to choose a model's provider; the model and its listed price stay the same.
ROUTES = (":nitro", ":floor", ":exacto")


@dataclass(frozen=True, slots=True)
class Inquiry:
    """
    What is known of an admission. ``rates`` are None where nothing depends on them, or they are unknown.

    ``allowances`` are all limits that it counts against.
    """

    caller: Caller
    asked: Asked
    offers: list[Offer]
    rates: Rates | None = None
    allowances: tuple[Allowance, ...] = ()


def inquire(admissions: Sequence[Admit], *, now: datetime) -> dict[str, Inquiry]:
    """
    Return what is known of each admission, by its hold's id.

    One of somebody unknown is missing, and so is that of a key which is over: no more work is done for it.
    """
    if not admissions:
        return {}
    digests = {admission.key_digest for admission in admissions} - {""}
    read = lookup.read(digests, {admission.who for admission in admissions if not admission.key_digest})
    asking = {who: caller for who, caller in read.items() if not _is_over(caller, now)}
    prices = prices_in_force(now, {caller.customer_id for caller in asking.values()} - {NOBODY})
    found: dict[str, Inquiry] = {}
    metered = []
    for admission in admissions:
        caller = asking.get(admission.who)
        if caller is not None:
            asked = admission.asked
            offers = offers_of(caller, asked, prices)
            inquiry = found[admission.hold_id] = Inquiry(caller, asked, offers, allowances=caller.allowances)
            if any(offer.needs_rates for offer in inquiry.offers):
                metered.append((admission, inquiry))
    if metered:
        listed = rates_listed({name for _, each in metered for model in each.asked.models for name in _names(model)})
        for admission, inquiry in metered:
            found[admission.hold_id] = replace(inquiry, rates=_rates(admission, inquiry.asked, listed, now))
    _limit_end_users(admissions, found)
    return found


def _is_over(caller: Caller, now: datetime) -> bool:
    return caller.revoked_at is not None or (caller.expires_at is not None and caller.expires_at <= now)


def _limit_end_users(admissions: Sequence[Admit], found: dict[str, Inquiry]) -> None:
    """Add the budgets of end users whom calls are for, where their customers limit any."""
    named = {
        admission.hold_id: (found[admission.hold_id].caller, admission.end_user)
        for admission in admissions
        if admission.end_user and admission.hold_id in found and found[admission.hold_id].caller.end_users is not None
    }
    if not named:
        return
    own = lookup.budgets_of({(caller.customer_id, end_user) for caller, end_user in named.values()})
    for hold_id, (caller, end_user) in named.items():
        budget = own.get((caller.customer_id, end_user), caller.end_users)
        if budget is not None and budget.amount is not None:
            allowances = (
                *found[hold_id].allowances,
                of_end_user(caller.customer_id, end_user, budget, caller.time_zone),
            )
            found[hold_id] = replace(found[hold_id], allowances=allowances)


def _rates(admission: Admit, asked: Asked, listed: Mapping[str, str], now: datetime) -> Rates | None:
    """The dearest rates of all models that may answer; None if those of one are unknown."""
    demand, found = admission.demand, []
    for model in asked.models:
        listing = next((listed[name] for name in _names(model) if name in listed), None)
        rates = listing and rates_of(
            listing,
            prompt_tokens=demand.prompt_tokens,
            has_audio=demand.has_audio,
            caches_long=demand.caches_long,
            now=now,
            until=now + admission.lifetime,
        )
        if not rates:
            return None
        found.append(rates)
    return dearest(found)


def _names(model: str) -> tuple[str, ...]:
    """What the catalogue may list a model as, the best first."""
    route = next((route for route in ROUTES if model.endswith(route)), None)
    return (model,) if route is None else (model, model.removesuffix(route))
