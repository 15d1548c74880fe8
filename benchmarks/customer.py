"""
Prepare the database that ``DATABASE_URL`` names, and print the key of a customer who can pay for everything.

One customer and one key, so that every call waits for the same row: the worst case.
"""

import os

import django
from django.core.management import call_command
from django.utils import timezone

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

# The models exist only once Django is set up.
import accounts.services  # noqa: E402
import credits.services  # noqa: E402
from accounts.models import User  # noqa: E402
from credits import amounts  # noqa: E402
from credits.models import Grant  # noqa: E402

PLENTY = 10**9


def main() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    now = timezone.now()
    customer = User.objects.create_user("benchmark@example.com").personal_customer
    credits.services.grant(
        account=credits.services.account_of(customer),
        amount=amounts.credits(PLENTY),
        category=Grant.Category.PROMOTION,
        source="benchmark",
        actor="system",
        now=now,
    )
    _, key = accounts.services.create_key(customer=customer, name="Benchmark", now=now)
    print(key)


if __name__ == "__main__":
    main()
