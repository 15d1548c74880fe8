"""
System checks: combinations of settings that would be unsafe, each with an id and what to do.

Those that fail in every environment run always; those that only matter where strangers
can reach the service run with ``check --deploy``.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import RSAAlgorithm

from accounts import issuers
from accounts.claims import OidcRules
from accounts.keyset import LOOPBACK, is_private_channel
from accounts.leaks import public_keys
from accounts.roles import Role
from ai import moderation
from billing.receipts import signing
from webhooks.sources import SOURCES

MIN_SECRET_LENGTH = 32
MIN_DIFFERENT_CHARACTERS = 8
PLACEHOLDER = re.compile(r"change.?me|replace.?me|example|insecure|placeholder|your.?secret", re.IGNORECASE)
RANDOM = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
RECEIPT_KEY = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
OLDEST_SQLITE = (3, 35)
Apps = Sequence[AppConfig] | None


@register(Tags.security)
def secrets_are_secret(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    names = {"SECRET_KEY": "prepaid.E001", "API_KEY_PEPPER": "prepaid.E002", "SERVICE_JWT_SECRET": "prepaid.E003"}
    for name, check_id in names.items():
        secret = getattr(settings, name)
        if (secret or name != "SERVICE_JWT_SECRET") and is_weak(secret):
            yield Error(f"{name} is short, repetitive or a placeholder.", hint=RANDOM, id=check_id)
    secrets = [value for name in names if (value := getattr(settings, name))]
    if len(set(secrets)) < len(secrets):
        hint = "Whoever learns one must not have the others. " + RANDOM
        yield Error(f"Two of {', '.join(names)} are the same.", hint=hint, id="prepaid.E004")


def is_weak(secret: str) -> bool:
    return (
        len(secret) < MIN_SECRET_LENGTH
        or len(set(secret)) < MIN_DIFFERENT_CHARACTERS
        or PLACEHOLDER.search(secret) is not None
    )


@register(Tags.security)
def trusted_proxy_is_whole(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    networks, secret = settings.TRUSTED_PROXY_NETWORKS, settings.TRUSTED_PROXY_SECRET
    if bool(networks) != bool(secret):
        yield Error(
            "The trusted proxy is half configured, so X-User-Id is ignored.",
            hint="Set both TRUSTED_PROXY_NETWORKS and TRUSTED_PROXY_SECRET, or neither.",
            id="prepaid.E005",
        )
    if secret and is_weak(secret):
        yield Error("TRUSTED_PROXY_SECRET is short, repetitive or a placeholder.", hint=RANDOM, id="prepaid.E006")
    for text in networks:
        if not is_network_of_some(text):
            yield Error(
                f"TRUSTED_PROXY_NETWORKS: {text!r} is not a network of proxies.",
                hint="Name the addresses of your proxies, such as 10.0.3.0/28.",
                id="prepaid.E007",
            )


@register(Tags.security)
def trusted_hops_are_networks(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    for text in settings.TRUSTED_HOPS:
        if not is_network_of_some(text):
            yield Error(
                f"TRUSTED_HOPS: {text!r} is not a network of load balancers.",
                hint="Name their addresses, such as 10.0.3.0/28: whoever is there can say where a request is from.",
                id="prepaid.E021",
            )


def is_network_of_some(text: str) -> bool:
    """Whether ``text`` is a network, and not the whole internet."""
    try:
        return ip_network(text).prefixlen > 0
    except ValueError:
        return False


@register(Tags.security)
def leak_reports_can_be_believed(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    try:
        public_keys()
    except (AttributeError, TypeError, ValueError):
        yield Error(
            "LEAK_REPORT_KEYS is not a JSON object of ECDSA P-256 public keys in PEM, so leak reports are refused.",
            hint="Copy the identifiers and keys from https://api.github.com/meta/public_keys/secret_scanning.",
            id="prepaid.E026",
        )


@register(Tags.security)
def kept_answers_cost_a_share(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    if not 0 <= settings.CACHED_ANSWER_PERCENT <= 100:
        yield Error(
            f"CACHED_ANSWER_PERCENT is {settings.CACHED_ANSWER_PERCENT}, and no share of a price.",
            hint="Write a whole number from 0 (free) to 100 (as dear as a new answer).",
            id="prepaid.E033",
        )


@register(Tags.security)
def somebody_moderates(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    if not settings.MODERATOR:
        return
    try:
        moderator = moderation.moderator_class()
    except ImportError:
        yield Error(
            f"MODERATOR: {settings.MODERATOR!r} is nobody who could look at a request.",
            hint="Write openai, or the dotted path of your own subclass of ai.moderation.Moderator.",
            id="prepaid.E031",
        )
    else:
        if moderator is moderation.OpenAIModerator and not settings.MODERATION_API_KEY:
            yield Error(
                "MODERATOR is openai, and there is no key to ask with, so every call is refused.",
                hint="Set MODERATION_API_KEY, or leave MODERATOR empty.",
                id="prepaid.E032",
            )


@register(Tags.security)
def clerk_is_whole(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    issuer, pem, url = settings.CLERK_ISSUER, settings.CLERK_JWT_KEY, settings.CLERK_JWKS_URL
    if not (issuer or pem or url or settings.CLERK_AUTHORIZED_PARTIES):
        return
    if not (issuer and (pem or url) and settings.CLERK_AUTHORIZED_PARTIES):
        yield Error(
            "Clerk is half configured, so its session tokens are refused.",
            hint="Set CLERK_ISSUER, CLERK_AUTHORIZED_PARTIES and one of CLERK_JWT_KEY and CLERK_JWKS_URL.",
            id="prepaid.E008",
        )
    if pem and not is_rsa_public_key(pem):
        hint = "Copy the JWKS public key of the Clerk dashboard: -----BEGIN PUBLIC KEY-----…"
        yield Error("CLERK_JWT_KEY is not an RSA public key in PEM.", hint=hint, id="prepaid.E009")
    if url and not is_private_channel(url):
        hint = "Whoever can change the answer can sign in as anybody. Use https."
        yield Error("CLERK_JWKS_URL is not https.", hint=hint, id="prepaid.E010")


def is_rsa_public_key(pem: str) -> bool:
    try:
        return isinstance(RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem), RSAPublicKey)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


@register(Tags.security)
def issuers_are_whole(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    try:
        known = issuers.configured()
    except ImproperlyConfigured as error:
        hint = "docs/signing-in.md shows an entry for each provider."
        yield Error(f"OIDC_ISSUERS: {error}", hint=hint, id="prepaid.E023")
        return
    for issuer in known.values():
        if isinstance(issuer.rules, OidcRules) and not is_private_channel(issuer.jwks_url or issuer.issuer):
            hint = "Whoever can change the answer can sign in as anybody. Use https."
            yield Error(
                f"OIDC_ISSUERS: {issuer.issuer} publishes its keys without https.", hint=hint, id="prepaid.E024"
            )
    givable = set(Role) - {Role.OWNER}
    for word, role in settings.ORGANIZATION_ROLES.items():
        if role not in givable:
            hint = f"The roles are {', '.join(sorted(givable))}; an owner is made here, not by the identity provider."
            yield Error(f"ORGANIZATION_ROLES: {word}={role} names no role.", hint=hint, id="prepaid.E025")


@register(Tags.compatibility)
def database_can_keep_books(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    if uses_sqlite() and sqlite3.sqlite_version_info < OLDEST_SQLITE:
        yield Error(
            f"SQLite {sqlite3.sqlite_version} is older than 3.35.",
            hint="Use a Python built with a newer SQLite, or PostgreSQL through DATABASE_URL.",
            id="prepaid.E011",
        )
    if settings.DATABASE_POOL_SIZE < 0 or (settings.DATABASE_POOL_SIZE > 0 and settings.DATABASE_BEHIND_PGBOUNCER):
        yield Error(
            "DATABASE_POOL_SIZE must be 0 or more, and 0 behind PgBouncer, which is the pool there.",
            hint="Set DATABASE_POOL_SIZE=0 with DATABASE_BEHIND_PGBOUNCER=true.",
            id="prepaid.E012",
        )
    if settings.DATABASE_POOL_SIZE == 1 and not uses_sqlite():
        yield Warning(
            "With DATABASE_POOL_SIZE=1 the ledger and everything else of a process wait for each other.",
            hint="Allow at least 2.",
            id="prepaid.W013",
        )


def uses_sqlite() -> bool:
    return settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"


@register(Tags.security)
def provider_is_reachable_safely(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    if not is_private_channel(settings.OPENROUTER_BASE_URL):
        hint = "Prompts and the provider's key travel there. Use https, or a simulator on this machine."
        yield Error("OPENROUTER_BASE_URL is not https.", hint=hint, id="prepaid.E014")


@register(Tags.security)
def webhook_secrets_are_whole(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    for source in SOURCES.values():
        if not all(source.is_secret(secret) for secret in source.secrets):
            hint = "Copy the endpoint's signing secret, whsec_…, from the sender's dashboard; commas separate several."
            yield Error(f"{source.secrets_setting} has text that is no secret.", hint=hint, id="prepaid.E020")


@register(Tags.security)
def receipts_can_be_signed(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    try:
        signing.key_set()
    except ValueError as error:
        hint = "The public ones are the x of their JWK in /.well-known/jwks.json. " + RECEIPT_KEY
        yield Error(f"RECEIPT_SIGNING_KEY or RECEIPT_PUBLIC_KEYS: {error}", hint=hint, id="prepaid.E030")


@register(Tags.security, deploy=True)
def production_is_meant(app_configs: Apps, **kwargs: Any) -> Iterator[CheckMessage]:
    if settings.DEBUG:
        hint = "It shows settings and code to whoever causes an error. Unset DEBUG."
        yield Error("DEBUG is on.", hint=hint, id="prepaid.E015")
    if "*" in settings.ALLOWED_HOSTS:
        hint = "Name the hosts that this service answers for."
        yield Error("ALLOWED_HOSTS allows every host.", hint=hint, id="prepaid.E016")
    if not settings.RECEIPT_SIGNING_KEY:
        hint = f"Set RECEIPT_SIGNING_KEY, and keep it. {RECEIPT_KEY}"
        yield Warning("Nobody gets receipts: there is no key to sign them with.", hint=hint, id="prepaid.W031")
    if urlsplit(settings.PUBLIC_URL).scheme != "https":
        hint = "Set PUBLIC_URL to the address that your users see; it decides about secure cookies, HSTS and redirects."
        yield Warning("PUBLIC_URL is not https.", hint=hint, id="prepaid.W017")
    if uses_sqlite():
        hint = (
            "One machine and few writers: fine. More than one process that writes: use PostgreSQL through DATABASE_URL."
        )
        yield Warning("The ledger is kept in SQLite.", hint=hint, id="prepaid.W018")
    has_key = settings.OPENROUTER_API_KEY or settings.OPENROUTER_API_KEYS
    if not has_key and urlsplit(settings.OPENROUTER_BASE_URL).hostname not in LOOPBACK:
        hint = "Set OPENROUTER_API_KEY, or OPENROUTER_BASE_URL to a simulator (manage.py simulate_provider)."
        yield Warning("There is no key for the provider, so every call will be refused.", hint=hint, id="prepaid.W019")
