"""Who did what to a customer's people and keys, or to all, written in the transaction that does it."""

from datetime import datetime
from typing import Any

from accounts.models import AuditEntry, Customer


def record(
    customer: Customer | int | None, action: str, subject: str, *, actor: str, now: datetime, **details: Any
) -> AuditEntry:
    """
    Write that ``actor`` did ``action`` (such as ``key.revoked``) to ``subject`` (such as ``key:7``).

    Without ``customer`` it concerns the installation, such as its plans. ``details`` say what changed, in values
    that JSON has. Never a secret, an address or a name.
    """
    customer_id = customer.pk if isinstance(customer, Customer) else customer
    return AuditEntry.objects.create(
        customer_id=customer_id, action=action, subject=subject, actor=actor, details=details, created_at=now
    )
