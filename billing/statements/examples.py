"""Examples of the OpenAPI document."""

from typing import Any

PAID_CHAT: dict[str, Any] = {
    "id": 311,
    "kind": "USAGE",
    "amount": "-1",
    "balanceAfter": "99",
    "grantId": 17,
    "holdId": "6b1f0f0e-6f0e-4b5e-9a53-0d3a3f1f0a11",
    "usageId": "42",
    "feature": "ai_text_chat",
    "model": "openai/gpt-4o-mini",
    "generationId": "gen-1732104000-abc",
    "reference": "",
    "memo": "",
    "createdAt": "2026-11-20T12:00:02.000Z",
}
DEPOSIT: dict[str, Any] = {
    "id": 312,
    "kind": "GRANT",
    "amount": "100.50",
    "balanceAfter": "100.50",
    "grantId": 18,
    "holdId": None,
    "usageId": None,
    "feature": None,
    "model": None,
    "generationId": None,
    "reference": "deposit:2026-11-20",
    "memo": "",
    "createdAt": "2026-11-20T12:00:00.000Z",
}
EXPLANATION: dict[str, Any] = {
    "currency": "credits",
    "at": "2026-11-20T12:00:03.000Z",
    "sequence": 2,
    "balance": "99",
    "held": "1",
    "available": "98",
    "lots": [
        {
            "grantId": 17,
            "category": "PLAN",
            "source": "plan:pro:2026-11",
            "amount": "100",
            "remaining": "99",
            "held": "1",
            "priority": 50,
            "effectiveAt": "2026-11-01T00:00:00.000Z",
            "expiresAt": "2026-12-01T00:00:00.000Z",
        }
    ],
    "due": [],
    "holds": [
        {
            "id": "6b1f0f0e-6f0e-4b5e-9a53-0d3a3f1f0a12",
            "amount": "1",
            "reference": "",
            "createdAt": "2026-11-20T12:00:02.500Z",
            "resolvedAt": "2026-11-20T12:00:04.000Z",
        }
    ],
    "difference": {
        "from": "2026-11-20T12:00:00.000Z",
        "opening": "100",
        "movements": [{"kind": "USAGE", "counterAccount": "revenue", "entries": 1, "amount": "-1"}],
        "closing": "99",
    },
    "entries": [
        {
            "sequence": 2,
            "kind": "USAGE",
            "amount": "-1",
            "balanceAfter": "99",
            "grantId": 17,
            "holdId": "6b1f0f0e-6f0e-4b5e-9a53-0d3a3f1f0a11",
            "reference": "",
            "memo": "",
            "actor": "key:7",
            "createdAt": "2026-11-20T12:00:02.000Z",
            "usage": {
                "id": "42",
                "feature": "ai_text_chat",
                "quantity": 1,
                "model": "openai/gpt-4o-mini",
                "status": "COMPLETED",
                "requestId": "8a6e0804-2bd0-4672-b79d-d97027f9071a",
                "generationId": "gen-1732104000-abc",
                "keyId": 7,
                "keyName": "production",
                "priceId": 1,
                "promptTokens": 12,
                "completionTokens": 34,
                "cachedTokens": 0,
                "reasoningTokens": 0,
            },
        }
    ],
    "nextCursor": None,
}
