"""An identity provider's public keys: fetched rarely, kept through its outages."""

import logging
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from accounts.errors import PrepaidError
from accounts.parsers import parse_json

logger = logging.getLogger(__name__)

PublicKey = RSAPublicKey

FRESH = timedelta(hours=1)
STALE = timedelta(hours=24)
PAUSE = timedelta(minutes=1)
TIMEOUT_SECONDS = (3, 5)
MAX_BYTES = 256 * 1024
MIN_KEY_BITS = 2048


class KeySet:
    """
    The keys at a JWKS URL, by their ids.

    At most one request a minute leaves this process, however many unknown ids it is
    asked for: tokens with invented ids cost the identity provider nothing. Keys older
    than an hour are renewed; where that fails they serve on, up to a day.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys: dict[str, PublicKey] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._refreshing = threading.Lock()

    def get(self, kid: object, *, now: datetime) -> PublicKey | None:
        """Return the key ``kid``, asking the identity provider if ``wants_refresh``; None if there is none."""
        if self.wants_refresh(kid, now=now):
            with self._refreshing:
                if self.wants_refresh(kid, now=now):
                    self._refresh(now)
        if self._fetched_at is None or now - self._fetched_at > STALE:
            return None
        return self._keys.get(kid) if isinstance(kid, str) else None

    def wants_refresh(self, kid: object, *, now: datetime) -> bool:
        """Whether ``get`` would use the network: ``kid`` is unknown or old, and the last try is a minute ago."""
        if not isinstance(kid, str):
            return False
        if kid in self._keys and self._fetched_at is not None and now - self._fetched_at < FRESH:
            return False
        return self._tried_at is None or now - self._tried_at >= PAUSE

    def _refresh(self, now: datetime) -> None:
        try:
            self._keys = self._fetch()
            self._fetched_at = now
        except (requests.RequestException, ValueError, PrepaidError) as error:
            logger.warning("The identity provider's keys could not be read.", extra={"reason": type(error).__name__})
        self._tried_at = now

    def _fetch(self) -> dict[str, PublicKey]:
        deadline = time.monotonic() + sum(TIMEOUT_SECONDS)
        with requests.get(self.url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True) as response:
            if response.status_code != requests.codes.ok:
                raise ValueError("the identity provider did not answer 200")
            body = b""
            for part in response.iter_content(16 * 1024):
                body += part
                if len(body) > MAX_BYTES or time.monotonic() > deadline:
                    raise ValueError("the key set is too long, or comes too slowly")
        answer = parse_json(body)
        if not isinstance(answer, dict) or not isinstance(answer.get("keys"), list):
            raise ValueError("this is not a key set")
        return {key["kid"]: public for key in answer["keys"] if (public := usable(key)) is not None}


def usable(key: Any) -> PublicKey | None:
    """Return the public key of a JWK that is an RSA key for RS256 signatures, else None."""
    if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
        return None
    if key.get("kty") != "RSA" or key.get("use", "sig") != "sig" or key.get("alg", "RS256") != "RS256":
        return None
    operations = key.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        public = RSAAlgorithm.from_jwk(key)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return public if isinstance(public, RSAPublicKey) and public.key_size >= MIN_KEY_BITS else None
