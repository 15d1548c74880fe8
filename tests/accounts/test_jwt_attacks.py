"""
Forged and twisted tokens against all verifiers: the service's, Clerk's and an OpenID Connect issuer's.

Each attack starts from a token that is good in all else, so that a verifier which overlooks the one thing
wrong with it would accept it. In the spirit of Wycheproof; the vectors are our own.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from pytest_django import Settings

from accounts import issuers
from accounts.errors import PrepaidError
from accounts.keyset import KeySet, signed_by, usable
from accounts.tokens import verify
from tests.accounts import tokens
from tests.accounts.tokens import KEY, OTHER_KEY, PEM, encoded, jwk

OIDC_ISSUER = "https://login.prepaid.test/"
AUDIENCE = "https://api.prepaid.test"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
NUMBERS = KEY.public_key().public_numbers()
DER = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
PKCS1 = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)


@dataclass(frozen=True)
class Verifier:
    """One family of tokens: its algorithm, the header and claims of a good one, and how its good key signs."""

    algorithm: str
    header: dict[str, Any]
    claims: Callable[..., dict[str, Any]]
    sign: Callable[[bytes], bytes]

    def token(self, header: dict[str, Any] | bytes | None = None, claims: dict[str, Any] | bytes | None = None) -> str:
        """Return a token whose signature is good, whatever stands in it; bytes are taken as they are."""
        parts = [raw(self.header if header is None else header), raw(self.claims() if claims is None else claims)]
        signed = ".".join(map(encoded, parts))
        return f"{signed}.{encoded(self.sign(signed.encode()))}"


def raw(part: dict[str, Any] | bytes) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def rs256(data: bytes, key: Any = KEY) -> bytes:
    signature: bytes = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return signature


def hs256(data: bytes, secret: bytes = tokens.SERVICE_SECRET.encode()) -> bytes:
    return hmac.new(secret, data, hashlib.sha256).digest()


def service_claims(**claims: Any) -> dict[str, Any]:
    usual = {"sub": "anna", "iat": tokens.clerk_claims()["iat"], "exp": tokens.clerk_claims()["exp"]}
    return {name: value for name, value in (usual | claims).items() if value is not None}


def oidc_claims(**claims: Any) -> dict[str, Any]:
    usual = service_claims() | {"iss": OIDC_ISSUER, "aud": AUDIENCE, "sub": "auth0|anna"}
    return {name: value for name, value in (usual | claims).items() if value is not None}


VERIFIERS = {
    "service": Verifier("HS256", {"alg": "HS256", "typ": "JWT"}, service_claims, hs256),
    "clerk": Verifier("RS256", {"alg": "RS256", "typ": "JWT", "kid": "ins_1"}, tokens.clerk_claims, rs256),
    "oidc": Verifier("RS256", {"alg": "RS256", "typ": "JWT", "kid": "key_1"}, oidc_claims, rs256),
}


@pytest.fixture(autouse=True)
def _all_configured(settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every family is believed at once, so that one can be played off against another."""
    settings.SERVICE_JWT_SECRET = tokens.SERVICE_SECRET
    settings.CLERK_ISSUER = tokens.ISSUER
    settings.CLERK_AUTHORIZED_PARTIES = [tokens.PARTY]
    settings.CLERK_JWT_KEY = PEM
    settings.OIDC_ISSUERS = {"login": {"issuer": OIDC_ISSUER, "audience": AUDIENCE, "jwks_url": "http://127.0.0.1:9/"}}
    published = {"keys": [jwk(KEY, "key_1")]}
    monkeypatch.setattr("accounts.keyset.read_json", lambda url: published)
    issuers._keys.cache_clear()
    yield
    issuers._keys.cache_clear()


@pytest.fixture(params=VERIFIERS)
def verifier(request: pytest.FixtureRequest) -> Verifier:
    return VERIFIERS[request.param]


def accepted(token: str, now: datetime) -> bool:
    try:
        verify(token, now=now)
    except PrepaidError as refusal:
        return refusal.status not in {401, 403}
    return True


def test_the_tokens_that_the_attacks_start_from_are_good(verifier: Verifier, now: datetime) -> None:
    assert accepted(verifier.token(), now)


# The algorithm

ALGORITHMS: list[Any] = [
    "none", "None", "NONE", "nOnE", "", " ", "hs256", "HS256 ", "HS384", "HS512", "RS384", "RS512", "PS256", "ES256",
    "ES256K", "EdDSA", "RSA-OAEP", "dir", "A128KW", "HS256\u0000", "RS256\u0000", None, 0, True, [], ["HS256"], {},
]  # fmt: skip


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_algorithm_is_refused_however_it_is_signed(verifier: Verifier, now: datetime, algorithm: Any) -> None:
    header = verifier.header | {"alg": algorithm}
    good = verifier.token(header)
    body = good.rpartition(".")[0]
    secrets = [b"", PEM.encode(), PEM.strip().encode(), DER, PKCS1, tokens.SERVICE_SECRET.encode()]
    forged = [f"{body}.{encoded(hs256(body.encode(), secret))}" for secret in secrets]

    assert [token for token in [good, f"{body}.", f"{body}.AA", *forged] if accepted(token, now)] == []


@pytest.mark.parametrize("name", ["clerk", "oidc"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_a_public_key_is_nobodys_secret(now: datetime, name: str, digest: str) -> None:
    verifier = VERIFIERS[name]
    algorithm = "HS" + digest.removeprefix("sha")
    body = verifier.token(verifier.header | {"alg": algorithm}).rpartition(".")[0]
    secrets = [PEM, PEM.strip(), PEM.replace("\n", ""), PEM.replace("\n", "\r\n"), json.dumps(jwk(KEY, "key_1"))]
    material = [*(secret.encode() for secret in secrets), DER, PKCS1, str(NUMBERS.n).encode(), b"", b"\0"]

    forged = [f"{body}.{encoded(hmac.new(secret, body.encode(), digest).digest())}" for secret in material]

    assert [token for token in forged if accepted(token, now)] == []


def test_no_family_can_sign_for_another(now: datetime) -> None:
    body = VERIFIERS["clerk"].token().rpartition(".")[0]
    mixed = [
        VERIFIERS["service"].token(VERIFIERS["clerk"].header),
        VERIFIERS["clerk"].token(VERIFIERS["service"].header),
        f"{body}.{encoded(hs256(body.encode()))}",
        # An elliptic signature where a key for RSA is known.
        jwt.encode(oidc_claims(), EC_KEY, algorithm="ES256", headers={"kid": "key_1"}),
        jwt.encode(tokens.clerk_claims(), EC_KEY, algorithm="ES256", headers={"kid": "ins_1"}),
        # The claims of one issuer under the name of another.
        VERIFIERS["clerk"].token(claims=tokens.clerk_claims(iss=OIDC_ISSUER)),
        VERIFIERS["oidc"].token(claims=oidc_claims(iss=tokens.ISSUER)),
    ]

    assert [token for token in mixed if accepted(token, now)] == []


# Keys that the token brings, and names of keys

OWN_KEY = {
    "jwk": jwk(OTHER_KEY, "own"),
    "jku": "https://evil.test/jwks.json",
    "x5u": "https://evil.test/cert.pem",
    "x5c": [base64.b64encode(DER).decode()],
    "x5t": "AAAA",
    "x5t#S256": "AAAA",
    "key": PEM,
}


@pytest.mark.parametrize("name", ["clerk", "oidc"])
@pytest.mark.parametrize("field", OWN_KEY)
def test_a_key_that_the_token_brings_is_not_used(now: datetime, name: str, field: str) -> None:
    verifier = VERIFIERS[name]
    headers = [verifier.header | {field: OWN_KEY[field]}, verifier.header | {field: OWN_KEY[field], "kid": "own"}]
    forger = Verifier("RS256", {}, verifier.claims, lambda data: rs256(data, OTHER_KEY))

    assert [header for header in headers if accepted(forger.token(header), now)] == []


KIDS = [
    "../../../../dev/null", "/dev/null", "file:///dev/null", "https://evil.test/jwks.json", "key_1\u0000", "key_1 ",
    "KEY_1", "' OR '1'='1", "key_1'; DROP TABLE accounts_user; --", "x" * 6_000, "", "\u202e", "${jndi:ldap://x}",
    None, 0, 1, True, ["key_1"], {"kid": "key_1"}, "__class__", "0",
]  # fmt: skip


@pytest.mark.parametrize("kid", KIDS)
def test_a_kid_is_the_name_of_a_published_key_and_nothing_else(now: datetime, kid: Any) -> None:
    oidc = VERIFIERS["oidc"]
    header = oidc.header | {"kid": kid}
    empty_secret = oidc.token(header | {"alg": "HS256"}).rpartition(".")[0]

    assert not accepted(oidc.token(header), now)
    assert not accepted(f"{empty_secret}.{encoded(hs256(empty_secret.encode(), b''))}", now)


def test_a_token_without_kid_names_no_published_key(now: datetime) -> None:
    assert not accepted(VERIFIERS["oidc"].token({"alg": "RS256", "typ": "JWT"}), now)


@pytest.mark.parametrize(
    "fields",
    [
        {"use": "enc"}, {"use": "SIG"}, {"use": ""}, {"use": None}, {"use": ["sig"]}, {"key_ops": []},
        {"key_ops": ["sign"]}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"key_ops": {"verify": 1}},
        {"alg": "RS384"}, {"alg": "PS256"}, {"alg": "RSA-OAEP-256"}, {"alg": "HS256"}, {"alg": "none"},
        {"alg": ["RS256"]},
        {"kty": "oct"}, {"kty": "EC"}, {"kty": "rsa"}, {"kty": None}, {"kty": ["RSA"]}, {"kty": "oct", "k": "AAAA"},
        {"n": "AQAB"}, {"n": ""}, {"n": None}, {"e": ""}, {"kid": 7}, {"kid": None},
    ],
)  # fmt: skip
def test_a_published_key_for_something_else_verifies_nothing(
    now: datetime, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr("accounts.keyset.read_json", lambda url: {"keys": [jwk(KEY, "key_1") | fields]})

    assert not accepted(VERIFIERS["oidc"].token(), now)


def test_a_published_private_or_short_key_is_not_used() -> None:
    private = {**jwk(KEY, "key_1"), **jwt.algorithms.RSAAlgorithm.to_jwk(KEY, as_dict=True), "key_ops": ["verify"]}
    short = jwk(KEY, "key_1") | {"n": encoded(NUMBERS.n.to_bytes(256)[:128])}

    unusable: list[Any] = [private, short, None, [], "RSA", {}]
    assert [usable(key) for key in unusable] == [None] * 6
    assert signed_by({"kty": ["EC"], "crv": {}}) == frozenset()


# How it is written


def test_every_other_spelling_of_a_good_token_is_refused(verifier: Verifier, now: datetime) -> None:
    good = verifier.token()
    header, claims, signature = good.split(".")
    padded = [text + "=" * (-len(text) % 4 or 4) for text in (header, claims, signature)]
    spellings = [
        f"{padded[0]}.{claims}.{signature}",
        f"{header}.{padded[1]}.{signature}",
        f"{header}.{claims}.{padded[2]}",
        *(good + end for end in ("=", "==", "\n", " ", "\t", "\0", ".", ".e30", "A", "%3D", "\u00e4", ",x")),
        *(start + good for start in (" ", "\n", ".", "=", "A", "\ufeff")),
        f"{header}..{signature}",
        f".{claims}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        header,
        "",
        "..",
        f"{header}\n.{claims}.{signature}",
        f"{header}. {claims}.{signature}",
        f"{header}.{claims}.{signature[:-4]}",
        f"{header}.{claims}.{signature[:10]}\n{signature[10:]}",
        f"{header}.{claims}.{signature[::-1]}",
        f"{header}.{claims}.{'A' * len(signature)}",
        json.dumps({"protected": header, "payload": claims, "signature": signature}),
        json.dumps({"payload": claims, "signatures": [{"protected": header, "signature": signature}]}),
    ]

    assert [text for text in spellings if accepted(text, now)] == []


def test_bits_that_stand_for_nothing_make_no_second_spelling(verifier: Verifier, now: datetime) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = verifier.token()

    others = [good[:-1] + letter for letter in alphabet if letter != good[-1]]

    assert [token for token in others if accepted(token, now)] == []


def test_the_other_alphabet_of_base64_is_refused(now: datetime) -> None:
    service = VERIFIERS["service"]
    token = next(
        token
        for number in range(1_000)
        if set("-_") & set((token := service.token(claims=service_claims(pad=number))).rpartition(".")[2])
    )

    assert accepted(token, now)
    assert not accepted(token.replace("-", "+").replace("_", "/"), now)


def twice(part: dict[str, Any], name: str, value: Any) -> bytes:
    """The object with one more ``name`` in front: another reader might believe the first."""
    return b"{" + json.dumps({name: value})[1:-1].encode() + b", " + json.dumps(part)[1:].encode()


@pytest.mark.parametrize(
    ("name", "value"), [("alg", "none"), ("alg", "HS256"), ("alg", "RS256"), ("kid", "other"), ("typ", "JWT")]
)
def test_a_header_that_says_it_twice_is_refused(verifier: Verifier, now: datetime, name: str, value: str) -> None:
    assert not accepted(
        verifier.token(twice(verifier.header | {name: verifier.header.get(name, value)}, name, value)), now
    )


@pytest.mark.parametrize(
    ("name", "value"), [("sub", "bert"), ("exp", 4102444800), ("iss", "https://evil.test"), ("aud", "x"), ("x", 1)]
)
def test_claims_that_say_it_twice_are_refused(verifier: Verifier, now: datetime, name: str, value: Any) -> None:
    claims = verifier.claims()
    claims.setdefault(name, value)

    assert not accepted(verifier.token(claims=twice(claims, name, value)), now)


@pytest.mark.parametrize(
    "header",
    [
        b"", b" ", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe{}", b"[" * 3_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b'{"alg":"HS256","x":NaN}', b'{"alg":"HS256"}{"alg":"HS256"}', b'\xef\xbb\xbf{"alg":"HS256"}',
        b"{'alg':'HS256'}",
        b'{"alg":"HS256","x":' + b"9" * 5_000 + b"}", b'{"alg":"HS256","x":"\\ud800"}',
        b'{"alg":"HS256","x":"\\u0000"}',
    ],
)  # fmt: skip
def test_a_header_that_is_no_strict_json_is_refused(verifier: Verifier, now: datetime, header: bytes) -> None:
    assert not accepted(verifier.token(header), now)


@pytest.mark.parametrize(
    "extension",
    [
        {"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"crit": "b64"}, {"crit": ["b64"], "b64": False},
        {"b64": False}, {"b64": True}, {"crit": ["b64"], "b64": True},
        {"crit": ["http://openid.net/x"], "http://openid.net/x": 1},
    ],
)  # fmt: skip
def test_an_extension_is_refused(verifier: Verifier, now: datetime, extension: dict[str, Any]) -> None:
    assert not accepted(verifier.token(verifier.header | extension), now)


@pytest.mark.parametrize(
    "kind",
    ["logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt", "JWE", "JOSE+JSON", "", None, 7, ["JWT"]],
)
@pytest.mark.parametrize("name", ["clerk", "oidc"])
def test_what_an_issuer_signs_for_other_ends_is_no_credential(now: datetime, name: str, kind: Any) -> None:
    assert not accepted(VERIFIERS[name].token(VERIFIERS[name].header | {"typ": kind}), now)


def test_access_tokens_of_other_applications_are_no_sessions_of_clerk(now: datetime) -> None:
    clerk, oidc = VERIFIERS["clerk"], VERIFIERS["oidc"]

    assert not accepted(clerk.token(clerk.header | {"typ": "at+jwt"}), now)
    assert accepted(oidc.token(oidc.header | {"typ": "at+jwt"}), now)


def test_a_huge_or_deep_token_is_refused(verifier: Verifier, now: datetime) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]

    huge = [verifier.token(claims=verifier.claims(pad="x" * size)) for size in (6_100, 10_000_000)]
    assert [accepted(token, now) for token in huge] == [False, False]
    assert not accepted(verifier.token(claims=verifier.claims(pad=deep)), now)
    assert not accepted(verifier.token(claims=verifier.claims(pad=[[[[1]]]]) | {"cty": "JWT"}) * 2, now)


def test_a_token_in_a_token_is_refused(verifier: Verifier, now: datetime) -> None:
    inner = verifier.token()

    assert not accepted(verifier.token(verifier.header | {"cty": "JWT"}, inner.encode()), now)
    assert not accepted(verifier.token(claims=json.dumps(inner).encode()), now)


# What it claims

INSTANTS = [
    "4102444800", "", "now", True, False, [4102444800], {"$date": 1}, 10**400, -(10**400), 2**53, -(2**53), "NaN",
    "Infinity",
]  # fmt: skip


@pytest.mark.parametrize("value", INSTANTS)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_an_instant_is_a_number_within_reason(verifier: Verifier, now: datetime, claim: str, value: Any) -> None:
    assert not accepted(verifier.token(claims=verifier.claims(**{claim: value})), now)


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1E999", b"0x7fffffff", b"1_0", b"+1"]
)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_an_instant_is_a_number_of_json(verifier: Verifier, now: datetime, claim: str, number: bytes) -> None:
    claims = json.dumps(verifier.claims(**{claim: 12345678987654321})).encode().replace(b"12345678987654321", number)

    assert not accepted(verifier.token(claims=claims), now)


def test_whatever_is_over_or_not_yet_is_refused(verifier: Verifier, now: datetime) -> None:
    second = int(now.timestamp())
    late = [{"exp": second - 11}, {"exp": 0}, {"exp": -1}, {"exp": 0.5}, {"nbf": second + 11}, {"iat": second + 11}]

    assert [claims for claims in late if accepted(verifier.token(claims=verifier.claims(**claims)), now)] == []


@pytest.mark.parametrize("name", ["clerk", "oidc"])
@pytest.mark.parametrize("claim", ["iss", "sub", "exp", "iat"])
def test_a_session_lacks_no_claim(now: datetime, name: str, claim: str) -> None:
    assert not accepted(VERIFIERS[name].token(claims=VERIFIERS[name].claims(**{claim: None})), now)


SUBJECTS = [
    "",
    " ",
    "\t\n",
    "\u0000",
    "user_2abcDEF345\u00006789",
    "\u202euser",
    0,
    7,
    True,
    [],
    ["anna"],
    {"id": "anna"},
]


@pytest.mark.parametrize("subject", [*SUBJECTS, "a" * 256, "anna\n", "\ud800"])
def test_a_subject_that_is_nobody_is_refused(verifier: Verifier, now: datetime, subject: Any) -> None:
    assert not accepted(verifier.token(claims=verifier.claims(sub=subject)), now)


@pytest.mark.parametrize(
    "subject",
    ["org_2abcDEF3456789", "mch_2abcDEF3456789", "user_", "user_short", "USER_2abcDEF3456789",
     "user_2abcDEF34567\u0661",
     "user_2abcDEF3456789 ", " user_2abcDEF3456789", "user_2abc-DEF3456789", "user_" + "a" * 65],
)  # fmt: skip
def test_a_subject_of_clerk_is_a_user_of_clerk(now: datetime, subject: str) -> None:
    assert not accepted(VERIFIERS["clerk"].token(claims=tokens.clerk_claims(sub=subject)), now)


@pytest.mark.parametrize("name", ["clerk", "oidc"])
@pytest.mark.parametrize("spell", [str.upper, lambda text: text + "/", lambda text: text[:-1], lambda text: [text]])
def test_an_issuer_is_exactly_itself(now: datetime, name: str, spell: Callable[[str], Any]) -> None:
    verifier = VERIFIERS[name]

    assert not accepted(verifier.token(claims=verifier.claims(iss=spell(verifier.claims()["iss"]))), now)


@pytest.mark.parametrize(
    "party",
    ["https://evil.test", "", tokens.PARTY + "/", tokens.PARTY.upper(), tokens.PARTY + ".evil.test", [tokens.PARTY], 0],
)
def test_a_session_for_another_origin_is_refused(now: datetime, party: Any) -> None:
    assert not accepted(VERIFIERS["clerk"].token(claims=tokens.clerk_claims(azp=party)), now)


@pytest.mark.parametrize("is_required", [True, False])
def test_a_session_of_a_native_app_is_good_unless_azp_is_required(
    now: datetime, settings: Settings, is_required: bool
) -> None:
    settings.CLERK_REQUIRE_AZP = is_required
    null = json.dumps(tokens.clerk_claims() | {"azp": None}).encode()

    assert accepted(VERIFIERS["clerk"].token(claims=tokens.clerk_claims(azp=None)), now) is not is_required
    assert not accepted(VERIFIERS["clerk"].token(claims=null), now)


@pytest.mark.parametrize("status", ["pending", "PENDING", "expired", "", None, 0, ["active"]])
def test_a_session_that_is_not_active_is_refused(now: datetime, status: Any) -> None:
    assert not accepted(VERIFIERS["clerk"].token(claims=tokens.clerk_claims() | {"sts": status}), now)


@pytest.mark.parametrize(
    "team",
    ["org_2abcDEF3456789", [], {"id": None}, {"id": ""}, {"id": "user_2abcDEF3456789"}, {"id": "org_' OR 1=1"}, {}, 7,
     {"id": ["org_2abcDEF3456789"]}, {"id": "org_2abcDEF345\u00006789"}],
)  # fmt: skip
def test_an_organization_that_is_none_is_refused_and_not_overlooked(now: datetime, team: Any) -> None:
    assert not accepted(VERIFIERS["clerk"].token(claims=tokens.clerk_claims(o=team)), now)


@pytest.mark.parametrize(
    "audience", [None, "", "other", [], ["other"], [["x"]], AUDIENCE + "/", AUDIENCE.upper(), {AUDIENCE: 1}, [None], 0]
)
def test_a_token_for_another_audience_is_refused(now: datetime, audience: Any) -> None:
    assert not accepted(VERIFIERS["oidc"].token(claims=oidc_claims(aud=audience)), now)


def test_an_unknown_kid_in_a_flood_asks_the_issuer_once(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(url: str) -> dict[str, Any]:
        asked.append(url)
        return {"keys": []}

    monkeypatch.setattr("accounts.keyset.read_json", answer)
    oidc = VERIFIERS["oidc"]

    forged = [oidc.token(oidc.header | {"kid": f"invented_{number}"}) for number in range(50)]

    assert (sum(accepted(token, now) for token in forged), len(asked)) == (0, 1)
    assert KeySet("").wants_refresh("a", now=now) is True
