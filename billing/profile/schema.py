"""What ``billing.profile.export`` sends, as OpenAPI says it: it is written row by row, by no serializer."""

from typing import Any

TEXT = {"type": "string"}
WORDS = {"type": "array", "items": TEXT}
TEXTS = {"type": "object", "additionalProperties": TEXT}
NUMBER = {"type": "integer"}
INSTANT = {"type": "string", "format": "date-time"}
AMOUNT = {"type": "string", "description": "Decimal text.", "examples": ["98.5"]}
ANYTHING = {"type": "object", "additionalProperties": {}}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"type": [schema["type"], "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _rows(**properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": _object(**properties)}


EXPORT = _object(
    user=_object(
        id=NUMBER,
        externalId=_or_null(TEXT),
        email=_or_null(TEXT),
        name=TEXT,
        timeZone=TEXT,
        createdAt=INSTANT,
    ),
    memberships=_rows(customerId=NUMBER, customer=TEXT, role=TEXT, since=INSTANT),
    invitations=_rows(id=NUMBER, customerId=NUMBER, role=TEXT, createdAt=INSTANT),
    keys=_rows(
        id=NUMBER,
        name=TEXT,
        masked=TEXT,
        scopes=WORDS,
        metadata=TEXTS,
        createdAt=INSTANT,
        lastUsedAt=_or_null(INSTANT),
        expiresAt=_or_null(INSTANT),
        revokedAt=_or_null(INSTANT),
    ),
    accounts=_rows(id=NUMBER, currency=TEXT, balance=AMOUNT, held=AMOUNT, owed=AMOUNT),
    grants=_rows(
        id=NUMBER,
        accountId=NUMBER,
        category=TEXT,
        amount=AMOUNT,
        remaining=AMOUNT,
        source=TEXT,
        memo=TEXT,
        effectiveAt=INSTANT,
        expiresAt=_or_null(INSTANT),
        createdAt=INSTANT,
    ),
    entries=_rows(
        accountId=NUMBER,
        sequence=NUMBER,
        grantId=NUMBER,
        kind=TEXT,
        amount=AMOUNT,
        balanceAfter=AMOUNT,
        reference=TEXT,
        memo=TEXT,
        createdAt=INSTANT,
        digest=TEXT,
    ),
    usage=_rows(
        id=NUMBER,
        keyId=_or_null(NUMBER),
        requestId=TEXT,
        feature=TEXT,
        model=TEXT,
        status=TEXT,
        charged=AMOUNT,
        promptTokens=_or_null(NUMBER),
        completionTokens=_or_null(NUMBER),
        generationId=TEXT,
        endUser=TEXT,
        notes=TEXTS,
        createdAt=INSTANT,
    ),
    audit=_rows(action=TEXT, subject=TEXT, actor=TEXT, details=ANYTHING, createdAt=INSTANT),
)
