"""What calls cost us and nobody pays for: in a shell and in the admin, and the same in both."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing.losses import Kind, losses
from tests import factories


@pytest.fixture
def calls(account, now):
    """A call of each kind of loss, by name, and some that are none."""
    dollar = {"provider_cost": "0.02", "provider_cost_picos": 2 * 10**10}
    tests = factories.account(account.customer, "5", currency="test")
    made = {
        "never_known": factories.usage(account, "0", status="UNKNOWN", error_code="unresolved"),
        "above_hold": factories.usage(account, "1", shortfall=5 * 10**6, **dollar),
        "not_delivered": factories.usage(account, "0", status="FAILED", error_code="not_delivered", **dollar),
        "none": factories.usage(account, "1", **dollar),
        "free": factories.usage(account, "0", status="FAILED"),
        "test": factories.usage(tests, "0", status="UNKNOWN"),
        "old": factories.usage(account, "0", status="UNKNOWN", created_at=now - timedelta(days=40)),
    }
    return {name: call.pk for name, call in made.items()}


def listed(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("list_losses", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_each_loss_is_of_one_kind(calls, now):
    found = {(loss.kind.value, loss.call.pk) for loss in losses(since=now - timedelta(days=1), until=now)}
    later = {loss.call.pk for loss in losses(since=now - timedelta(days=1), until=now + timedelta(minutes=1))}

    assert found == set(), "they began after that"
    assert later == {calls[kind] for kind in Kind}


def test_command_lists_and_sums_them(calls):
    lines = listed()

    assert len(lines) == 6
    assert "above what was held: $0.02, 0.5 credits above its hold" in lines[1]
    assert lines[3:] == [
        "1 never known, of a known cost of $0.000000000000.",
        "1 above what was held, of a known cost of $0.020000000000.",
        "1 not delivered, of a known cost of $0.020000000000.",
    ]
    assert len(listed("--days", "60")) == 7
    assert len(listed("--kind", "not_delivered")) == 2


def test_command_writes_json(calls):
    rows = [json.loads(line) for line in listed("--json")]

    assert [row["kind"] for row in rows] == Kind.values
    assert (rows[1]["shortfall"], rows[2]["reason"], rows[2]["providerCost"]) == ("0.5", "not_delivered", "0.02")


@pytest.mark.parametrize("days", ["0", "-1", "999999999"])
def test_command_refuses_days_that_are_none(db, days):
    with pytest.raises(CommandError, match="--days"):
        listed("--days", days)


@pytest.mark.parametrize("kind", Kind.values)
def test_admin_finds_them_by_kind(calls, kind):
    console = Client()
    console.force_login(User.objects.create_superuser("root@example.com"))

    page = console.get(reverse("admin:billing_usagerecord_changelist"), {"loss": kind})

    shown = {row.pk for row in page.context["cl"].queryset}
    assert shown == {calls[kind]} | ({calls["old"]} if kind == "never_known" else set())
