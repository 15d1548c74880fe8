"""``POST /api/keys/leaked``, in the shape of GitHub's secret scanning partner program."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import ValidationFailed
from accounts.leaks import FALSE, TRUE, Leak, check_signature, revoke_leaked
from accounts.parsers import parse_json
from accounts.strict import StrictView
from accounts.teams import mail

MOST_LEAKS = 1000
LONGEST = {"token": 512, "type": 200, "url": 4096, "source": 200}


class LeakSerializer(serializers.Serializer[Any]):
    """One finding. GitHub may send more; that is passed over."""

    token = serializers.CharField(max_length=LONGEST["token"])
    type = serializers.CharField(max_length=LONGEST["type"])
    url = serializers.CharField(max_length=LONGEST["url"], required=False, allow_blank=True)
    source = serializers.CharField(  # type: ignore[assignment]  # the name is GitHub's, and a field's attribute too
        max_length=LONGEST["source"], required=False, allow_blank=True
    )


class LabelSerializer(serializers.Serializer[Any]):
    token_raw = serializers.CharField(read_only=True)
    token_type = serializers.CharField(read_only=True)
    label = serializers.ChoiceField(  # type: ignore[assignment]  # as above
        [TRUE, FALSE], read_only=True
    )


def header(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True)


class LeakedView(StrictView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="reportLeakedKeys",
        summary="Report keys that were found in public",
        description=(
            "The signature over the body is the credential: ECDSA P-256 by a key that the operator has named. Keys of "
            "ours are revoked at once, and whoever owns or administers the customer is told by mail."
        ),
        tags=["Keys"],
        auth=[],
        parameters=[header("Github-Public-Key-Identifier"), header("Github-Public-Key-Signature")],
        request=LeakSerializer(many=True),
        responses={200: LabelSerializer(many=True)},
    )
    def post(self, request: Request) -> Response:
        body: bytes = request._request.body
        check_signature(body, request.headers)
        found = leaks_in(parse_json(body))
        labels, alarms = revoke_leaked(found, now=timezone.now())
        for alarm in alarms:
            mail.send_leak(alarm.key, alarm.email, source=alarm.source)
        return Response(
            [
                {"token_raw": leak.token, "token_type": leak.type, "label": label}
                for leak, label in zip(found, labels, strict=True)
            ]
        )


def leaks_in(report: Any) -> list[Leak]:
    """
    Return what a report, whose signature is good, has found.

    :raises ValidationFailed: if it is not a list of findings, or too long
    """
    if not isinstance(report, list) or len(report) > MOST_LEAKS:
        message = f"Send a list of at most {MOST_LEAKS} findings."
        raise ValidationFailed(details=[{"field": "body", "message": message, "code": "INVALID"}])
    read = LeakSerializer(data=report, many=True)
    read.is_valid(raise_exception=True)
    return [Leak(row["token"], row["type"], row.get("url") or row.get("source", "")) for row in read.validated_data]
