"""
Indexes that lead into an account's past: its holds by time, those that lasted, and a grant's entries in order.

Each takes the place of one that every call wrote as well: of the keys of holds, which are seldom given,
and of the grant alone.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

#: Subtraction, because adding an hour to an instant depends on the time zone for all that PostgreSQL knows.
THAT_LASTED = """
CREATE INDEX hold_that_lasted ON credits_hold (account_id, created_at)
    WHERE resolved_at - created_at > interval '1 hour'
"""


def drop_index_of_grant(apps: Any, schema_editor: Any) -> None:
    """Not as a change of the field: SQLite would make the table anew, and lose the triggers that keep entries final."""
    table = "credits_ledgerentry"
    with schema_editor.connection.cursor() as cursor:
        found = schema_editor.connection.introspection.get_constraints(cursor, table)
    for name, index in found.items():
        if index["columns"] == ["grant_id"] and index["index"] and not index["unique"]:
            schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


def create_index_of_lasting(apps: Any, schema_editor: Any) -> None:
    """SQLite cannot subtract instants in an index, and holds no millions."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(THAT_LASTED)


class Migration(migrations.Migration):
    dependencies = [("credits", "0007_totals_of_sealed_days")]

    operations = [
        migrations.RemoveConstraint(model_name="hold", name="hold_once_per_account_and_key"),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.UniqueConstraint(
                condition=models.Q(("key__isnull", False)),
                fields=("account", "key"),
                name="hold_once_per_account_and_key",
            ),
        ),
        migrations.AddIndex(
            model_name="hold", index=models.Index(fields=["account", "created_at"], name="hold_of_account")
        ),
        migrations.RunPython(create_index_of_lasting),
        migrations.AddIndex(
            model_name="ledgerentry", index=models.Index(fields=["grant", "sequence"], name="entry_of_grant")
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop_index_of_grant)],
            state_operations=[
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="grant",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="credits.grant",
                    ),
                )
            ],
        ),
    ]
