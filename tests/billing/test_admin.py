"""Prices in the admin: the next one can be added, none can be changed."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import User
from billing.admin import price_state
from billing.models import Price
from billing.services import prices_in_force
from credits import amounts

ADD = reverse("admin:billing_price_add")
LIST = reverse("admin:billing_price_changelist")


@pytest.fixture
def console(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def price(**changes):
    return {
        "feature": "ai_text_chat",
        "currency": "credits",
        "amount": "1.5",
        "effective_at_0": "",
        "effective_at_1": "",
        **changes,
    }


def test_a_new_price_counts_from_now_on(console):
    console.post(ADD, price())

    assert prices_in_force(timezone.now()).of("ai_text_chat", "credits").amount == amounts.parse("1.5")


def test_a_price_of_the_future_waits(console, now):
    before = prices_in_force(now).of("ai_text_chat", "credits")
    console.post(ADD, price(effective_at_0="2999-01-01", effective_at_1="00:00"))

    assert Price.objects.latest("id").effective_at.year == 2999
    assert prices_in_force(timezone.now()).of("ai_text_chat", "credits") == before


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"amount": "-1"}, {"amount": ["A price cannot be negative."]}),
        (
            {"amount": "1e3"},
            {"amount": ["'1e3' is not an amount: write a decimal with at most 7 places, such as 12.5."]},
        ),
        ({"feature": "tea"}, {"feature": ["Select a valid choice. tea is not one of the available choices."]}),
        (
            {"effective_at_0": "2020-01-01", "effective_at_1": "00:00"},
            {"effective_at": ["A price cannot take effect in the past. Leave it empty to begin now."]},
        ),
    ],
)
def test_a_price_that_makes_no_sense_is_refused_at_its_field(console, fields, errors):
    count = Price.objects.count()
    page = console.post(ADD, price(**fields))

    assert page.context["adminform"].form.errors == errors
    assert Price.objects.count() == count


def test_a_price_is_never_changed(console):
    old = Price.objects.first()
    answer = console.post(reverse("admin:billing_price_change", args=[old.pk]), price(amount="99"))

    assert answer.status_code == 403
    assert Price.objects.get(pk=old.pk).amount == old.amount


def test_the_list_says_which_price_counts_today(console, now):
    feature = "ai_text_chat"
    first = Price.objects.get(feature=feature)
    current = Price.objects.create(feature=feature, amount=2, effective_at=now - timedelta(minutes=1))
    coming = Price.objects.create(feature=feature, amount=3, effective_at=now + timedelta(days=1))

    rows = console.get(LIST).context["cl"].result_list
    states = {row.pk: price_state(row) for row in rows if row.feature == feature}

    assert {pk: strip_tags(state) for pk, state in states.items()} == {
        first.pk: "past",
        current.pk: "current",
        coming.pk: "coming",
    }
