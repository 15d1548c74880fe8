"""
Keys that were found in public, as GitHub's secret scanning reports them to its partners.

The report is believed for its signature alone: ECDSA P-256 over the body, by a public key that the operator
has named. Without one everything is refused.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.db import transaction

from accounts import audit, keys
from accounts.errors import InvalidLeakReport, LeakReportsNotConfigured
from accounts.models import ApiKey, Membership
from accounts.roles import Role
from accounts.services import revoke_key

TRUE, FALSE = "true_positive", "false_positive"
REPORTER = "leak report"


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that looks like a key, and where it was found."""

    token: str
    type: str
    source: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Whom to tell that ``key`` was revoked."""

    key: ApiKey
    email: str
    source: str


def public_keys() -> dict[str, ec.EllipticCurvePublicKey]:
    """
    Return the public keys of ``LEAK_REPORT_KEYS`` by their identifiers.

    :raises ValueError: if one of them is no ECDSA P-256 key in PEM
    """
    found = {}
    for identifier, pem in settings.LEAK_REPORT_KEYS.items():
        key = load_pem_public_key(pem.replace("\\n", "\n").encode())
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError(f"The key {identifier} is not an ECDSA P-256 key.")
        found[identifier] = key
    return found


def check_signature(body: bytes, headers: Mapping[str, str]) -> None:
    """
    Refuse a report that none of the named keys has signed.

    :raises LeakReportsNotConfigured: if no key is named, or one of them is none
    :raises InvalidLeakReport: if the signature is missing, damaged or another's
    """
    try:
        named = public_keys()
    except (ValueError, TypeError):
        named = {}
    if not named:
        raise LeakReportsNotConfigured
    key = named.get(headers.get("Github-Public-Key-Identifier", ""))
    if key is None:
        raise InvalidLeakReport
    try:
        signature = base64.b64decode(headers.get("Github-Public-Key-Signature", ""), validate=True)
        key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, ValueError, InvalidSignature):
        raise InvalidLeakReport from None


def revoke_leaked(leaks: Sequence[Leak], *, now: datetime) -> tuple[list[str], list[Alarm]]:
    """
    Revoke every key among ``leaks``. Returns a label for each of them, and whom to tell, once.

    A key that was revoked before, or reported before, is a true positive as well, and nobody is told again.
    """
    digests = {
        leak.token: keys.digest(leak.token, pepper=settings.API_KEY_PEPPER)
        for leak in leaks
        if keys.is_well_formed(leak.token)
    }
    known = {key.digest: key for key in ApiKey.objects.filter(digest__in=digests.values()).select_related("customer")}
    labels, alarms, seen = [], [], set()
    for leak in leaks:
        key = known.get(digests.get(leak.token, ""))
        labels.append(FALSE if key is None else TRUE)
        if key is not None and key.pk not in seen:
            seen.add(key.pk)
            alarms += _revoke(key, leak.source, now=now)
    return labels, alarms


@transaction.atomic
def _revoke(key: ApiKey, source: str, *, now: datetime) -> list[Alarm]:
    if not ApiKey.objects.filter(pk=key.pk, leaked_at=None).update(leaked_at=now):
        return []
    revoke_key(key, actor=REPORTER, now=now)
    audit.record(key.customer_id, "key.leaked", f"key:{key.pk}", actor=REPORTER, now=now)
    key.refresh_from_db()
    told = Membership.objects.filter(customer=key.customer_id, role__in=[Role.OWNER, Role.ADMIN], user__is_active=True)
    addresses = told.exclude(user__email=None).values_list("user__email", flat=True)
    return [Alarm(key, address, source) for address in addresses if address]
