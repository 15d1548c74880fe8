"""What happens to API keys: they are made, changed, rotated and revoked."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import audit, keys
from accounts.errors import KeyAlreadyRotated, KeyIsOver
from accounts.limits import LIMITS
from accounts.models import ApiKey, Customer, User

#: What a key is for and how much it may be used, which its successor inherits.
TERMS = (
    "name",
    "mode",
    "scopes",
    "allowed_models",
    "allowed_features",
    "allowed_addresses",
    "budget",
    "budget_period",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_calls",
    "cache_seconds",
    "metadata",
    "expires_at",
)


@transaction.atomic
def create_key(
    *,
    customer: Customer,
    name: str,
    now: datetime,
    mode: str = ApiKey.Mode.LIVE,
    scopes: Collection[str] = (ApiKey.Scope.AI, ApiKey.Scope.READ),
    expires_at: datetime | None = None,
    created_by: User | None = None,
    actor: str = "system",
    **limits: Any,
) -> tuple[ApiKey, str]:
    """
    Return a new key of ``customer`` and its text, which exists nowhere else and cannot be shown again.

    ``limits`` are further fields of ``TERMS``.
    """
    text = keys.mint(mode)
    key = ApiKey.objects.create(
        customer=customer,
        created_by=created_by,
        name=name,
        mode=mode,
        digest=keys.digest(text, pepper=settings.API_KEY_PEPPER),
        last_four=text[-4:],
        scopes=in_order(scopes),
        expires_at=expires_at,
        created_at=now,
        **limits,
    )
    audit.record(customer, "key.created", f"key:{key.pk}", actor=actor, now=now)
    return key, text


def in_order(scopes: Collection[str]) -> str:
    return " ".join(scope for scope in ApiKey.Scope.values if scope in scopes)


@transaction.atomic
def update_key(key: ApiKey, changes: Mapping[str, Any], *, actor: str, now: datetime) -> ApiKey:
    """
    Set the ``changes`` of ``key``'s ``TERMS``. They count from the next call on.

    :raises KeyIsOver: if it is revoked or has expired
    """
    locked = _locked(key, now=now)
    changed = sorted(name for name, value in changes.items() if getattr(locked, name) != value)
    for name in changed:
        setattr(locked, name, changes[name])
    if changed:
        if not set(LIMITS).isdisjoint(changed):
            locked.limited_at = now
        locked.save(update_fields=[*changed, "limited_at"])
        audit.record(locked.customer_id, "key.changed", f"key:{key.pk}", actor=actor, now=now, fields=changed)
    return locked


@transaction.atomic
def rotate_key(
    key: ApiKey, *, overlap: timedelta, actor: str, now: datetime, created_by: User | None = None
) -> tuple[ApiKey, str, ApiKey]:
    """
    Return a successor of ``key`` on the same terms, its text, and ``key``, which works for ``overlap`` longer.

    A key that expires sooner does not gain by it. The successor may be rotated meanwhile; each keeps its own time.

    :raises KeyIsOver: if it is revoked or has expired
    :raises KeyAlreadyRotated: if it has a successor
    """
    old = _locked(key, now=now)
    if old.replaced_by_id is not None:
        raise KeyAlreadyRotated(replacedBy=old.replaced_by_id)
    terms = {name: getattr(old, name) for name in TERMS}
    terms["scopes"] = terms["scopes"].split()
    new, text = create_key(customer=old.customer, created_by=created_by, actor=actor, now=now, **terms)
    old.replaced_by = new
    until = now + overlap
    if overlap:
        old.expires_at = until if old.expires_at is None else min(old.expires_at, until)
    else:
        old.revoked_at, old.revoked_by = now, actor
    old.save(update_fields=["replaced_by", "expires_at", "revoked_at", "revoked_by"])
    audit.record(old.customer_id, "key.rotated", f"key:{old.pk}", actor=actor, now=now, replacedBy=new.pk)
    return new, text, old


@transaction.atomic
def revoke_key(key: ApiKey, *, now: datetime, actor: str = "system") -> bool:
    """Make ``key`` good for nothing from now on. Returns whether it was good before; again changes nothing."""
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now, revoked_by=actor)
    if revoked:
        audit.record(key.customer_id, "key.revoked", f"key:{key.pk}", actor=actor, now=now)
    return bool(revoked)


def _locked(key: ApiKey, *, now: datetime) -> ApiKey:
    locked = ApiKey.objects.select_for_update(of=("self",)).select_related("customer").get(pk=key.pk)
    if locked.revoked_at is not None or (locked.expires_at is not None and locked.expires_at <= now):
        raise KeyIsOver
    return locked
