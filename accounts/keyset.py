"""An identity provider's public keys: fetched rarely, kept through its outages."""

import logging
import threading
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from accounts.errors import PrepaidError
from accounts.parsers import parse_json

logger = logging.getLogger(__name__)

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

#: What a key of each kind and curve can sign. Symmetric algorithms are for nobody who publishes keys.
SIGNS = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
ALGORITHMS = frozenset[str]().union(*SIGNS.values())
READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
LOOPBACK = {"127.0.0.1", "::1", "localhost"}

FRESH = timedelta(hours=1)
STALE = timedelta(hours=24)
PAUSE = timedelta(minutes=1)
TIMEOUT_SECONDS = (3, 5)
MAX_BYTES = 256 * 1024
MIN_KEY_BITS = 2048


class KeySet:
    """
    The keys at a JWKS URL, by their ids and what they sign.

    Without ``url`` it is the one that ``issuer`` publishes at ``/.well-known/openid-configuration``.

    At most one request a minute leaves this process, however many unknown ids it is
    asked for: tokens with invented ids cost the identity provider nothing. Keys older
    than an hour are renewed; where that fails they serve on, up to a day.
    """

    def __init__(self, url: str, *, issuer: str = "") -> None:
        self.url = url
        self.issuer = issuer
        self._keys: dict[tuple[str, str], PublicKey] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._refreshing = threading.Lock()

    def get(self, kid: object, algorithm: str = "RS256", *, now: datetime) -> PublicKey | None:
        """
        Return the key ``kid`` for ``algorithm``, asking the identity provider if ``wants_refresh``.

        None if there is none, or it is for something else.
        """
        if self.wants_refresh(kid, algorithm, now=now):
            with self._refreshing:
                if self.wants_refresh(kid, algorithm, now=now):
                    self._refresh(now)
        if self._fetched_at is None or now - self._fetched_at > STALE:
            return None
        return self._keys.get((kid, algorithm)) if isinstance(kid, str) else None

    def wants_refresh(self, kid: object, algorithm: str = "RS256", *, now: datetime) -> bool:
        """Whether ``get`` would use the network: the key is unknown or old, and the last try is a minute ago."""
        if not isinstance(kid, str):
            return False
        if (kid, algorithm) in self._keys and self._fetched_at is not None and now - self._fetched_at < FRESH:
            return False
        return self._tried_at is None or now - self._tried_at >= PAUSE

    def _refresh(self, now: datetime) -> None:
        try:
            self._keys = self._fetch()
            self._fetched_at = now
        except (requests.RequestException, ValueError, PrepaidError) as error:
            logger.warning("The identity provider's keys could not be read.", extra={"reason": type(error).__name__})
        self._tried_at = now

    def _fetch(self) -> dict[tuple[str, str], PublicKey]:
        answer = read_json(self.url or self._discover())
        if not isinstance(answer.get("keys"), list):
            raise ValueError("this is not a key set")
        return {
            (key["kid"], algorithm): public
            for key in answer["keys"]
            if (public := usable(key)) is not None
            for algorithm in signed_by(key)
        }

    def _discover(self) -> str:
        answer = read_json(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        url = answer.get("jwks_uri")
        if answer.get("issuer") != self.issuer or not isinstance(url, str) or not is_private_channel(url):
            raise ValueError("this is not the issuer's own configuration")
        return url


def read_json(url: str) -> dict[str, Any]:
    """
    Return the JSON object at ``url``, which is small and comes at once, or is refused.

    :raises ValueError: if it does not
    """
    deadline = time.monotonic() + sum(TIMEOUT_SECONDS)
    with requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True) as response:
        if response.status_code != requests.codes.ok:
            raise ValueError("the identity provider did not answer 200")
        body = b""
        for part in response.iter_content(16 * 1024):
            body += part
            if len(body) > MAX_BYTES or time.monotonic() > deadline:
                raise ValueError("the answer is too long, or comes too slowly")
    answer = parse_json(body)
    if not isinstance(answer, dict):
        raise ValueError("this is no JSON object")
    return answer


def is_private_channel(url: str) -> bool:
    """Whether nobody between here and ``url`` can change what it answers."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def signed_by(key: dict[str, Any]) -> frozenset[str]:
    """Return the algorithms that a JWK is for: the one that it names, or all that its kind allows."""
    kind = key.get("kty")
    curve = key.get("crv") if kind != "RSA" else None
    known = SIGNS.get((kind, curve), frozenset()) if isinstance(kind, str) and isinstance(curve, str | None) else ()
    return frozenset(known) & ({key["alg"]} if isinstance(key.get("alg"), str) else ALGORITHMS)


def usable(key: Any) -> PublicKey | None:
    """Return the public key of a JWK that is for checking signatures, else None."""
    if not isinstance(key, dict) or not isinstance(key.get("kid"), str) or not isinstance(key.get("alg", ""), str):
        return None
    if not signed_by(key) or key.get("use", "sig") != "sig":
        return None
    operations = key.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        public = READERS[key["kty"]](key)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(public, RSAPublicKey):
        return public if public.key_size >= MIN_KEY_BITS else None
    return public if isinstance(public, EllipticCurvePublicKey | Ed25519PublicKey) else None
