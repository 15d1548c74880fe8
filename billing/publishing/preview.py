"""What a price would change, if it were published: read before it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.db.models import QuerySet

from billing.models import ListedModel, Price
from billing.prices import EVERYBODY, WITHDRAWN, PriceList, is_for
from billing.pricing import FIXED, METERED, MILLION, Terms
from billing.publishing.drafts import Draft, same
from billing.publishing.examples import Charge, Example, charge_of, example_of
from billing.publishing.replay import Replay, replay
from billing.rates import Rates, rates_of
from billing.services import listed_in_force

#: So many models are shown; the others are counted.
MOST_MODELS = 15
#: Prices that vary with the hour are those of a call that begins now.
CALL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OnModel:
    """A model of the catalogue whose price changes. ``cost`` is ours of the example, in femtodollars, if known."""

    model: str
    cost: int | None
    before: Charge
    after: Charge


@dataclass(frozen=True, slots=True)
class Preview:
    """
    A draft beside what is in force when it takes effect, at ``at``.

    ``replaced`` is the price of the same customer, thing and models, if there is one, and ``next_at`` when another of
    that kind takes over, which has been published already. ``models`` are the first of the ``changed`` ones.
    """

    draft: Draft
    at: datetime
    replaced: Price | None
    next_at: datetime | None
    example: Example
    models: list[OnModel]
    changed: int
    unsold: int
    replay: Replay
    overridden: int
    remarks: list[str]


def preview(draft: Draft, *, now: datetime) -> Preview:
    """Return what ``draft`` changes. Reads the catalogue, the prices, and the newest calls of the last month."""
    at = draft.effective_at or now
    before, after = _lists(draft, at)
    costs = _Costs(now)
    example = example_of(draft.feature)
    old, new = before([draft.customer_id]), after([draft.customer_id])
    changed = []
    unsold = 0
    for model in costs.models:
        was, becomes = (
            prices.of(draft.feature, draft.currency, customer_id=draft.customer_id, model=model)
            for prices in (old, new)
        )
        if not same(was, becomes):
            changed.append((model, was, becomes))
            unsold += becomes is None
    shown = [each for each in changed if costs.makes(each[0], example.makes)][:MOST_MODELS]
    replaced = replaced_by(draft, at)
    next_at = (
        _of_scope(draft).filter(effective_at__gt=at).order_by("effective_at").values_list("effective_at", flat=True)
    )
    return Preview(
        draft=draft,
        at=at,
        replaced=replaced,
        next_at=next_at.first(),
        example=example,
        models=[_on(model, example, was, becomes, costs.of(model)) for model, was, becomes in shown],
        changed=len(changed),
        unsold=unsold,
        replay=replay(draft, before=before, after=after, rates=costs.of, now=now),
        overridden=_overridden(draft, at),
        remarks=list(_remarks(draft, costs, len(changed))),
    )


def replaced_by(draft: Draft, at: datetime) -> Price | None:
    """Return the price that ``draft`` takes the place of at ``at``, if there is one that is not withdrawn."""
    newest = _of_scope(draft).filter(effective_at__lte=at).order_by("effective_at", "id").last()
    return None if newest is None or newest.type == WITHDRAWN else newest


def _of_scope(draft: Draft) -> QuerySet[Price]:
    prices = Price.objects.filter(feature=draft.feature, currency=draft.currency, pattern=draft.pattern)
    return prices.filter(customer_id=draft.customer_id) if draft.customer_id else prices.filter(customer=None)


Lists = Callable[[Iterable[int]], PriceList]


def _lists(draft: Draft, at: datetime) -> tuple[Lists, Lists]:
    """The prices in force at ``at`` for some customers, without the draft and with it."""

    def before(customer_ids: Iterable[int]) -> PriceList:
        return PriceList(listed_in_force(at, set(customer_ids)))

    def after(customer_ids: Iterable[int]) -> PriceList:
        kept = [each for each in listed_in_force(at, set(customer_ids)) if not draft.replaces(each)]
        return PriceList([*kept, draft.listed])

    return before, after


class _Costs:
    """What the models of the catalogue cost, and what they make."""

    def __init__(self, now: datetime) -> None:
        listed = ListedModel.objects.filter(is_listed=True).values_list(
            "id", "rates", "entry__architecture__output_modalities"
        )
        self._listed = {id_: (rates, makes) for id_, rates, makes in listed}
        self._now = now
        self.of = cache(self._of)

    @property
    def models(self) -> list[str]:
        return list(self._listed)

    def makes(self, model: str, kind: str) -> bool:
        """Whether ``model`` puts out ``kind``; text, where its entry does not say."""
        return kind in (self._listed[model][1] or ["text"])

    def _of(self, model: str) -> Rates | None:
        listed = self._listed.get(model)
        if listed is None:
            return None
        return rates_of(
            listed[0], prompt_tokens=0, has_audio=False, caches_long=False, now=self._now, until=self._now + CALL
        )


def _on(model: str, example: Example, was: Terms | None, becomes: Terms | None, rates: Rates | None) -> OnModel:
    cost = None if rates is None else example.cost(rates)
    return OnModel(model, cost, charge_of(example, was, rates), charge_of(example, becomes, rates))


def _overridden(draft: Draft, at: datetime) -> int:
    """How many customers have a price of their own for this, which stays; none, if the draft is one."""
    if draft.customer_id != EVERYBODY:
        return 0
    own = Price.objects.filter(customer__isnull=False, feature=draft.feature, currency=draft.currency)
    ids = set(own.filter(effective_at__lte=at).values_list("customer_id", flat=True))
    in_force = listed_in_force(at, {id_ for id_ in ids if id_ is not None})
    return len({
        each.customer_id
        for each in in_force
        if each.customer_id != EVERYBODY and each.terms.type != WITHDRAWN
        and (each.feature, each.currency) == (draft.feature, draft.currency)
    })  # fmt: skip


def _remarks(draft: Draft, costs: _Costs, changed: int) -> Iterable[str]:
    """What an operator may not have meant."""
    matches = any(is_for(draft.pattern, model) for model in costs.models)
    if not costs.models:
        yield "The catalogue is empty: nothing can be sold at a metered price before it has been refreshed."
    elif not matches:
        yield f"No model of the catalogue is named {draft.pattern}."
    elif not changed:
        yield "No model changes its price by this."
    if draft.type == METERED and draft.markup is not None and draft.markup < MILLION:
        yield "The markup is below 1: each call brings less than it costs."
    if draft.type == FIXED and draft.most_cost_picos is None:
        yield "There is no ceiling: a call may cost you more than it brings. Set what a unit may cost you at most."
