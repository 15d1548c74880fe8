"""What the OpenAPI document shows of customers and their members."""

from drf_spectacular.utils import OpenApiExample

CUSTOMER = OpenApiExample(
    "A team",
    value={
        "id": 12,
        "kind": "TEAM",
        "name": "Analytical Engines",
        "role": "OWNER",
        "timeZone": "Europe/Berlin",
        "externalId": None,
        "suspendedAt": None,
        "createdAt": "2026-11-20T12:00:00Z",
    },
    response_only=True,
)
MEMBER = OpenApiExample(
    "An administrator",
    value={
        "userId": 7,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "role": "ADMIN",
        "isActive": True,
        "since": "2026-11-20T12:00:00Z",
    },
    response_only=True,
)
_INVITATION = {
    "id": 3,
    "email": "charles@example.com",
    "role": "MEMBER",
    "status": "open",
    "invitedBy": 7,
    "createdAt": "2026-11-20T12:00:00Z",
    "sentAt": "2026-11-20T12:00:00Z",
    "expiresAt": "2026-11-27T12:00:00Z",
}
INVITATION = OpenApiExample("An open invitation", value=_INVITATION, response_only=True)
INVITED = OpenApiExample(
    "Sent",
    value={**_INVITATION, "token": "dGhpcyBpcyBub3QgYSB0b2tlbiBhbmQgb3BlbnMgbm8", "mailed": True},
    response_only=True,
)
