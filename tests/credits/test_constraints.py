"""The database refuses what the code should never ask, constraint by constraint."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction

from billing.models import Counter, EndUser, Price, UsageDay, UsageRecord
from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, Draw, Grant, Hold, LedgerEntry, Reversal
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(account: Account, now: datetime) -> Account:
    """An account with a pending hold of 3, a settled one with its usage record, and an adjustment."""
    request = HoldRequest(services.new_hold_id(), account.pk, "pending", credits(3), now + timedelta(hours=1))
    services.place_holds([request], now=now)
    factories.usage(account)
    services.adjust(account=account, amount=credits(-1), reference="T", memo="m", actor="user:1", now=now)
    return account


def copied(row: models.Model, **changes: Any) -> None:
    """Insert a copy of ``row`` that differs by ``changes``, past every service."""
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    type(row)._default_manager.bulk_create([type(row)(**{**fields, **changes})])


def pending() -> Any:
    return Hold.objects.filter(status="PENDING")


def settled() -> Any:
    return Hold.objects.filter(status="SETTLED")


def entry(kind: str, **changes: Any) -> None:
    copied(LedgerEntry.objects.get(kind=kind), **{"id": None, "sequence": 99, **changes})


def owning(account: Account) -> Any:
    return Account.objects.filter(pk=account.pk)


def granted(account: Account) -> Any:
    return Grant.objects.filter(account=account)


def counter(account: Account, **counts: int) -> None:
    Counter.objects.create(
        subject="customer:0", customer=account.customer, currency="credits", leaked_at=account.created_at, **counts
    )


def end_user(account: Account, *, times: int = 1, **terms: Any) -> None:
    for _ in range(times):
        EndUser.objects.create(customer=account.customer, name="ada", limited_at=account.created_at, **terms)


def reversal(account: Account) -> Any:
    Reversal.objects.create(
        account=account, source="s", key="k", kind="REFUND", asked=credits(5), actor="system", as_of=account.created_at
    )
    return Reversal.objects.filter(account=account)


Violation = Callable[[Account], Any]
VIOLATIONS: dict[str, Violation] = {
    "account_once_per_customer_and_currency": lambda account: copied(account, id=None),
    "account_held_is_not_negative": lambda account: owning(account).update(held=-1),
    "account_is_never_overdrawn": lambda account: owning(account).update(balance=credits(3) - 1),
    "account_owed_is_not_negative": lambda account: owning(account).update(owed=-1),
    "grant_gives_something": lambda account: granted(account).update(amount=0, remaining=0, held=0),
    "grant_remaining_is_part_of_it": lambda account: granted(account).update(remaining=credits(100) + 1),
    "grant_held_is_part_of_what_remains": lambda account: granted(account).update(remaining=credits(3) - 1),
    "grant_waiting_gives_nothing_yet": lambda account: granted(account).update(booked_at=None),
    "grant_expires_after_it_takes_effect": lambda account: granted(account).update(expires_at=models.F("effective_at")),
    "hold_once_per_account_and_key": lambda account: copied(pending().get(), id=services.new_hold_id()),
    "hold_amount_is_not_negative": lambda account: pending().update(amount=-1),
    "hold_is_the_ceiling_of_what_it_settles": lambda account: settled().update(settled=credits(1) + 1),
    "hold_resolves_once": lambda account: settled().update(status="PENDING"),
    "draw_once_per_hold_and_grant": lambda account: copied(Draw.objects.earliest("pk"), id=None),
    "hold_lends_no_more_than_it_has": lambda account: pending().update(lent=credits(100)),
    "draw_is_not_negative": lambda account: Draw.objects.update(amount=-1),
    "reversal_amounts_are_not_negative": lambda account: reversal(account).update(owed=-1),
    "reversal_takes_no_more_than_is_asked": lambda account: reversal(account).update(taken=credits(4), owed=credits(2)),
    "reversal_paid_is_part_of_what_is_taken": lambda account: reversal(account).update(taken=1, paid=2),
    "entry_numbered_once_per_account": lambda account: entry("USAGE", sequence=1, hold_id=pending().get().pk),
    "entry_grants_once": lambda account: entry("GRANT", reference="another"),
    "entry_settles_once_per_hold_and_grant": lambda account: entry("USAGE"),
    "entry_counts_once_per_reference_and_grant": lambda account: entry("ADJUSTMENT"),
    "entry_sign_follows_kind": lambda account: entry("ADJUSTMENT", amount=1, reference=""),
    "entry_leaves_no_debt": lambda account: entry("ADJUSTMENT", balance_after=-1, reference=""),
    "entry_of_usage_names_its_hold": lambda account: entry("USAGE", hold_id=None),
    "end_user_once_per_customer": lambda account: end_user(account, times=2),
    "end_user_budget_has_a_period": lambda account: end_user(account, budget=1),
    "counter_is_not_negative": lambda account: counter(account, open_calls=-1),
    "price_is_not_negative": lambda account: Price.objects.update(amount=-1),
    "price_says_what_its_type_needs": lambda account: Price.objects.update(type="METERED"),
    "usage_is_not_negative": lambda account: UsageRecord.objects.update(charged=-1),
    "usage_day_once_per_what_is_summed_up": lambda account: copied(UsageDay.objects.get(), id=None),
    "usage_day_counts_its_calls": lambda account: UsageDay.objects.update(failed_calls=models.F("calls") + 1),
    "usage_that_failed_is_free": lambda account: UsageRecord.objects.update(status="FAILED"),
}
#: Further ways to break the constraints that have several parts. That no less than 0 remains follows from two others.
VARIANTS: list[tuple[str, Violation]] = [
    (
        "grant_gives_something",
        lambda account: copied(Grant.objects.get(), id=None, source="x", amount=-1, remaining=-1),
    ),
    ("grant_held_is_part_of_what_remains", lambda account: granted(account).update(held=-1)),
    ("hold_is_the_ceiling_of_what_it_settles", lambda account: settled().update(settled=-1)),
    ("hold_lends_no_more_than_it_has", lambda account: pending().update(lent=-1)),
    ("reversal_amounts_are_not_negative", lambda account: reversal(account).update(taken=-1, paid=-1)),
    ("reversal_amounts_are_not_negative", lambda account: reversal(account).update(paid=-1)),
    ("reversal_amounts_are_not_negative", lambda account: reversal(account).update(lapsed=-1)),
    ("reversal_amounts_are_not_negative", lambda account: reversal(account).update(asked=-1, owed=0)),
    (
        "reversal_takes_no_more_than_is_asked",
        lambda account: reversal(account).update(taken=credits(4), lapsed=credits(2)),
    ),
    ("hold_resolves_once", lambda account: pending().update(status="SETTLED")),
    ("hold_resolves_once", lambda account: pending().update(resolved_at=models.F("created_at"))),
    ("hold_resolves_once", lambda account: pending().update(settled=1)),
    ("hold_resolves_once", lambda account: settled().update(status="RELEASED")),
    ("hold_resolves_once", lambda account: settled().update(resolved_at=None)),
    ("hold_resolves_once", lambda account: settled().update(status="OTHER")),
    ("entry_sign_follows_kind", lambda account: entry("GRANT", amount=-1, grant_id=10**6)),
    ("entry_sign_follows_kind", lambda account: entry("USAGE", amount=1, hold_id=pending().get().pk)),
    ("entry_sign_follows_kind", lambda account: entry("ADJUSTMENT", amount=0, reference="")),
    *(
        ("counter_is_not_negative", lambda account, name=name: counter(account, **{name: -1}))
        for name in ("requests_level", "tokens_level", "spent", "held")
    ),
    ("usage_is_not_negative", lambda account: UsageRecord.objects.update(shortfall=-1)),
    ("usage_day_counts_its_calls", lambda account: UsageDay.objects.update(failed_calls=-1)),
    ("usage_day_counts_its_calls", lambda account: UsageDay.objects.update(erased_calls=-1)),
    ("usage_that_failed_is_free", lambda account: UsageRecord.objects.update(status="UNKNOWN")),
]


@pytest.mark.parametrize(("name", "violate"), [*VIOLATIONS.items(), *VARIANTS])
def test_the_database_refuses(books: Account, name: str, violate: Violation):
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        violate(books)

    said = str(refusal.value)
    by_a_trigger = connection.vendor == "sqlite" and name in ENTRIES_IN_THE_WAY
    assert (FINAL if by_a_trigger else name_in(said, name)) in said


FINAL = "Ledger entries are final"
#: On SQLite the trigger that refuses OR REPLACE speaks before these do.
ENTRIES_IN_THE_WAY = {
    "entry_numbered_once_per_account",
    "entry_grants_once",
    "entry_settles_once_per_hold_and_grant",
    "entry_counts_once_per_reference_and_grant",
}


def name_in(said: str, name: str) -> str:
    """SQLite names the columns of a unique constraint, not the constraint."""
    if not said.startswith("UNIQUE constraint failed: "):
        return name
    constraint = next(each for model in MODELS for each in model._meta.constraints if each.name == name)
    model = next(model for model in MODELS if constraint in model._meta.constraints)
    assert isinstance(constraint, models.UniqueConstraint)
    columns = [model._meta.get_field(field).column for field in constraint.fields]
    return ", ".join(f"{model._meta.db_table}.{column}" for column in columns)


MODELS: list[type[models.Model]] = [
    Account,
    Counter,
    EndUser,
    Grant,
    Hold,
    Draw,
    LedgerEntry,
    Price,
    Reversal,
    UsageDay,
    UsageRecord,
]


def test_every_constraint_has_a_violation():
    assert {constraint.name for model in MODELS for constraint in model._meta.constraints} == set(VIOLATIONS)


def test_source_grants_once(books: Account):
    with pytest.raises(IntegrityError, match="source"), transaction.atomic():
        copied(Grant.objects.get(), id=None)


def test_hold_has_one_usage_record(books: Account):
    with pytest.raises(IntegrityError, match="hold_id"), transaction.atomic():
        copied(UsageRecord.objects.get(), id=None)
