"""Embeddings follow the provider's cost: 120 credits for a dollar of it, a ten-thousandth of a credit at the least."""

from datetime import UTC, datetime
from typing import Any

from django.db import migrations

CREDIT = 10**7
EFFECTIVE_AT = datetime(2026, 1, 1, tzinfo=UTC)


def publish(apps: Any, schema_editor: Any) -> None:
    apps.get_model("billing", "Price").objects.create(
        feature="ai_embedding",
        type="METERED",
        amount=CREDIT // 10_000,
        rate=100 * CREDIT,
        markup=1_200_000,
        effective_at=EFFECTIVE_AT,
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_plans")]
    operations = [migrations.RunPython(publish, migrations.RunPython.noop)]
