import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Account',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(choices=[('credits', 'Credits'), ('usdc', 'Usdc')], default='credits', max_length=10)),
                ('balance', models.BigIntegerField(default=0, help_text='Posted: the sum of all entries.')),
                ('held', models.BigIntegerField(default=0, help_text='Promised to pending holds.')),
                ('owed', models.BigIntegerField(default=0, help_text='Taken back but already spent; the next grants pay it first.')),
                ('entry_count', models.BigIntegerField(default=0, help_text='The sequence number of the newest entry.')),
                ('head', models.CharField(blank=True, help_text='The digest of the newest entry.', max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='accounts', to='accounts.customer')),
            ],
            options={
                'permissions': [('adjust_account', 'Can adjust the balance')],
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('category', models.CharField(choices=[('PURCHASE', 'Purchase'), ('PLAN', 'Plan'), ('PROMOTION', 'Promotion'), ('ADJUSTMENT', 'Adjustment')], max_length=10)),
                ('amount', models.BigIntegerField()),
                ('remaining', models.BigIntegerField(help_text='Not yet spent, expired or taken back.')),
                ('held', models.BigIntegerField(default=0, help_text='The part of what remains that pending holds have drawn.')),
                ('priority', models.PositiveSmallIntegerField(default=100, help_text='Lower numbers are spent first.')),
                ('source', models.CharField(help_text='What it was given for; the same source grants once.', max_length=255, unique=True)),
                ('effective_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('booked_at', models.DateTimeField(blank=True, help_text='When its entry was made; empty while it waits to take effect.', null=True)),
                ('voided_at', models.DateTimeField(blank=True, help_text='Since when what nobody has spent of it is gone.', null=True)),
                ('memo', models.CharField(blank=True, max_length=500)),
                ('actor', models.CharField(help_text='Who gave it: user:…, key:…, system.', max_length=100)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='credits.account')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(blank=True, help_text="The caller's idempotency key: the same key holds once per account. Empty where the id serves.", max_length=255, null=True)),
                ('amount', models.BigIntegerField()),
                ('lent', models.BigIntegerField(default=0, help_text='The part that holds drawn from this one hold or have settled.')),
                ('settled', models.BigIntegerField(default=0)),
                ('status', models.CharField(choices=[('PENDING', 'Pending'), ('SETTLED', 'Settled'), ('RELEASED', 'Released'), ('EXPIRED', 'Expired')], default='PENDING', max_length=8)),
                ('lapse', models.CharField(choices=[('RELEASE', 'it is given back'), ('RESOLVE', 'the worker asks how it ended')], default='RELEASE', help_text='What happens when its time is over.', max_length=7)),
                ('reference', models.CharField(blank=True, help_text="The other side's id of what this pays for, such as the provider's generation.", max_length=255)),
                ('context', models.JSONField(default=dict, help_text='What the holder needs to resolve it without the process that held it.')),
                ('expires_at', models.DateTimeField(help_text='Until when its process answers for it; later the worker resolves it.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='credits.account')),
                ('parent', models.ForeignKey(blank=True, help_text='The session hold that this one draws from.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='credits.hold')),
            ],
        ),
        migrations.CreateModel(
            name='Draw',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.BigIntegerField()),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='draws', to='credits.grant')),
                ('hold', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='draws', to='credits.hold')),
            ],
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.BigIntegerField(help_text="1 for the account's first entry.")),
                ('kind', models.CharField(choices=[('GRANT', 'Grant'), ('USAGE', 'Usage'), ('EXPIRY', 'Expiry'), ('ADJUSTMENT', 'Adjustment'), ('VOID', 'Void'), ('REFUND', 'Refund'), ('DISPUTE', 'Dispute'), ('DEBT', 'debt paid'), ('REINSTATE', 'reinstatement')], max_length=10)),
                ('amount', models.BigIntegerField(help_text='Signed: what the balance changed by.')),
                ('balance_after', models.BigIntegerField()),
                ('reference', models.CharField(blank=True, max_length=255)),
                ('memo', models.CharField(blank=True, max_length=500)),
                ('actor', models.CharField(max_length=100)),
                ('created_at', models.DateTimeField(editable=False)),
                ('digest', models.CharField(editable=False, max_length=64)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='credits.account')),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='credits.grant')),
                ('hold', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='credits.hold')),
            ],
            options={
                'verbose_name_plural': 'ledger entries',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Reversal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(help_text='The source of the grant, which may arrive later than this.', max_length=255)),
                ('key', models.CharField(help_text="The other side's refund or dispute.", max_length=255, unique=True)),
                ('kind', models.CharField(choices=[('REFUND', 'Refund'), ('DISPUTE', 'Dispute')], max_length=7)),
                ('asked', models.BigIntegerField(help_text='What the other side says is reversed, all told.')),
                ('taken', models.BigIntegerField(default=0, help_text='Taken back so far.')),
                ('owed', models.BigIntegerField(default=0, help_text='Spent before it could be taken; the next grants pay it first.')),
                ('memo', models.CharField(blank=True, max_length=500)),
                ('actor', models.CharField(max_length=100)),
                ('as_of', models.DateTimeField(help_text='When the other side said so; older news is passed over.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='credits.account')),
                ('grant', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='credits.grant')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.UniqueConstraint(fields=('customer', 'currency'), name='account_once_per_customer_and_currency'),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0)), name='account_held_is_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('held__lte', models.F('balance'))), name='account_is_never_overdrawn'),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('owed__gte', 0)), name='account_owed_is_not_negative'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(condition=models.Q(('remaining__gt', 0), ('booked_at', None), _connector='OR'), fields=['account'], name='grant_lots_of_account'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(condition=models.Q(('booked_at', None)), fields=['effective_at'], name='grant_waiting_by_effect'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(condition=models.Q(('expires_at__isnull', False), ('remaining__gt', 0)), fields=['expires_at'], name='grant_lots_by_expiry'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='grant_gives_something'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('remaining__gte', 0), ('remaining__lte', models.F('amount'))), name='grant_remaining_is_part_of_it'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0), ('held__lte', models.F('remaining'))), name='grant_held_is_part_of_what_remains'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('booked_at__isnull', False), ('remaining', 0), _connector='OR'), name='grant_waiting_gives_nothing_yet'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at', None), ('expires_at__gt', models.F('effective_at')), _connector='OR'), name='grant_expires_after_it_takes_effect'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('status', 'PENDING')), fields=['expires_at'], name='hold_pending_by_expiry'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(fields=('account', 'key'), name='hold_once_per_account_and_key'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='hold_amount_is_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('lent__gte', 0), ('lent__lte', models.F('amount'))), name='hold_lends_no_more_than_it_has'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('settled__gte', 0), ('settled__lte', models.F('amount'))), name='hold_is_the_ceiling_of_what_it_settles'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('resolved_at', None), ('settled', 0), ('status', 'PENDING')), models.Q(('resolved_at__isnull', False), ('status__in', ['SETTLED', 'EXPIRED'])), models.Q(('resolved_at__isnull', False), ('settled', 0), ('status', 'RELEASED')), _connector='OR'), name='hold_resolves_once'),
        ),
        migrations.AddConstraint(
            model_name='draw',
            constraint=models.UniqueConstraint(fields=('hold', 'grant'), name='draw_once_per_hold_and_grant'),
        ),
        migrations.AddConstraint(
            model_name='draw',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='draw_is_not_negative'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(fields=['created_at'], name='entry_by_time'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(fields=('account', 'sequence'), name='entry_numbered_once_per_account'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'GRANT')), fields=('grant',), name='entry_grants_once'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(fields=('hold', 'grant', 'kind'), name='entry_settles_once_per_hold_and_grant'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(condition=models.Q(('kind__in', ['GRANT', 'ADJUSTMENT']), models.Q(('reference', ''), _negated=True)), fields=('account', 'reference', 'kind', 'grant'), name='entry_counts_once_per_reference_and_grant'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount__gt', 0), ('kind__in', ['GRANT', 'REINSTATE'])), models.Q(models.Q(('kind__in', ['GRANT', 'REINSTATE']), _negated=True), ('amount__lt', 0)), _connector='OR'), name='entry_sign_follows_kind'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('balance_after__gte', 0)), name='entry_leaves_no_debt'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'USAGE'), _negated=True), ('hold__isnull', False), _connector='OR'), name='entry_of_usage_names_its_hold'),
        ),
        migrations.AddIndex(
            model_name='reversal',
            index=models.Index(fields=['source'], name='reversal_by_source'),
        ),
        migrations.AddIndex(
            model_name='reversal',
            index=models.Index(condition=models.Q(('owed__gt', 0)), fields=['account'], name='reversal_debts_of_account'),
        ),
        migrations.AddConstraint(
            model_name='reversal',
            constraint=models.CheckConstraint(condition=models.Q(('asked__gte', 0), ('owed__gte', 0), ('taken__gte', 0)), name='reversal_amounts_are_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='reversal',
            constraint=models.CheckConstraint(condition=models.Q(('taken__lte', django.db.models.expressions.CombinedExpression(models.F('asked'), '-', models.F('owed')))), name='reversal_takes_no_more_than_is_asked'),
        ),
    ]
