"""Prices in the admin: the next one can be published, none can be changed."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import AuditEntry, User
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
        "pattern": "*",
        "type": "FIXED",
        "amount": "1.5",
        "effective_at": "",
        **changes,
    }


def look(console, fields):
    """See what a price changes, and return the page."""
    return console.post(ADD, fields)


def publish(console, fields):
    """See what a price changes, and publish it as the page says."""
    looked = look(console, fields).context["form"]
    assert looked.errors == {}
    return console.post(ADD, {**looked.data, "_confirm": ""})


def test_a_new_price_counts_from_now_on(console):
    publish(console, price())

    assert prices_in_force(timezone.now()).of("ai_text_chat", "credits").amount == amounts.parse("1.5")


def test_nothing_is_published_before_what_it_changes_was_seen(console):
    count = Price.objects.count()
    answers = [look(console, price()), console.post(ADD, price(_confirm="")), console.post(ADD, price(_edit=""))]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert Price.objects.count() == count


def test_a_price_of_the_future_waits(console, now):
    before = prices_in_force(now).of("ai_text_chat", "credits")
    publish(console, price(effective_at="2999-01-01T00:00"))

    assert Price.objects.latest("id").effective_at.year == 2999
    assert prices_in_force(timezone.now()).of("ai_text_chat", "credits") == before


def test_a_metered_price_of_one_customer_for_some_models_is_published_to_the_unit(console, customer):
    fields = price(type="METERED", customer=customer.pk, pattern="openai/*", amount="0.001", rate="100", markup="1.2")
    # What the page hides, because this type has none, is not looked at.
    publish(console, {**fields, "most_cost": "5"})

    published = Price.objects.latest("id")
    terms = (published.amount, published.rate, published.markup, published.most_cost_picos)
    assert (published.customer, published.pattern, published.type) == (customer, "openai/*", "METERED")
    assert terms == (10_000, 1_000_000_000, 1_200_000, None)


def test_a_ceiling_is_published_to_the_picodollar(console):
    publish(console, price(most_cost="0.000000000001"))
    assert Price.objects.latest("id").most_cost_picos == 1


def test_who_published_what_is_written_down(console, customer):
    publish(console, price(customer=customer.pk))

    entry, published = AuditEntry.objects.latest("id"), Price.objects.latest("id")
    actor = f"user:{User.objects.get(email='root@example.com').pk}"
    assert (entry.customer, entry.action, entry.subject) == (customer, "price.published", f"price:{published.pk}")
    assert (entry.actor, published.actor) == (actor, actor)
    assert (entry.details["type"], entry.details["amount"]) == ("FIXED", 15_000_000)


def test_a_price_published_meanwhile_is_seen_before_it_is_replaced(console, now):
    looked = look(console, price()).context["form"].data
    meanwhile = Price.objects.create(feature="ai_text_chat", amount=7, effective_at=now)

    again = console.post(ADD, {**looked, "_confirm": ""})

    assert Price.objects.latest("id") == meanwhile
    assert "Another price was published since you looked" in again.content.decode()
    console.post(ADD, {**again.context["form"].data, "_confirm": ""})
    assert Price.objects.latest("id").amount == 15_000_000


def test_a_price_is_withdrawn_where_there_is_one(console, customer):
    publish(console, price(customer=customer.pk))
    publish(console, price(customer=customer.pk, type="WITHDRAWN", amount=""))

    of_customer = prices_in_force(timezone.now(), [customer.pk]).of("ai_text_chat", "credits", customer_id=customer.pk)
    assert of_customer == prices_in_force(timezone.now()).of("ai_text_chat", "credits")
    assert look(console, price(customer=customer.pk, type="WITHDRAWN")).context["form"].errors == {
        "type": ["There is no such price then: nothing to withdraw. Compare customer and models."]
    }


METERED = {"type": "METERED", "rate": "100", "markup": "1.2"}


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"amount": "-1"}, {"amount": "A price cannot be negative."}),
        ({"amount": "1e3"}, {"amount": "'1e3' is not an amount: write a decimal with at most 7 places, such as 12.5."}),
        ({"amount": ""}, {"amount": "Say what a unit costs; 0 gives it away."}),
        ({"feature": "tea"}, {"feature": "Select a valid choice. tea is not one of the available choices."}),
        ({"customer": "99999"}, {
            "customer": "Select a valid choice. That choice is not one of the available choices."
        }),
        ({"pattern": "open ai"}, {"pattern": "Name a model, or a pattern such as anthropic/*; * is every model."}),
        ({"pattern": "gpt-[45]"}, {"pattern": "Name a model, or a pattern such as anthropic/*; * is every model."}),
        ({"most_cost": "0"}, {"most_cost": "A ceiling is above 0 and at most 1000 dollars."}),
        ({"most_cost": "0.0000000000001"}, {
            "most_cost": "Write a decimal with at most 12 places, such as 1.25."
        }),
        ({**METERED, "rate": ""}, {"rate": "A metered price says what a US dollar is: above 0, and at most 100000."}),
        ({**METERED, "markup": "0"}, {
            "markup": "A metered price says what the cost is multiplied by: above 0, and at most 1000."
        }),
        ({**METERED, "markup": "1000.000001"}, {
            "markup": "A metered price says what the cost is multiplied by: above 0, and at most 1000."
        }),
        (
            {"effective_at": "2020-01-01T00:00"},
            {"effective_at": "A price cannot take effect in the past. Leave it empty to begin now."},
        ),
    ],
)  # fmt: skip
def test_a_price_that_makes_no_sense_is_refused_at_its_field(console, fields, errors):
    count = Price.objects.count()
    page = console.post(ADD, price(**fields, _confirm=""))

    assert page.context["form"].errors == {field: [message] for field, message in errors.items()}
    assert Price.objects.count() == count


def test_staff_who_may_look_at_prices_publish_none(db):
    looker = User.objects.create_user("looker@example.com", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_price"))
    client = Client()
    client.force_login(looker)

    old = Price.objects.first()
    assert [client.get(LIST).status_code, client.get(ADD).status_code] == [200, 403]
    assert client.post(ADD, price(_confirm="")).status_code == 403
    assert client.get(reverse("admin:billing_price_change_price", args=[old.pk])).status_code == 403


def test_the_next_version_begins_with_what_the_last_says(console, customer):
    publish(console, price(**METERED, customer=customer.pk, pattern="openai/*", amount="0.001"))
    answer = console.get(reverse("admin:billing_price_change_price", args=[Price.objects.latest("id").pk]))

    form = console.get(answer.url).context["form"]

    told = {name: form[name].value() for name in ("customer", "pattern", "type", "amount", "rate", "markup")}
    expected = {"pattern": "openai/*", "type": "METERED", "amount": "0.001", "rate": "100", "markup": "1.2"}
    assert told == {"customer": customer.pk, **expected}


@pytest.mark.parametrize("of", ["", "0", "99999999999999999999999", "x", "¹"])
def test_the_next_version_of_no_price_begins_empty(console, of):
    assert console.get(ADD, {"of": of}).context["form"].initial == {}


def test_a_price_is_never_changed(console):
    old = Price.objects.first()
    answer = console.post(reverse("admin:billing_price_change", args=[old.pk]), price(amount="99"))

    assert answer.status_code == 403
    assert Price.objects.get(pk=old.pk).amount == old.amount


def test_the_list_says_which_price_counts_today(console, customer, now):
    feature = "ai_text_chat"
    first = Price.objects.get(feature=feature)
    current = Price.objects.create(feature=feature, amount=2, effective_at=now - timedelta(minutes=1))
    coming = Price.objects.create(feature=feature, amount=3, effective_at=now + timedelta(days=1))
    own = Price.objects.create(feature=feature, customer=customer, amount=4, effective_at=now - timedelta(hours=2))
    gone = Price.objects.create(
        feature=feature, customer=customer, amount=0, type="WITHDRAWN", effective_at=now - timedelta(hours=1)
    )
    narrow = Price.objects.create(feature=feature, pattern="openai/*", amount=5, effective_at=now - timedelta(days=9))

    rows = console.get(LIST).context["cl"].result_list
    states = {row.pk: price_state(row) for row in rows if row.feature == feature}

    assert {pk: strip_tags(state) for pk, state in states.items()} == {
        first.pk: "past",
        current.pk: "current",
        coming.pk: "coming",
        own.pk: "past",
        gone.pk: "withdrawn",
        narrow.pk: "current",
    }
