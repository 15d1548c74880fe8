"""What each sealed day adds up to, by currency and kind; the days that are sealed already are summed up here."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db import migrations, models
from django.db.models import Count, F, Sum
from django.db.models.functions import TruncDate


def sum_up_sealed_days(apps: Any, schema_editor: Any) -> None:
    seals, totals = apps.get_model("credits", "Seal"), apps.get_model("credits", "DayTotal")
    newest = seals.objects.order_by("day").last()
    if newest is None:
        return
    end = datetime.combine(newest.day + timedelta(days=1), time(), UTC)
    entries = apps.get_model("credits", "LedgerEntry").objects.filter(created_at__lt=end).order_by()
    rows = entries.annotate(day=TruncDate("created_at", tzinfo=UTC), currency=F("account__currency"))
    sums = rows.values_list("day", "currency", "kind").annotate(count=Count("pk"), total=Sum("amount"))
    totals.objects.bulk_create(
        totals(day=day, currency=currency, kind=kind, entries=count, amount=total)
        for day, currency, kind, count, total in sums
    )


class Migration(migrations.Migration):
    dependencies = [
        ("credits", "0006_test_credits"),
    ]

    operations = [
        migrations.CreateModel(
            name='DayTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(help_text='UTC.')),
                ('currency', models.CharField(choices=[('credits', 'Credits'), ('usdc', 'Usdc'), ('test', 'test credits')], max_length=10)),
                ('kind', models.CharField(choices=[('GRANT', 'Grant'), ('USAGE', 'Usage'), ('EXPIRY', 'Expiry'), ('ADJUSTMENT', 'Adjustment'), ('VOID', 'Void'), ('REFUND', 'Refund'), ('DISPUTE', 'Dispute'), ('DEBT', 'debt paid'), ('REINSTATE', 'reinstatement')], max_length=10)),
                ('entries', models.BigIntegerField()),
                ('amount', models.BigIntegerField(help_text='Signed, as the balances see it.')),
            ],
            options={
                'ordering': ['-day', 'currency', 'kind'],
                'constraints': [models.UniqueConstraint(fields=('currency', 'day', 'kind'), name='day_total_once_per_currency_and_kind'), models.CheckConstraint(condition=models.Q(('entries__gt', 0)), name='day_total_is_of_some_entries')],
            },
        ),
        migrations.RunPython(sum_up_sealed_days, migrations.RunPython.noop),
    ]
