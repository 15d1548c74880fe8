"""Nobody changes or deletes a ledger entry: not the ORM, not SQL, not the owner of the database."""

from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import ProtectedError, QuerySet

from credits import services
from credits.amounts import credits
from credits.books import HoldRequest
from credits.models import Account, LedgerEntry
from tests import factories

pytestmark = pytest.mark.django_db

FINAL = "Ledger entries are final"


@pytest.fixture
def entry(account: Account, now: datetime) -> LedgerEntry:
    """The USAGE entry of an account that has one entry of each kind."""
    hold_id = services.new_hold_id()
    services.place_holds([HoldRequest(hold_id, account.pk, "k", credits(3), now + timedelta(hours=1))], now=now)
    services.settle_holds([(hold_id, credits(2))], actor="system", now=now)
    services.adjust(account=account, amount=credits(-1), reference="T", memo="m", actor="user:1", now=now)
    factories.grant(account, "1", expires_at=now + timedelta(hours=1), now=now)
    services.bring_up_to_date([account.pk], now=now + timedelta(hours=1))
    return LedgerEntry.objects.get(kind="USAGE")


def everything() -> list[tuple[Any, ...]]:
    return list(LedgerEntry.objects.order_by("pk").values_list())


def attempt(attack: Callable[[], Any]) -> Exception | None:
    try:
        with transaction.atomic():
            attack()
    except Exception as error:
        return error
    return None


def copy_of(entry: LedgerEntry, **changes: Any) -> LedgerEntry:
    fields = {field.attname: getattr(entry, field.attname) for field in LedgerEntry._meta.concrete_fields}
    return LedgerEntry(**{**fields, **changes})


def change_and(call: Callable[[LedgerEntry], Any]) -> Callable[[LedgerEntry], Any]:
    def attack(entry: LedgerEntry) -> None:
        entry.memo = "forged"
        call(entry)

    return attack


ALL: QuerySet[LedgerEntry] = LedgerEntry.objects.all()
BY_THE_ORM = {
    "save": change_and(lambda entry: entry.save()),
    "save of one field": change_and(lambda entry: entry.save(update_fields=["memo"])),
    "update of one": lambda entry: ALL.filter(pk=entry.pk).update(amount=-1),
    "update of all": lambda entry: ALL.update(actor="nobody"),
    "update to the same": lambda entry: ALL.filter(pk=entry.pk).update(memo=entry.memo),
    "bulk update": change_and(lambda entry: LedgerEntry.objects.bulk_update([entry], ["memo"])),
    "update or create": lambda entry: LedgerEntry.objects.update_or_create(pk=entry.pk, defaults={"memo": "forged"}),
    "upsert": lambda entry: LedgerEntry.objects.bulk_create(
        [copy_of(entry, memo="forged")], update_conflicts=True, unique_fields=["id"], update_fields=["memo"]
    ),
    "delete": lambda entry: entry.delete(),
    "delete of all": lambda entry: ALL.delete(),
    "delete without collecting": lambda entry: ALL._raw_delete("default"),
}


@pytest.mark.parametrize("attack", BY_THE_ORM.values(), ids=BY_THE_ORM)
def test_the_orm_is_refused(entry: LedgerEntry, attack: Callable[[LedgerEntry], Any]):
    before = everything()

    error = attempt(lambda: attack(entry))

    assert isinstance(error, DatabaseError)
    assert FINAL in str(error)
    assert everything() == before


@pytest.mark.parametrize("path", ["account", "account.customer", "grant", "hold"])
def test_what_an_entry_stands_on_cannot_be_deleted(entry: LedgerEntry, path: str):
    before = everything()
    owner: Any = entry
    for name in path.split("."):
        owner = getattr(owner, name)

    error = attempt(owner.delete)

    assert isinstance(error, ProtectedError)
    assert everything() == before


@pytest.mark.parametrize("table", ["credits_account", "credits_grant", "credits_hold"])
def test_what_an_entry_stands_on_cannot_be_deleted_by_sql(entry: LedgerEntry, table: str):
    before = everything()

    def attack() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
        connection.check_constraints()

    assert isinstance(attempt(attack), IntegrityError)
    assert everything() == before


BY_SQL = [
    "UPDATE credits_ledgerentry SET amount = amount - 1",
    "UPDATE credits_ledgerentry SET memo = memo",
    "DELETE FROM credits_ledgerentry",
    "DELETE FROM credits_ledgerentry WHERE sequence = 1",
    "INSERT INTO credits_ledgerentry SELECT * FROM credits_ledgerentry WHERE true"
    " ON CONFLICT (id) DO UPDATE SET amount = 1",
]
BY_POSTGRESQL = [
    "TRUNCATE credits_ledgerentry",
    "TRUNCATE credits_ledgerentry CASCADE",
    "TRUNCATE credits_account CASCADE",
    "TRUNCATE accounts_customer CASCADE",
    "WITH gone AS (DELETE FROM credits_ledgerentry RETURNING id) SELECT count(*) FROM gone",
    "MERGE INTO credits_ledgerentry entry USING credits_account account ON entry.account_id = account.id"
    " WHEN MATCHED THEN DELETE",
]
BY_SQLITE = [
    "UPDATE OR REPLACE credits_ledgerentry SET sequence = 1",
    "UPDATE OR IGNORE credits_ledgerentry SET memo = 'forged'",
]


AS_REPLICA = "SET LOCAL session_replication_role = replica; "
STATEMENTS = (
    [prelude + statement for statement in BY_SQL + BY_POSTGRESQL for prelude in ("", AS_REPLICA)]
    if connection.vendor == "postgresql"
    else BY_SQL + BY_SQLITE
)
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL knows no OR REPLACE")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_sql_is_refused(entry: LedgerEntry, statement: str):
    refuse(statement)


def refuse(statement: str) -> None:
    before = everything()
    connection.check_constraints()

    def attack() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    error = attempt(attack)

    assert isinstance(error, DatabaseError)
    assert FINAL in str(error)
    assert everything() == before


@on_sqlite
@pytest.mark.parametrize(
    "changes",
    [
        {"id": 10**6, "grant_id": 10**6, "hold_id": None, "kind": "EXPIRY"},
        {"id": 10**6, "sequence": 10**6},
        {"id": 10**6, "sequence": 10**6, "kind": "ADJUSTMENT", "hold_id": None},
        {"sequence": 10**6, "grant_id": 10**6, "hold_id": None, "kind": "EXPIRY"},
    ],
    ids=["number", "hold and grant", "reference and grant", "id"],
)
def test_sqlite_replaces_no_entry(entry: LedgerEntry, changes: dict[str, Any]):
    """INSERT OR REPLACE deletes what is in its way, and no DELETE trigger sees it."""
    if changes.get("kind") == "ADJUSTMENT":
        entry = LedgerEntry.objects.get(kind="ADJUSTMENT")
    forged = copy_of(entry, memo="forged", **changes)
    fields = LedgerEntry._meta.concrete_fields
    values = [field.get_db_prep_save(getattr(forged, field.attname), connection) for field in fields]
    columns = ", ".join(str(field.column) for field in fields)
    before = everything()

    def attack() -> None:
        with connection.cursor() as cursor:
            marks = ", ".join(["%s"] * len(values))
            cursor.execute(f"INSERT OR REPLACE INTO credits_ledgerentry ({columns}) VALUES ({marks})", values)

    error = attempt(attack)

    assert FINAL in str(error)
    assert everything() == before


@on_sqlite
def test_sqlite_replaces_no_grants_entry(entry: LedgerEntry):
    refuse(
        "INSERT OR REPLACE INTO credits_ledgerentry (account_id, sequence, grant_id, kind, amount, balance_after,"
        " reference, memo, actor, created_at, digest) SELECT account_id, 1000, grant_id, kind, 1, 1, 'other', '', '',"
        " created_at, '' FROM credits_ledgerentry WHERE sequence = 1"
    )


@pytest.mark.django_db(transaction=True)
def test_migration_can_be_taken_back_and_made_again(entry: LedgerEntry):
    migration = import_module("credits.migrations.0002_entries_are_final")
    with connection.schema_editor() as editor:
        migration.undo(apps, editor)
    try:
        with transaction.atomic():
            changed = LedgerEntry.objects.filter(pk=entry.pk).update(memo="forged")
            transaction.set_rollback(True)
    finally:
        with connection.schema_editor() as editor:
            migration.make_final(apps, editor)

    assert changed == 1
    refuse("DELETE FROM credits_ledgerentry")
