"""
Demo data for a first look: an operator, and a customer with credits and a key.

The credentials are made up once and kept in a file that only its owner can read, because
the database keeps digests. A credential that the file lost, or that the database does not
know, is made again.
"""

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

import accounts.services
import credits.services
from accounts import keys
from accounts.models import ApiKey, Customer, User
from credits import amounts
from credits.models import Grant

ADMIN_EMAIL = "admin@example.com"
USER_EMAIL = "demo@example.com"
KEY_NAME = "Demo"
CREDITS = 1000


@dataclass(frozen=True)
class Demo:
    """What ``.data/demo.env`` holds."""

    url: str
    api_key: str
    admin_email: str
    admin_password: str

    def write(self, path: Path) -> None:
        fields = {f"PREPAID_{name.upper()}": value for name, value in vars(self).items()}
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in fields.items())
        new.replace(path)


@transaction.atomic
def prepare(*, path: Path, url: str, now: datetime) -> Demo:
    """Make whatever demo data is missing, and keep the credentials in ``path``. Again is harmless."""
    kept = read(path)
    customer = demo_customer(now=now)
    demo = Demo(
        url=url,
        api_key=usable_key(customer, kept.get("PREPAID_API_KEY", ""), now=now),
        admin_email=ADMIN_EMAIL,
        admin_password=usable_password(kept.get("PREPAID_ADMIN_PASSWORD", "")),
    )
    demo.write(path)
    return demo


def read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def demo_customer(*, now: datetime) -> Customer:
    user = User.objects.filter(email=USER_EMAIL).first() or User.objects.create_user(USER_EMAIL, name="Demo")
    customer = user.personal_customer
    credits.services.grant(
        account=credits.services.account_of(customer),
        amount=amounts.credits(CREDITS),
        category=Grant.Category.PROMOTION,
        source=f"demo:{customer.pk}",
        actor="system",
        now=now,
        memo="Demo credits",
    )
    return customer


def usable_key(customer: Customer, kept: str, *, now: datetime) -> str:
    """Return ``kept`` if it is a key of ``customer`` that works, else a new one in the place of earlier ones."""
    working = customer.api_keys.filter(name=KEY_NAME, revoked_at=None)
    if kept and working.filter(digest=keys.digest(kept, pepper=settings.API_KEY_PEPPER)).exists():
        return kept
    for key in working:
        accounts.services.revoke_key(key, now=now)
    _, text = accounts.services.create_key(customer=customer, name=KEY_NAME, scopes=ApiKey.Scope.values, now=now)
    return text


def usable_password(kept: str) -> str:
    """Return ``kept`` if it opens the admin, else a new password for the operator, who is made if missing."""
    admin = User.objects.filter(email=ADMIN_EMAIL).first()
    if admin and kept and admin.check_password(kept):
        return kept
    password = secrets.token_urlsafe(18)
    if admin:
        admin.set_password(password)
        admin.save(update_fields=["password", "updated_at"])
    else:
        User.objects.create_superuser(ADMIN_EMAIL, password, name="Operator")
    return password
