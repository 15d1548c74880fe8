"""An administrator who may do everything still cannot write into the books by hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts.models import User
from credits import services
from credits.books import HoldRequest
from credits.models import Account, DayTotal, Draw, Grant, Hold, LedgerEntry, Reversal, Seal
from credits.seals import seal_day

SHOWN = [Account, Grant, Hold, LedgerEntry]
KEPT = [*SHOWN, Draw, Reversal, Seal, DayTotal]


@pytest.fixture
def superuser(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", "a password of the tests"))
    return client


@pytest.fixture
def books(account: Account, now: datetime) -> None:
    """A row of everything."""
    hold_id = services.new_hold_id()
    services.place_holds([HoldRequest(hold_id, account.pk, None, 3, now + timedelta(hours=1))], now=now)
    services.settle_holds([(hold_id, 2)], actor="system", now=now)
    seal_day(now.date(), now=now + timedelta(days=2))


def everything() -> list[list[tuple[Any, ...]]]:
    return [list(model._default_manager.order_by("pk").values_list()) for model in KEPT]


def page(model: type[Model], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def forged(model: type[Model], row: Model) -> dict[str, Any]:
    """Every field of ``row`` as a form would send it, the numbers raised and the texts replaced."""
    changes = {}
    for field in model._meta.concrete_fields:
        value = getattr(row, field.attname)
        changes[field.name] = value + 1 if isinstance(value, int) else "forged" if isinstance(value, str) else value
    draws = {"draws-TOTAL_FORMS": 1, "draws-INITIAL_FORMS": 1, "draws-0-amount": 99, "draws-0-DELETE": "on"}
    return {name: value for name, value in {**changes, **draws}.items() if value is not None}


@pytest.mark.parametrize("model", SHOWN)
def test_forms_that_nobody_was_shown_are_refused(superuser: Client, books: None, model: type[Model]):
    row = model._default_manager.latest("pk")
    before = everything()

    answers = {
        name: superuser.post(url, {**forged(model, row), "post": "yes", "_save": ""}).status_code
        for name, url in {
            "add": page(model, "add"),
            "change": page(model, "change", row.pk),
            "delete": page(model, "delete", row.pk),
        }.items()
    }

    assert answers == {"add": 403, "change": 403, "delete": 403}
    assert everything() == before


@pytest.mark.parametrize("model", SHOWN)
@pytest.mark.parametrize(
    "sent",
    [
        {"action": "delete_selected", "post": "yes", "index": 0},
        {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-amount": 99, "_save": "Save"},
    ],
    ids=["delete the selected", "edit in the list"],
)
def test_lists_change_nothing(superuser: Client, books: None, model: type[Model], sent: dict[str, Any]):
    row = model._default_manager.latest("pk")
    before = everything()

    superuser.post(page(model, "changelist"), {**sent, "_selected_action": row.pk, "form-0-id": row.pk})

    assert everything() == before


def test_what_is_behind_the_books_has_no_page(superuser: Client):
    assert [model for model in KEPT if model not in SHOWN and admin.site.is_registered(model)] == []
