"""All that is kept about a person and their own customer, as JSON that is sent as it is read."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from accounts.models import ApiKey, AuditEntry, Invitation, Membership, User
from billing.models import UsageRecord
from credits.amounts import display
from credits.models import Account, Grant, LedgerEntry

ROWS_A_READ = 500


def parts_of(user: User) -> Iterator[bytes]:
    """
    Yield the export of ``user`` in parts, as one JSON object. Keys are masked, amounts decimal text.

    Long tables are walked by their id, so that few rows are in memory and no connection is kept meanwhile.
    """
    customer = user.personal_customer
    yield b'{"user":' + _json(_user(user))
    tables: list[tuple[str, Iterable[dict[str, Any]]]] = [
        ("memberships", map(_membership, _walk(Membership.objects.filter(user=user).select_related("customer")))),
        ("invitations", map(_invitation, _walk(Invitation.objects.filter(email=user.email or "-")))),
        ("keys", map(_key, _walk(ApiKey.objects.filter(customer=customer)))),
        ("accounts", map(_account, _walk(Account.objects.filter(customer=customer)))),
        ("grants", map(_grant, _walk(Grant.objects.filter(account__customer=customer).select_related("account")))),
        ("entries", map(_entry, _walk(LedgerEntry.objects.filter(account__customer=customer)))),
        ("usage", map(_usage, _walk(UsageRecord.objects.filter(customer=customer)))),
        ("audit", map(_audit, _walk(AuditEntry.objects.filter(customer=customer)))),
    ]
    for name, rows in tables:
        yield b',"' + name.encode() + b'":['
        yield from _rows(rows)
        yield b"]"
    yield b"}\n"


def _rows(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    separator = b""
    for row in rows:
        yield separator + _json(row)
        separator = b","


def _walk(rows: QuerySet[Any]) -> Iterator[Any]:
    after = 0
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:ROWS_A_READ]):
        yield from page
        after = page[-1].pk


def _json(value: Any) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":")).encode()


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "externalId": user.external_id,
        "email": user.email,
        "name": user.name,
        "timeZone": user.personal_customer.time_zone,
        "createdAt": user.created_at,
    }


def _membership(row: Membership) -> dict[str, Any]:
    return {"customerId": row.customer_id, "customer": row.customer.name, "role": row.role, "since": row.created_at}


def _invitation(row: Invitation) -> dict[str, Any]:
    return {"id": row.pk, "customerId": row.customer_id, "role": row.role, "createdAt": row.created_at}


def _key(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "masked": row.masked,
        "scopes": row.scopes.split(),
        "metadata": row.metadata,
        "createdAt": row.created_at,
        "lastUsedAt": row.last_used_at,
        "expiresAt": row.expires_at,
        "revokedAt": row.revoked_at,
    }


def _account(row: Account) -> dict[str, Any]:
    return {
        "id": row.pk,
        "currency": row.currency,
        "balance": display(row.balance),
        "held": display(row.held),
        "owed": display(row.owed),
    }


def _grant(row: Grant) -> dict[str, Any]:
    return {
        "id": row.pk,
        "accountId": row.account_id,
        "category": row.category,
        "amount": display(row.amount),
        "remaining": display(row.remaining),
        "source": row.source,
        "memo": row.memo,
        "effectiveAt": row.effective_at,
        "expiresAt": row.expires_at,
        "createdAt": row.created_at,
    }


def _entry(row: LedgerEntry) -> dict[str, Any]:
    return {
        "accountId": row.account_id,
        "sequence": row.sequence,
        "grantId": row.grant_id,
        "kind": row.kind,
        "amount": display(row.amount),
        "balanceAfter": display(row.balance_after),
        "reference": row.reference,
        "memo": row.memo,
        "createdAt": row.created_at,
        "digest": row.digest,
    }


def _usage(row: UsageRecord) -> dict[str, Any]:
    return {
        "id": row.pk,
        "keyId": row.api_key_id,
        "requestId": row.request_id,
        "feature": row.feature,
        "model": row.model,
        "status": row.status,
        "charged": display(row.charged),
        "promptTokens": row.prompt_tokens,
        "completionTokens": row.completion_tokens,
        "generationId": row.generation_id,
        "endUser": row.end_user,
        "notes": row.notes or {},
        "createdAt": row.created_at,
    }


def _audit(row: AuditEntry) -> dict[str, Any]:
    return {
        "action": row.action,
        "subject": row.subject,
        "actor": row.actor,
        "details": row.details,
        "createdAt": row.created_at,
    }
