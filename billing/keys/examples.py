"""What the OpenAPI document shows of keys."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

SHOWN: dict[str, Any] = {
    "id": 2,
    "name": "production",
    "mode": "live",
    "status": "active",
    "masked": "ppd_live_…sfoP",
    "lastFour": "sfoP",
    "scopes": ["ai", "read"],
    "models": ["openai/*"],
    "features": [],
    "addresses": ["192.0.2.0/24"],
    "budget": {"amount": "25", "period": "DAY", "currency": "credits"},
    "limits": {"requestsPerMinute": 600, "tokensPerMinute": None, "concurrentCalls": 20},
    "cacheSeconds": 0,
    "metadata": {"team": "search"},
    "createdBy": 1,
    "replacedBy": None,
    "usage": "/api/keys/2/usage",
    "expiresAt": None,
    "revokedAt": None,
    "leakedAt": None,
    "lastUsedAt": "2026-11-21T03:10:57.199976Z",
    "createdAt": "2026-11-21T03:10:27.674454Z",
}
NEW = SHOWN | {"lastUsedAt": None}
SECRET = {"key": "ppd_live_GOns0000000000000000000000000000000000"}
OLD = SHOWN | {"id": 1, "usage": "/api/keys/1/usage", "replacedBy": 2, "expiresAt": "2026-11-22T03:10:27.674454Z"}

KEY = OpenApiExample("A key with limits", value=SHOWN, response_only=True)
CREATED = OpenApiExample("A new key", value=SECRET | NEW, response_only=True)
ROTATED = OpenApiExample("A successor", value={**SECRET, **NEW, "replaces": OLD}, response_only=True)
LIMITED = OpenApiExample(
    "For one machine and one kind of model",
    value={
        "name": "production",
        "models": ["openai/*"],
        "addresses": ["192.0.2.0/24"],
        "budget": {"amount": "25", "period": "DAY"},
        "limits": {"requestsPerMinute": 600, "concurrentCalls": 20},
        "metadata": {"team": "search"},
    },
    request_only=True,
)
