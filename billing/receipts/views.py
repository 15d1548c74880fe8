"""``/api/credits/receipts/{id}``, and the keys with which anyone checks what it answers."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.errors import ReceiptsNotConfigured
from billing.receipts import signing
from billing.receipts.reading import paid_call
from billing.receipts.serializers import ReceiptSerializer, SignedReceiptSerializer
from credits.reads import NOT_MODIFIED, ReadView

RECEIPT = {
    "version": 1,
    "issuer": "https://prepaid.example",
    "usageId": "42",
    "holdId": "6b1f0f0e-6f0e-4b5e-9a53-0d3a3f1f0a11",
    "customerId": 3,
    "requestId": "8a6e0804-2bd0-4672-b79d-d97027f9071a",
    "generationId": "gen-1732104000-abc",
    "feature": "ai_text_chat",
    "model": "openai/gpt-4o-mini",
    "status": "COMPLETED",
    "priceId": 1,
    "currency": "credits",
    "held": "1",
    "charged": "1",
    "entries": [
        {
            "id": 311,
            "sequence": 2,
            "amount": "-1",
            "digest": "945e28890ab9db2e5b3a5e0a8b5f2c5a6f8b1d7c9e0f1a2b3c4d5e6f708192a3",
        }
    ],
    "balanceAfter": "99",
    "chainDigest": "945e28890ab9db2e5b3a5e0a8b5f2c5a6f8b1d7c9e0f1a2b3c4d5e6f708192a3",
    "admittedAt": "2026-11-20T12:00:00.000Z",
    "bookedAt": "2026-11-20T12:00:02.000Z",
}


class ReceiptView(ReadView):
    @extend_schema(
        operation_id="getCreditReceipt",
        summary="The signed receipt of a call",
        description=(
            "What a call cost and how it was booked, as a JWS signed with Ed25519. `/.well-known/jwks.json` has the "
            "public keys. The id is the call's in `GET /api/credits/usage`; the same call has the same receipt."
        ),
        tags=["Credits"],
        responses={200: SignedReceiptSerializer, 304: NOT_MODIFIED},
        examples=[
            OpenApiExample("A chat", value={"jws": "eyJhbGciOiJFZERTQSIs….eyJ2ZXJzaW9u….kq0…", "receipt": RECEIPT})
        ],
    )
    def get(self, request: Request, id: int) -> Response:
        call = paid_call(self.customer(), id, mode=self.mode())
        key = signing.signing_key()
        if key is None:
            raise ReceiptsNotConfigured
        claims = dict(ReceiptSerializer(call).data)
        return Response({"jws": signing.sign(claims, key), "receipt": claims})


@cache_control(public=True, max_age=3600)
@require_safe
def key_set(request: HttpRequest) -> JsonResponse:
    """The public keys of receipts as a JWK set; empty where none are signed."""
    return JsonResponse(signing.key_set())
