"""
Seals of closed days, and triggers that refuse to change or delete one, as for entries (0002).
"""

from typing import Any

import django.utils.timezone
from django.db import migrations, models

REFUSAL = "Seals are final: what they seal is past."

POSTGRESQL = f"""
CREATE FUNCTION credits_seal_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{REFUSAL}';
END $$;
CREATE TRIGGER credits_seal_is_final BEFORE UPDATE OR DELETE ON credits_seal
    FOR EACH ROW EXECUTE FUNCTION credits_seal_is_final();
CREATE TRIGGER credits_seals_stay BEFORE TRUNCATE ON credits_seal
    FOR EACH STATEMENT EXECUTE FUNCTION credits_seal_is_final();
ALTER TABLE credits_seal ENABLE ALWAYS TRIGGER credits_seal_is_final;
ALTER TABLE credits_seal ENABLE ALWAYS TRIGGER credits_seals_stay;
"""

SQLITE = [
    f"""
    CREATE TRIGGER credits_seal_is_not_updated BEFORE UPDATE ON credits_seal
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,
    f"""
    CREATE TRIGGER credits_seal_is_not_deleted BEFORE DELETE ON credits_seal
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,
    f"""
    CREATE TRIGGER credits_seal_is_not_replaced BEFORE INSERT ON credits_seal
    WHEN EXISTS (
        SELECT 1 FROM credits_seal kept
        WHERE kept.id = NEW.id OR kept.day = NEW.day OR kept.previous = NEW.previous OR kept.digest = NEW.digest
    )
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """,  # noqa: S608 (no caller's text)
]


def make_final(apps: Any, schema_editor: Any) -> None:
    for statement in [POSTGRESQL] if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def undo(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER credits_seal_is_final ON credits_seal")
        schema_editor.execute("DROP TRIGGER credits_seals_stay ON credits_seal")
        schema_editor.execute("DROP FUNCTION credits_seal_is_final()")
    else:
        schema_editor.execute("DROP TRIGGER credits_seal_is_not_updated")
        schema_editor.execute("DROP TRIGGER credits_seal_is_not_deleted")
        schema_editor.execute("DROP TRIGGER credits_seal_is_not_replaced")


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0003_entries_other_than_usage'),
    ]

    operations = [
        migrations.CreateModel(
            name='Seal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(unique=True)),
                ('accounts', models.BigIntegerField(help_text='How many accounts had entries.')),
                ('entries', models.BigIntegerField(help_text='How many entries they had.')),
                ('previous', models.CharField(blank=True, help_text='The digest of the seal before; empty for the first.', max_length=64, unique=True)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'ordering': ['-day'],
            },
        ),
        migrations.RunPython(make_final, undo),
    ]
