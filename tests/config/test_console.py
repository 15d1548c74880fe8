"""The admin as a whole: who gets in, what its pages cost, and that nothing of money can be edited."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.forms.models import model_to_dict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import ApiKey, AuditEntry, Customer, Invitation, Membership, SignUpInvitation, User
from accounts.teams.invitations import invite
from ai.providers.simulator.catalogue import MODELS as OF_THE_SIMULATOR
from billing.listing import keep
from billing.models import ListedModel, Plan, Price, UsageRecord
from config.jobs import JOBS
from config.models import Job
from config.worker import register
from credits import services
from credits.books import HoldRequest
from credits.models import Account, Currency, Grant, Hold, LedgerEntry
from tests import factories
from webhooks.models import InboundEvent

SHOWN_ONLY = [
    Account, AuditEntry, Grant, Hold, InboundEvent, Invitation, Job, LedgerEntry, ListedModel, SignUpInvitation,
    UsageRecord,
]  # fmt: skip
MODELS = [*SHOWN_ONLY, ApiKey, Customer, Group, Plan, Price, User]
ADDED = [ApiKey, Customer, Group, Plan, Price, User]
NEVER_DELETED = [*SHOWN_ONLY, ApiKey, Customer, Price, User]

QUERIES_OF_A_LIST = 10
QUERIES_OF_A_PAGE = 20
QUERIES_OF_THE_OVERVIEW = 10


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def name_of(model):
    return model._meta.model_name


def for_each(models):
    return pytest.mark.parametrize("model", models, ids=name_of)


@pytest.fixture
def console(db):
    """A browser in which a superuser has signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", name="Root"))
    return client


@pytest.fixture
def staff(db):
    """A browser in which somebody has signed in who may open the admin, and nothing in it."""
    client = Client()
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))
    return client


def fill(now, *, rows=1):
    """Make ``rows`` rows of every kind, with every relation that a list shows."""
    keep(OF_THE_SIMULATOR[: 1 + Account.objects.count() + rows], now=now)
    register(now=now)
    for number in range(Account.objects.count(), Account.objects.count() + rows):
        team = factories.TeamFactory.create()
        member = factories.UserFactory.create()
        Membership.objects.create(customer=team, user=member, role=Membership.Role.ADMIN)
        Group.objects.create(name=f"Role {number}")
        invite(team, email=f"{number}@example.com", role="MEMBER", invited_by=member, now=now)
        SignUpInvitation.objects.create(email=f"new-{number}@example.com", invited_by=member, expires_at=now)
        account = factories.account(team, "100")
        factories.api_key(team, created_by=member)
        key = ApiKey.objects.latest("id")
        factories.usage(account, "3", api_key=key, request_id=f"req-{number}", generation_id=f"gen-{number}")
        late = HoldRequest(services.new_hold_id(), account.pk, "late", 10, now - timedelta(minutes=1), {"model": "m"})
        services.place_holds([late], now=now)
        services.adjust(account=account, amount=-5, reference="r", memo="a correction", actor=f"key:{key.pk}", now=now)
        Price.objects.create(feature="ai_text_chat", amount=1, effective_at=now + timedelta(days=1 + number))
        Plan.objects.create(name=f"Plan {number}", slug=f"plan-{number}", clerk_id=f"cplan_{number}")
        InboundEvent.objects.create(
            source="clerk",
            event_id=f"msg_{number}",
            type="user.created",
            status=InboundEvent.Status.FAILED,
            payload='{"type": "user.created"}',
            payload_digest="0" * 64,
            error="It broke.",
        )


def queries_of(client, address):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_every_model_that_has_a_page_is_tested_here():
    assert sorted(admin.site._registry, key=name_of) == sorted(MODELS, key=name_of)


@for_each(MODELS)
def test_a_list_opens_when_there_is_nothing(console, model):
    assert console.get(url(model, "changelist")).status_code == 200


@for_each(MODELS)
def test_a_list_costs_as_many_queries_for_many_rows_as_for_one(console, model, now):
    fill(now)
    for_one = queries_of(console, url(model, "changelist"))
    fill(now, rows=4)

    assert queries_of(console, url(model, "changelist")) == for_one
    assert for_one <= QUERIES_OF_A_LIST


@for_each(MODELS)
def test_the_page_of_a_row_costs_as_many_queries_however_much_belongs_to_it(console, model, now):
    fill(now)
    row = model.objects.order_by("pk").last()
    before = queries_of(console, url(model, "change", row.pk))
    fill_account_of(row, now)

    assert queries_of(console, url(model, "change", row.pk)) <= before + 1
    assert before <= QUERIES_OF_A_PAGE


def fill_account_of(row, now):
    """Make what hangs on an account more, if ``row`` is of one; for other rows there is nothing to do."""
    account = row if isinstance(row, Account) else getattr(row, "account", None)
    if account is not None:
        for number in range(4):
            factories.grant(account, "7")
            factories.usage(account, "2")
            hold = HoldRequest(services.new_hold_id(), account.pk, f"k{number}", 10, now + timedelta(minutes=9))
            services.place_holds([hold], now=now)


@for_each(ADDED)
def test_the_page_to_add_a_row_opens(console, model):
    assert console.get(url(model, "add")).status_code == 200


@for_each(MODELS)
def test_every_filter_of_a_list_narrows_it(console, model, now):
    fill(now)
    page = console.get(url(model, "changelist"))
    links = [
        choice["query_string"]
        for spec in page.context["cl"].filter_specs
        for choice in spec.choices(page.context["cl"])
    ]

    answers = {console.get(url(model, "changelist") + link).status_code for link in links}

    assert answers <= {200}


@for_each(MODELS)
def test_every_column_that_can_be_sorted_sorts(console, model, now):
    fill(now, rows=2)
    columns = console.get(url(model, "changelist")).context["cl"].list_display

    for number in range(1, len(columns) + 1):
        assert console.get(url(model, "changelist"), {"o": f"-{number}"}).status_code == 200


SEARCHES = [
    (User, "email"), (User, "name"), (User, "external_id"),
    (Customer, "name"), (Customer, "external_id"), (Customer, "user__email"), (Customer, "user__external_id"),
    (ApiKey, "name"), (ApiKey, "last_four"), (ApiKey, "customer__name"), (ApiKey, "customer__external_id"),
    (ApiKey, "customer__user__email"),
    (Invitation, "email"), (Invitation, "customer__name"), (SignUpInvitation, "email"), (SignUpInvitation, "name"),
    (AuditEntry, "subject"), (AuditEntry, "actor"), (AuditEntry, "customer__name"),
    (Account, "customer__name"), (Account, "customer__external_id"), (Account, "customer__user__email"),
    (Grant, "source"), (Grant, "memo"), (Grant, "actor"), (Grant, "account__customer__name"),
    (Hold, "key"), (Hold, "reference"), (Hold, "account__customer__name"),
    (LedgerEntry, "reference"), (LedgerEntry, "memo"), (LedgerEntry, "actor"), (LedgerEntry, "grant__source"),
    (LedgerEntry, "hold__reference"), (LedgerEntry, "account__customer__name"),
    (UsageRecord, "request_id"), (UsageRecord, "generation_id"), (UsageRecord, "model"),
    (UsageRecord, "customer__name"), (UsageRecord, "customer__user__email"),
    (Plan, "name"), (Plan, "slug"), (Plan, "clerk_id"),
    (Price, "feature"), (Price, "pattern"), (Price, "customer__name"),
    (ListedModel, "id"), (Job, "name"),
    (InboundEvent, "event_id"), (InboundEvent, "type"), (InboundEvent, "error"), (Group, "name"),
]  # fmt: skip


def test_every_search_field_is_tested_here():
    fields = {(model, field) for model in MODELS for field in admin.site.get_model_admin(model).search_fields}
    assert fields == set(SEARCHES)


@pytest.mark.parametrize(
    ("model", "field"), SEARCHES, ids=lambda value: value if isinstance(value, str) else name_of(value)
)
def test_a_row_is_found_by_each_field_that_is_searched(console, model, field, now):
    fill_searched_fields(now)
    row, text = model.objects.exclude(**{f"{field}__isnull": True}).exclude(**{field: ""}).values_list("pk", field)[0]

    found = console.get(url(model, "changelist"), {"q": text}).context["cl"].result_list

    assert row in [result.pk for result in found]
    assert console.get(url(model, "changelist"), {"q": "no such thing"}).context["cl"].result_list.count() == 0


def test_a_hold_is_found_by_its_whole_id(console, account):
    hold = factories.usage(account).hold
    for text in (str(hold.pk), hold.pk.hex, f" {hold.pk} "):
        assert list(console.get(url(Hold, "changelist"), {"q": text}).context["cl"].result_list) == [hold]


def fill_searched_fields(now):
    """Make rows so that every searched field says something in one of them."""
    keep(OF_THE_SIMULATOR, now=now)
    register(now=now)
    customer = factories.UserFactory.create(external_id="user_2f").personal_customer
    Customer.objects.filter(pk=customer.pk).update(external_id="org_2f")
    account = factories.account(customer)
    factories.grant(account, "10", memo="a gift")
    factories.api_key(customer)
    usage = factories.usage(account, "1", request_id="req-2f", generation_id="gen-2f")
    Hold.objects.filter(pk=usage.hold_id).update(reference="gen-2f")
    services.adjust(account=account, amount=-1, reference="t-2f", memo="a slip", actor="system", now=now)
    event = {"source": "clerk", "event_id": "msg_2f", "type": "user.created", "error": "It broke."}
    InboundEvent.objects.create(**event, payload="{}", payload_digest="0" * 64)
    Group.objects.create(name="Support")
    SignUpInvitation.objects.create(email="new@example.com", name="Charles", expires_at=now)
    Plan.objects.create(name="Pro", slug="pro-2f", clerk_id="cplan_2f")
    Price.objects.create(feature="ai_text_chat", customer=customer, pattern="openai/*", amount=1)
    team, owner = factories.TeamFactory.create(), factories.UserFactory.create()
    invite(team, email="ada@example.com", role="MEMBER", invited_by=owner, now=now)


@for_each(MODELS)
def test_a_stranger_is_sent_to_the_sign_in(client, model, db):
    answer = client.get(url(model, "changelist"))
    assert (answer.status_code, answer.url.split("?")[0]) == (302, reverse("admin:login"))


@for_each(MODELS)
def test_a_user_who_is_not_staff_is_sent_to_the_sign_in(client, user, model):
    client.force_login(user)
    answer = client.get(url(model, "changelist"))
    assert (answer.status_code, answer.url.split("?")[0]) == (302, reverse("admin:login"))


@for_each(MODELS)
def test_staff_without_permission_are_refused(staff, model, now):
    fill(now)
    row = model.objects.order_by("pk").last()
    addresses = [url(model, "changelist"), url(model, "change", row.pk), url(model, "history", row.pk)]
    assert [staff.get(address).status_code for address in addresses] == [403, 403, 403]


def test_staff_without_permission_see_no_figure_and_no_page(staff, now):
    fill(now)
    page = staff.get(reverse("admin:index"))
    assert page.context["figures"] == []
    assert [group["items"] for group in page.context["sidebar_navigation"] if "title" in group] == [[], [], [], []]


@for_each(SHOWN_ONLY)
def test_what_is_only_shown_cannot_be_added_or_changed(console, model, now):
    fill(now)
    row = model.objects.order_by("pk").last()
    before = model_to_dict(row)

    answers = [
        console.get(url(model, "add")).status_code,
        console.post(url(model, "add"), {"amount": "1"}).status_code,
        console.post(url(model, "change", row.pk), {**posted(before), "amount": "1", "balance": "1"}).status_code,
    ]

    assert answers == [403, 403, 403]
    assert model_to_dict(model.objects.get(pk=row.pk)) == before


@for_each(NEVER_DELETED)
def test_rows_that_history_refers_to_cannot_be_deleted(console, model, now):
    fill(now)
    row = model.objects.order_by("pk").last()
    everything = model.objects.count()

    one = console.post(url(model, "delete", row.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    console.post(url(model, "changelist"), chosen)

    assert one.status_code == 403
    assert model.objects.count() == everything


@for_each(SHOWN_ONLY)
def test_a_page_that_only_shows_has_no_button_to_save(console, model, now):
    fill(now)
    html = console.get(url(model, "change", model.objects.order_by("pk").last().pk)).content.decode()
    assert "_save" not in html
    assert "deletelink" not in html


def posted(fields):
    return {name: value for name, value in fields.items() if value is not None}


def test_the_overview_shows_true_figures(console, now):
    account = factories.account(balance="100")
    factories.account(factories.TeamFactory.create(), "0", currency=Currency.USDC)
    factories.usage(account, "3")
    factories.usage(account, "2", created_at=now - timedelta(hours=25))
    register(now=now)
    late = HoldRequest(services.new_hold_id(), account.pk, "late", 5 * 10**7, now - timedelta(minutes=1))
    services.place_holds([late], now=now - timedelta(minutes=2))
    Customer.objects.filter(kind=Customer.Kind.TEAM).update(suspended_at=now)

    figures = {figure.title: figure for figure in console.get(reverse("admin:index")).context["figures"]}

    assert {title: (figure.value, figure.note, figure.alarm) for title, figure in figures.items()} == {
        "Customers": ("3", "1 team, 1 suspended", False),
        "credits outstanding": ("95", "on 1 account", False),
        "credits held": ("5", "promised to calls under way", False),
        "USDC outstanding": ("0.00", "on 1 account", False),
        "USDC held": ("0.00", "promised to calls under way", False),
        "credits used in 24 hours": ("3", "by 1 call", False),
        "Holds past their time": ("1", "run resolve_holds", True),
        "Failed webhooks": ("0", "all were handled", False),
        "Jobs neglected": ("0", "all are done in time", False),
    }
    assert {console.get(figure.url).status_code for figure in figures.values()} == {200}


def test_the_overview_of_a_new_installation_is_quiet(console):
    figures = console.get(reverse("admin:index")).context["figures"]
    shown = [(figure.value, figure.alarm) for figure in figures]
    # Nobody does what is due again and again before a worker runs.
    assert shown == [("1", False)] + [("0", False)] * 4 + [(str(len(JOBS)), True)]


def test_the_overview_costs_a_handful_of_queries(console, now):
    fill(now, rows=3)
    assert queries_of(console, reverse("admin:index")) <= QUERIES_OF_THE_OVERVIEW
