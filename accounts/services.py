"""What happens to API keys: they are made and revoked."""

from collections.abc import Collection
from datetime import datetime

from django.conf import settings

from accounts import keys
from accounts.models import ApiKey, Customer, User


def create_key(
    *,
    customer: Customer,
    name: str,
    now: datetime,
    mode: str = ApiKey.Mode.LIVE,
    scopes: Collection[str] = (ApiKey.Scope.AI, ApiKey.Scope.READ),
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key of ``customer`` and its text, which exists nowhere else and cannot be shown again."""
    text = keys.mint(mode)
    key = ApiKey.objects.create(
        customer=customer,
        created_by=created_by,
        name=name,
        mode=mode,
        digest=keys.digest(text, pepper=settings.API_KEY_PEPPER),
        last_four=text[-4:],
        scopes=" ".join(scope for scope in ApiKey.Scope.values if scope in scopes),
        expires_at=expires_at,
        created_at=now,
    )
    return key, text


def revoke_key(key: ApiKey, *, now: datetime) -> None:
    """Make ``key`` good for nothing from now on. Revoking it again changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
