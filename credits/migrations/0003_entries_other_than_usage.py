from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0002_entries_are_final'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(condition=models.Q(('kind', 'USAGE'), _negated=True), fields=['account', 'kind', 'sequence'], name='entry_other_than_usage'),
        ),
    ]
