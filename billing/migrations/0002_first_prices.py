"""The prices that the first original began with: 1 credit a chat, 5 an image."""

from datetime import UTC, datetime
from typing import Any

from django.db import migrations

CREDIT = 10**7
EFFECTIVE_AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_PRICES = {"ai_text_chat": 1 * CREDIT, "ai_image_generation": 5 * CREDIT}


def publish(apps: Any, schema_editor: Any) -> None:
    Price = apps.get_model("billing", "Price")
    Price.objects.bulk_create(
        Price(feature=feature, type="FIXED", amount=amount, effective_at=EFFECTIVE_AT)
        for feature, amount in FIRST_PRICES.items()
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunPython(publish, migrations.RunPython.noop)]
