"""The *Adjust credits* page: previewed, confirmed, booked once, refused in words."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from credits import amounts
from credits.models import Account, Currency, Grant, LedgerEntry
from tests import factories


def adjust_url(account):
    return reverse("admin:credits_account_adjust", args=[account.pk])


def page_of(account):
    return reverse("admin:credits_account_change", args=[account.pk])


def typed(amount="-12.5", reference="ticket-1", memo="Granted twice", **more):
    return {"amount": amount, "reference": reference, "memo": memo, **more}


def confirmed(**fields):
    return typed(**fields, _confirm="")


def adjustments(account):
    return list(account.entries.filter(reference__startswith="adjustment:").values_list("amount", flat=True))


def messages_after(console, account):
    return [str(message) for message in console.get(page_of(account)).context["messages"]]


@pytest.fixture
def operator(db):
    user = User.objects.create_user("finance@example.com", is_staff=True)
    wanted = ["view_account", "adjust_account", "view_ledgerentry"]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="credits", codename__in=wanted))
    return user


@pytest.fixture
def console(operator):
    client = Client()
    client.force_login(operator)
    return client


def test_the_preview_says_what_will_be_and_books_nothing(console, account):
    page = console.post(adjust_url(account), typed())

    outcome = page.context["outcome"]
    assert (outcome.change, outcome.balance, outcome.available, outcome.first) == ("-12.5", "87.5", "87.5", True)
    assert adjustments(account) == []
    assert Account.objects.get(pk=account.pk).balance == amounts.credits(100)


def test_a_confirmed_adjustment_is_booked_with_its_reason_and_actor(console, account, operator):
    answer = console.post(adjust_url(account), confirmed())

    entry = account.entries.latest("sequence")
    assert (answer.status_code, answer.url) == (302, page_of(account))
    assert (entry.kind, entry.amount, entry.memo, entry.actor, entry.reference) == (
        LedgerEntry.Kind.ADJUSTMENT,
        amounts.parse("-12.5"),
        "Granted twice",
        f"user:{operator.pk}",
        f"adjustment:{account.pk}:ticket-1",
    )


def test_giving_credits_is_a_grant_of_category_adjustment(console, account):
    console.post(adjust_url(account), confirmed(amount="0.0000001"))

    assert account.grants.filter(category=Grant.Category.ADJUSTMENT).values_list("amount", flat=True).get() == 1


def test_the_receipt_names_the_entry_and_the_balance(console, account):
    console.post(adjust_url(account), confirmed())

    entry = account.entries.latest("sequence")
    link = reverse("admin:credits_ledgerentry_change", args=[entry.pk])
    assert messages_after(console, account) == [
        f'Booked -12.5 as <a class="text-link" href="{link}">entry {entry.sequence}</a>.'
        " The balance is 87.5, of which 87.5 are available."
    ]


def test_an_adjustment_is_in_the_history_of_the_account(console, account, operator):
    console.post(adjust_url(account), confirmed())

    logged = LogEntry.objects.get(object_id=str(account.pk))
    assert (logged.user, logged.get_change_message()) == (operator, "Adjusted by -12.5: entry 2.")


def test_submitting_twice_has_one_effect_and_says_so(console, account):
    for _ in range(2):
        console.post(adjust_url(account), confirmed())

    assert adjustments(account) == [amounts.parse("-12.5")]
    assert "was booked before" in messages_after(console, account)[-1]
    assert LogEntry.objects.filter(object_id=str(account.pk)).count() == 1


@pytest.mark.django_db(transaction=True)
def test_submitting_at_the_same_time_has_one_effect(operator, account):
    def submit(_):
        try:
            client = Client()
            client.force_login(operator)
            return client.post(adjust_url(account), confirmed()).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(submit, range(4))) == [302] * 4
    assert adjustments(account) == [amounts.parse("-12.5")]


def test_the_preview_of_a_known_reference_says_that_it_was_booked(console, account):
    console.post(adjust_url(account), confirmed())

    page = console.post(adjust_url(account), typed(memo="other words"))

    assert page.context["outcome"].first is False
    assert "was booked on" in page.content.decode()
    assert 'name="_confirm"' not in page.content.decode()


@pytest.mark.parametrize("step", [typed, confirmed])
def test_taking_more_than_is_available_is_refused_at_the_amount(console, account, step):
    page = console.post(adjust_url(account), step(amount="-100.5"))

    assert page.context["form"].errors == {"amount": ["Only 100 credits are available to take away."]}
    assert adjustments(account) == []


@pytest.mark.parametrize("step", [typed, confirmed])
@pytest.mark.parametrize("amount", ["-1", "12.5"])
def test_a_reference_of_another_amount_is_refused_at_the_reference(console, account, step, amount):
    console.post(adjust_url(account), confirmed())

    page = console.post(adjust_url(account), step(amount=amount))

    assert page.context["form"].errors == {
        "reference": ["This reference was booked before with another amount. Use a new one."]
    }
    assert adjustments(account) == [amounts.parse("-12.5")]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        (
            {"amount": "1e3"},
            {"amount": ["'1e3' is not an amount: write a decimal with at most 7 places, such as 12.5."]},
        ),
        (
            {"amount": "1,5"},
            {"amount": ["'1,5' is not an amount: write a decimal with at most 7 places, such as 12.5."]},
        ),
        ({"amount": "١"}, {"amount": ["'١' is not an amount: write a decimal with at most 7 places, such as 12.5."]}),
        ({"amount": "0"}, {"amount": ["An adjustment of 0 changes nothing."]}),
        ({"amount": "922337203685"}, {"amount": ["That is more than an account can hold."]}),
        ({"amount": ""}, {"amount": ["This field is required."]}),
        ({"reference": " "}, {"reference": ["This field is required."]}),
        ({"memo": " "}, {"memo": ["This field is required."]}),
    ],
)
def test_what_is_typed_wrongly_is_refused_at_its_field(console, account, fields, errors):
    page = console.post(adjust_url(account), confirmed(**fields))

    assert page.context["form"].errors == errors
    assert adjustments(account) == []


def test_what_was_typed_can_be_changed_after_the_preview(console, account):
    page = console.post(adjust_url(account), typed(_edit=""))

    assert page.context["outcome"] is None
    assert page.context["form"]["amount"].value() == "-12.5"


def test_usdc_is_written_with_two_places(console, customer):
    account = factories.account(customer, "100", currency=Currency.USDC)

    page = console.post(adjust_url(account), typed(amount="0.5"))

    assert (page.context["outcome"].change, page.context["outcome"].available) == ("+0.50", "100.50")


@pytest.mark.parametrize("missing", ["view_account", "adjust_account"])
def test_without_permission_nothing_can_be_adjusted(console, account, operator, missing):
    operator.user_permissions.remove(Permission.objects.get(codename=missing))

    answers = [console.get(adjust_url(account)), console.post(adjust_url(account), confirmed())]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert adjustments(account) == []


def test_the_action_is_offered_only_to_those_who_may(console, account, operator):
    offered = adjust_url(account)
    lists = reverse("admin:credits_account_changelist")
    assert [offered in console.get(page).content.decode() for page in (page_of(account), lists)] == [True, True]

    operator.user_permissions.remove(Permission.objects.get(codename="adjust_account"))

    assert [offered in console.get(page).content.decode() for page in (page_of(account), lists)] == [False, False]


def test_a_form_from_another_site_is_refused(operator, account):
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)

    assert client.post(adjust_url(account), confirmed()).status_code == 403
    assert adjustments(account) == []


def test_an_account_that_does_not_exist_is_not_found(console, account):
    assert console.get(reverse("admin:credits_account_adjust", args=[account.pk + 1])).status_code == 404
