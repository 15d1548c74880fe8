"""An identity provider for tests: its keys, its tokens, and a server that publishes the keys."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

SERVICE_SECRET = "the service secret of the tests, which is long enough"
ISSUER = "https://clerk.prepaid.test"
PARTY = "https://app.prepaid.test"
CLERK_USER = "user_2abcDEF3456789"

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = (
    KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


def service_token(secret: str = SERVICE_SECRET, **claims: Any) -> str:
    return jwt.encode(claims, secret, algorithm="HS256")


def clerk_claims(**claims: Any) -> dict[str, Any]:
    """Return the claims of a good session token; a claim given as None is left out."""
    second = int(time.time())
    usual = {"iss": ISSUER, "sub": CLERK_USER, "azp": PARTY, "iat": second, "nbf": second - 10, "exp": second + 60}
    return {name: value for name, value in (usual | claims).items() if value is not None}


def clerk_token(key: rsa.RSAPrivateKey = KEY, kid: str = "ins_1", **claims: Any) -> str:
    payload = json.dumps(clerk_claims(**claims)).encode()
    return jwt.PyJWS().encode(payload, key, algorithm="RS256", headers={"typ": "JWT", "kid": kid})


def handmade(header: dict[str, Any], claims: Any, secret: bytes = b"") -> str:
    """Return a token whose header says anything, signed with HMAC-SHA-256 under ``secret``, or not at all."""
    parts = [encoded(json.dumps(part).encode()) for part in (header, claims)]
    signature = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest() if secret else b""
    return ".".join([*parts, encoded(signature)])


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: rsa.RSAPrivateKey, kid: str, **fields: Any) -> dict[str, Any]:
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig", "alg": "RS256", "key_ops": ["verify"], **fields}


@dataclass
class Publisher:
    """What the server answers, and how often it was asked."""

    keys: list[Any] = field(default_factory=lambda: [jwk(KEY, "ins_1")])
    status: int = 200
    body: bytes | None = None
    chunked: bool = False
    requests: int = 0
    url: str = ""


@contextmanager
def published() -> Iterator[Publisher]:
    """Serve a key set on a port of this machine."""
    publisher = Publisher()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            publisher.requests += 1
            body = publisher.body if publisher.body is not None else json.dumps({"keys": publisher.keys}).encode()
            self.send_response(publisher.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Connection", "close")
            if publisher.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"1\r\n" + body[:1] + b"\r\n%x\r\n" % len(body[1:]) + body[1:] + b"\r\n0\r\n\r\n"
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        publisher.url = f"http://127.0.0.1:{server.server_address[1]}/.well-known/jwks.json"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield publisher
        finally:
            server.shutdown()
            thread.join()
