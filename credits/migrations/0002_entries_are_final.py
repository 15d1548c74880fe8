"""
Triggers that refuse to change or delete a ledger entry, on both databases.

On PostgreSQL they are ENABLE ALWAYS, so that neither a cascade, nor the owner, nor
``session_replication_role = replica`` passes them by; TRUNCATE has a trigger of its own.

On SQLite, INSERT OR REPLACE deletes the rows that are in its way without firing a DELETE
trigger, so whatever is in the way of a new entry refuses it before.
"""

from typing import Any

from django.db import migrations

REFUSAL = "Ledger entries are final: correct one with another entry."

POSTGRESQL = f"""
CREATE FUNCTION credits_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{REFUSAL}';
END $$;
CREATE TRIGGER credits_entry_is_final BEFORE UPDATE OR DELETE ON credits_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION credits_entry_is_final();
CREATE TRIGGER credits_entries_stay BEFORE TRUNCATE ON credits_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION credits_entry_is_final();
ALTER TABLE credits_ledgerentry ENABLE ALWAYS TRIGGER credits_entry_is_final;
ALTER TABLE credits_ledgerentry ENABLE ALWAYS TRIGGER credits_entries_stay;
"""

SQLITE = [
    f"""
    CREATE TRIGGER credits_entry_is_not_updated BEFORE UPDATE ON credits_ledgerentry
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,
    f"""
    CREATE TRIGGER credits_entry_is_not_deleted BEFORE DELETE ON credits_ledgerentry
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,
    f"""
    CREATE TRIGGER credits_entry_is_not_replaced BEFORE INSERT ON credits_ledgerentry
    WHEN EXISTS (
        SELECT 1 FROM credits_ledgerentry kept
        WHERE kept.id = NEW.id
           OR (kept.account_id = NEW.account_id AND kept.sequence = NEW.sequence)
           OR (kept.grant_id = NEW.grant_id AND kept.kind = 'GRANT' AND NEW.kind = 'GRANT')
           OR (kept.hold_id = NEW.hold_id AND kept.grant_id = NEW.grant_id AND kept.kind = NEW.kind)
           OR (kept.account_id = NEW.account_id AND kept.reference = NEW.reference AND kept.reference <> ''
               AND kept.kind = NEW.kind AND NEW.kind IN ('GRANT', 'ADJUSTMENT') AND kept.grant_id = NEW.grant_id)
    )
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,  # noqa: S608 (no caller's text)
]


def make_final(apps: Any, schema_editor: Any) -> None:
    for statement in [POSTGRESQL] if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def undo(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER credits_entry_is_final ON credits_ledgerentry")
        schema_editor.execute("DROP TRIGGER credits_entries_stay ON credits_ledgerentry")
        schema_editor.execute("DROP FUNCTION credits_entry_is_final()")
    else:
        schema_editor.execute("DROP TRIGGER credits_entry_is_not_updated")
        schema_editor.execute("DROP TRIGGER credits_entry_is_not_deleted")
        schema_editor.execute("DROP TRIGGER credits_entry_is_not_replaced")


class Migration(migrations.Migration):
    dependencies = [("credits", "0001_initial")]
    operations = [migrations.RunPython(make_final, undo)]
