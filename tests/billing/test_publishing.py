"""What a price would change: which models, what examples cost, and what last month's calls would have cost."""

from datetime import timedelta

import pytest

from ai.providers.simulator.catalogue import MODELS
from billing.listing import keep
from billing.models import ListedModel, Price
from billing.publishing import replay as replaying
from billing.publishing.drafts import Draft, faults
from billing.publishing.examples import CHAT, Charge, charge_of
from billing.publishing.preview import preview
from billing.publishing.services import publish
from billing.publishing.words import terms_in_words
from billing.services import prices_in_force
from credits import amounts
from tests import factories

CREDIT = amounts.UNIT
#: A dollar is 100 credits, with a fifth on top, and 0.001 credits at the least.
METERED = {"type": "METERED", "amount": 10_000, "rate": 100 * CREDIT, "markup": 1_200_000}


def draft(**changes):
    return Draft(**{"feature": "ai_text_chat", "currency": "credits", "type": "FIXED", "amount": 2 * CREDIT, **changes})


@pytest.fixture
def catalogue(db, now):
    keep(MODELS, now=now)


def test_what_is_shown_before_is_what_is_charged_before_and_after_what_after(catalogue, now):
    seen = preview(draft(**METERED, pattern="openai/gpt-4o"), now=now)

    # $2.50 and $10 for a million tokens: 0.0125 dollars, times 1.2, times 100.
    assert [(each.model, each.cost, each.before, each.after) for each in seen.models] == [
        ("openai/gpt-4o", 12_500_000_000_000, Charge(CREDIT), Charge(amounts.parse("1.5")))
    ]
    assert (seen.changed, seen.unsold, seen.remarks) == (1, 0, [])


def test_only_models_whose_price_changes_are_shown(catalogue, now):
    publish(draft(pattern="anthropic/*", amount=9), actor="system", now=now)

    everybody = preview(draft(), now=now)

    listed = ListedModel.objects.filter(is_listed=True)
    assert everybody.changed == listed.exclude(id__startswith="anthropic/").count()
    assert not [each for each in everybody.models if each.model.startswith("anthropic/")]


def test_images_are_shown_with_the_models_that_make_them(catalogue, now):
    seen = preview(draft(feature="ai_image_generation", **METERED), now=now)
    # 1,290 tokens at $30 a million and 100 at 30 cents.
    assert [(each.model, each.cost) for each in seen.models][:1] == [
        ("google/gemini-2.5-flash-image-preview", 1290 * 30_000_000_000 + 100 * 300_000_000)
    ]


def test_a_ceiling_shortens_the_example_or_refuses_it(catalogue, now):
    dear = preview(draft(most_cost_picos=100_000_000, pattern="openai/gpt-4o"), now=now).models[0].after
    short = preview(draft(most_cost_picos=7_500_000_000, pattern="openai/gpt-4o"), now=now).models[0].after

    assert dear == Charge(None, "refused: dearer than the ceiling")
    assert short == Charge(2 * CREDIT, "cut to 500 tokens", 500)


def test_a_model_whose_cost_is_unknown_is_not_sold_at_a_metered_price(one_database):
    assert charge_of(CHAT, draft(**METERED).terms, None) == Charge(None, "not sold: its cost is unknown")
    assert charge_of(CHAT, None, None) == Charge(None, "not sold")


def test_calls_of_last_month_are_charged_again_to_the_unit(catalogue, account, now):
    factories.usage(account, "1", provider_cost_picos=12_345_678_901)
    factories.usage(account, "1", model="openai/gpt-4o", prompt_tokens=1000, completion_tokens=1000)
    factories.usage(account, "1", model="nobody/knows", prompt_tokens=7)
    factories.usage(account, "0", status="FAILED", provider_cost_picos=10**12)
    factories.usage(account, "0", status="CANCELLED", provider_cost_picos=10**12)
    factories.usage(account, "5", feature="ai_image_generation")
    factories.usage(account, "2", quantity=2, created_at=now - timedelta(days=31))

    replay = preview(draft(**METERED), now=now + timedelta(seconds=5)).replay

    # Rounded up once, by its tokens where no cost is known, and the least charge where not even they tell.
    after = 14_814_815 + amounts.parse("1.5") + 10_000
    assert (replay.total.calls, replay.total.charged) == (5, 3 * CREDIT)
    assert (replay.total.before, replay.total.after, replay.total.change) == (3 * CREDIT, after, after - 3 * CREDIT)
    assert replay.by_customer.keys() == {account.customer_id}
    assert replay.is_whole


def test_what_was_charged_at_the_metered_price_is_what_the_replay_of_it_says(catalogue, account, now):
    """Told of the past as it was: the same price again changes nothing."""
    publish(draft(**METERED), actor="system", now=now - timedelta(days=1))
    factories.usage(account, "1", provider_cost_picos=12_345_678_901)

    seen = preview(draft(**METERED), now=now)

    assert (seen.changed, seen.replay.total.calls) == (0, 0)
    assert seen.remarks == ["No model changes its price by this."]


def test_a_customers_own_price_is_looked_at_with_their_calls_alone(catalogue, account, now):
    other = factories.account(balance="9")
    factories.usage(account, "1")
    factories.usage(other, "1")

    own = preview(draft(customer_id=account.customer_id), now=now + timedelta(seconds=5))

    assert {id_: sums.change for id_, sums in own.replay.by_customer.items()} == {account.customer_id: CREDIT}


def test_whoever_has_a_price_of_their_own_keeps_it(catalogue, account, now):
    publish(draft(customer_id=account.customer_id, amount=3), actor="system", now=now)
    other = factories.account(balance="9")
    factories.usage(account, "1")
    factories.usage(other, "1")

    seen = preview(draft(), now=now + timedelta(seconds=5))

    assert seen.overridden == 1
    assert seen.replay.by_customer.keys() == {other.customer_id}


def test_calls_that_would_have_no_price_are_counted_and_summed_nowhere(catalogue, account, now):
    Price.objects.all().update(pattern="openai/*")
    factories.usage(account, "1")

    seen = preview(draft(type="WITHDRAWN", amount=0, pattern="openai/*"), now=now + timedelta(seconds=5))

    assert (seen.replay.unsold, seen.replay.total.calls) == (1, 0)
    assert seen.unsold == seen.changed > 0


def test_no_more_calls_are_asked_than_an_operator_waits_for(catalogue, account, now, monkeypatch):
    monkeypatch.setattr(replaying, "MOST_CALLS", 3)
    times = [now - timedelta(hours=hours) for hours in range(1, 6)]
    for created_at in times:
        factories.usage(account, "1", created_at=created_at)

    replay = preview(draft(), now=now).replay

    assert (replay.total.calls, replay.is_whole, replay.since) == (3, False, times[2])


def test_a_preview_costs_a_handful_of_queries_however_many_calls_there_were(
    catalogue, account, now, django_assert_max_num_queries
):
    for _ in range(5):
        factories.usage(factories.account(balance="9"), "1")
    with django_assert_max_num_queries(12):
        preview(draft(), now=now)


def test_it_says_which_price_it_replaces_and_which_comes_after(catalogue, now):
    coming = Price.objects.create(feature="ai_text_chat", amount=1, effective_at=now + timedelta(days=2))

    seen = preview(draft(effective_at=now + timedelta(days=1)), now=now)
    later = preview(draft(effective_at=now + timedelta(days=3)), now=now)

    assert (seen.replaced, seen.next_at) == (
        Price.objects.get(feature="ai_text_chat", amount=CREDIT),
        coming.effective_at,
    )
    assert (later.replaced, later.next_at) == (coming, None)


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({**METERED, "markup": 999_999}, "The markup is below 1: each call brings less than it costs."),
        (
            {"pattern": "nobody/*", "most_cost_picos": 1},
            "No model of the catalogue is named nobody/*.",
        ),
        ({}, "There is no ceiling: a call may cost you more than it brings. Set what a unit may cost you at most."),
    ],
)
def test_what_an_operator_may_not_mean_is_said(catalogue, now, changes, remark):
    assert preview(draft(**changes), now=now).remarks == [remark]


def test_an_empty_catalogue_is_said(db, now):
    expected = "The catalogue is empty: nothing can be sold at a metered price before it has been refreshed."
    assert preview(draft(**METERED), now=now).remarks == [expected]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rate": 1}, "rate"),
        ({"markup": 1}, "markup"),
        ({**METERED, "most_cost_picos": 1}, "most_cost"),
        ({"type": "WITHDRAWN"}, "type"),
        ({"pattern": ""}, "pattern"),
    ],
)
def test_a_draft_with_terms_of_another_type_is_at_fault(one_database, now, changes, field):
    assert list(faults(draft(**changes), now=now)) == [field]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": CREDIT}, "1 credit a unit"),
        ({"most_cost_picos": 50_000_000_000}, "2 credits a unit, if it costs us at most $0.05"),
        ({"currency": "usdc"}, "2.00 USDC a unit"),
        (METERED, "cost × 1.2 at 100 credits a dollar, at least 0.001"),
        ({**METERED, "amount": 0, "markup": 1_000_000}, "cost × 1 at 100 credits a dollar"),
        ({"type": "WITHDRAWN", "amount": 0}, "withdrawn"),
    ],
)
def test_a_price_is_said_in_words(one_database, changes, words):
    assert terms_in_words(draft(**changes)) == words


def test_a_price_takes_effect_when_it_says(db, now):
    publish(draft(amount=7, effective_at=now + timedelta(hours=1)), actor="system", now=now)

    amounts_of = [prices_in_force(at).of("ai_text_chat", "credits").amount for at in (now, now + timedelta(hours=1))]
    assert amounts_of == [CREDIT, 7]
