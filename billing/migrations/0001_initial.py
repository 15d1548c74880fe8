import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('credits', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('feature', models.CharField(max_length=50)),
                ('type', models.CharField(choices=[('FIXED', 'Fixed'), ('METERED', 'Metered')], default='FIXED', max_length=7)),
                ('amount', models.BigIntegerField(help_text='FIXED: units (10⁻⁷ credit) for each unit of the feature.')),
                ('effective_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'ordering': ['feature', '-effective_at', '-id'],
                'indexes': [models.Index(fields=['feature', '-effective_at', '-id'], name='price_newest_of_feature')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='price_is_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='UsageRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.CharField(blank=True, max_length=128)),
                ('feature', models.CharField(max_length=50)),
                ('quantity', models.PositiveIntegerField(default=1)),
                ('status', models.CharField(choices=[('COMPLETED', 'completed'), ('CANCELLED', 'the client hung up'), ('FAILED', 'failed, not charged'), ('UNKNOWN', 'never known, booked as our loss')], max_length=9)),
                ('error_code', models.CharField(blank=True, max_length=50)),
                ('held', models.BigIntegerField(help_text='Set aside before the call.')),
                ('charged', models.BigIntegerField(help_text='What it cost the customer.')),
                ('shortfall', models.BigIntegerField(default=0, help_text='Worth more than was held: our loss.')),
                ('provider_cost', models.CharField(blank=True, help_text='US dollars, exactly as the provider reported them.', max_length=40)),
                ('provider_cost_picos', models.BigIntegerField(blank=True, help_text='The same in 10⁻¹² US dollars, for sums.', null=True)),
                ('provider', models.CharField(max_length=50)),
                ('model', models.CharField(help_text='The model that answered, else the one asked for.', max_length=200)),
                ('generation_id', models.CharField(blank=True, max_length=255)),
                ('prompt_tokens', models.BigIntegerField(blank=True, null=True)),
                ('completion_tokens', models.BigIntegerField(blank=True, null=True)),
                ('cached_tokens', models.BigIntegerField(blank=True, null=True)),
                ('reasoning_tokens', models.BigIntegerField(blank=True, null=True)),
                ('streamed', models.BooleanField(default=False)),
                ('latency_ms', models.PositiveIntegerField(blank=True, help_text='From the request to the last byte.', null=True)),
                ('first_token_ms', models.PositiveIntegerField(blank=True, help_text='From the request to the first byte of the answer.', null=True)),
                ('created_at', models.DateTimeField(help_text='When the call was admitted.')),
                ('api_key', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='usage', to='accounts.apikey')),
                ('customer', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage', to='accounts.customer')),
                ('hold', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='usage', to='credits.hold')),
                ('price', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.price')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['customer', '-id'], name='usage_of_customer'), models.Index(fields=['api_key', '-id'], name='usage_of_api_key'), models.Index(fields=['created_at'], name='usage_by_time'), models.Index(condition=models.Q(('generation_id', ''), _negated=True), fields=['generation_id'], name='usage_by_generation')],
                'constraints': [models.CheckConstraint(condition=models.Q(('charged__gte', 0), ('shortfall__gte', 0)), name='usage_is_not_negative'), models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['FAILED', 'UNKNOWN']), _negated=True), ('charged', 0), _connector='OR'), name='usage_that_failed_is_free')],
            },
        ),
    ]
