"""Sum up the usage that was recorded before there were days. Every customer was in UTC then."""

from datetime import UTC
from typing import Any

from django.db import migrations
from django.db.models.functions import TruncDate

SUM_UP = """
    INSERT INTO billing_usageday (
        customer_id, day, feature, model, key_id, calls, failed_calls, erased_calls,
        charged, provider_cost_picos, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens
    )
    SELECT customer_id, day, feature, model, COALESCE(api_key_id, 0), COUNT(*),
           SUM(CASE WHEN status IN ('FAILED', 'UNKNOWN') THEN 1 ELSE 0 END), 0,
           SUM(charged), SUM(COALESCE(provider_cost_picos, 0)), SUM(COALESCE(prompt_tokens, 0)),
           SUM(COALESCE(completion_tokens, 0)), SUM(COALESCE(cached_tokens, 0)), SUM(COALESCE(reasoning_tokens, 0))
    FROM billing_usagerecord
    GROUP BY customer_id, day, feature, model, COALESCE(api_key_id, 0)
"""


def date_records(apps: Any, schema_editor: Any) -> None:
    apps.get_model("billing", "UsageRecord").objects.update(day=TruncDate("created_at", tzinfo=UTC))


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_usage_by_day")]
    operations = [
        migrations.RunPython(date_records, migrations.RunPython.noop),
        migrations.RunSQL(SUM_UP, "DELETE FROM billing_usageday"),
    ]
