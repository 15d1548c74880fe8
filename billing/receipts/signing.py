"""
Receipts as text that anyone can check: JWS in its compact form (RFC 7515), signed with Ed25519 (RFC 8037).

The installation signs with ``RECEIPT_SIGNING_KEY``. What it signed with before is named by ``RECEIPT_PUBLIC_KEYS``
and proves old receipts for as long as it stands there.
"""

import base64
import binascii
import hashlib
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from jwt.algorithms import OKPAlgorithm
from jwt.api_jws import PyJWS

#: What the text says that it is, so that nothing else that is ever signed with the key passes for a receipt.
TYPE = "prepaid-receipt"
ALGORITHM = "EdDSA"
KEY_BYTES = 32
KeySet = dict[str, list[dict[str, Any]]]


class NotAReceipt(Exception):
    """The text is damaged, changed or another's; the message says which."""


def signing_key() -> Ed25519PrivateKey | None:
    """
    Return the key that receipts are signed with; None if there is none. While ``DEBUG`` is on, there always is.

    :raises ValueError: if ``RECEIPT_SIGNING_KEY`` is not 32 bytes in base64url
    """
    if settings.RECEIPT_SIGNING_KEY:
        return Ed25519PrivateKey.from_private_bytes(_key_bytes(settings.RECEIPT_SIGNING_KEY))
    if settings.DEBUG:
        seed = hashlib.sha256(f"{TYPE}:{settings.SECRET_KEY}".encode()).digest()
        return Ed25519PrivateKey.from_private_bytes(seed)
    return None


def key_set() -> KeySet:
    """
    Return the public keys of receipts as a JWK set (RFC 7517), the one in use first.

    :raises ValueError: if one of the settings is not 32 bytes in base64url
    """
    private = signing_key()
    keys = [] if private is None else [private.public_key()]
    keys += [Ed25519PublicKey.from_public_bytes(_key_bytes(text)) for text in settings.RECEIPT_PUBLIC_KEYS]
    return {"keys": [_described(key) for key in keys]}


def sign(claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """Return ``claims``, which are JSON, as a receipt."""
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"typ": TYPE, "kid": _described(key.public_key())["kid"]}
    return PyJWS().encode(payload, key, algorithm=ALGORITHM, headers=headers)


def verify(text: str, keys: KeySet) -> dict[str, Any]:
    """
    Return what the receipt ``text`` says, if one of ``keys`` has signed it.

    :raises NotAReceipt: if none has, or it is no receipt
    """
    try:
        header = jwt.get_unverified_header(text)
    except jwt.InvalidTokenError:
        raise NotAReceipt("This is no receipt: three parts in base64url with two dots between.") from None
    if header.get("typ") != TYPE:
        raise NotAReceipt(f"This is no receipt: its type is {header.get('typ')!r} instead of {TYPE!r}.")
    named = [key for key in keys["keys"] if key.get("kid") == header.get("kid")]
    if not named:
        raise NotAReceipt(f"It names the key {header.get('kid')!r}, which is none of those that are known here.")
    try:
        payload = PyJWS().decode(text, _read(named[0]), algorithms=[ALGORITHM])
    except jwt.InvalidTokenError:
        raise NotAReceipt("The signature is wrong: the receipt was changed, or somebody else has made it.") from None
    if not _is_exact(text.rpartition(".")[2]):
        raise NotAReceipt("The signature is not written as it was made.")
    claims: dict[str, Any] = json.loads(payload)
    return claims


def read_key_set(text: str) -> KeySet:
    """
    Return the keys of a JWK set that was kept as JSON.

    :raises ValueError: if it is none, or one of its keys is not for Ed25519
    """
    found = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("It is no JSON object with keys.")
    for key in found["keys"]:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
            raise ValueError("One of its keys has no kid.")
        _read(key)
    return found


def _read(described: dict[str, Any]) -> Any:
    try:
        key = OKPAlgorithm.from_jwk(described)
    except jwt.InvalidKeyError as error:
        raise ValueError(f"The key {described['kid']} is no key for Ed25519: {error}.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"The key {described['kid']} is no public key for Ed25519.")
    return key


def _described(key: Ed25519PublicKey) -> dict[str, Any]:
    """The public key as a JWK, whose id is its thumbprint (RFC 7638)."""
    members = OKPAlgorithm.to_jwk(key, as_dict=True)
    needed = json.dumps({name: members[name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(needed.encode()).digest()).rstrip(b"=").decode()
    return {**members, "kid": thumbprint, "use": "sig", "alg": ALGORITHM}


def _key_bytes(text: str) -> bytes:
    try:
        key = base64.b64decode(f"{text}=", altchars=b"-_", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("A key for receipts is 32 bytes in base64url: 43 characters.")
    return key


def _is_exact(signature: str) -> bool:
    """Whether no other text means the same bytes: readers of base64 pass over what they do not need."""
    read = base64.urlsafe_b64decode(f"{signature}==")
    return base64.urlsafe_b64encode(read).rstrip(b"=") == signature.encode()
