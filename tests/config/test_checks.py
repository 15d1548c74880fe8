"""Unsafe settings are told at the start, each with an id and what to do."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from tests.accounts import tokens

GOOD = "Wb3x-0qLhV9sT7kPzR2mYcN5dJ8fGaUe"
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that nothing can be said against."""
    settings.SECRET_KEY = "secret" + GOOD
    settings.API_KEY_PEPPER = "pepper" + GOOD
    settings.SERVICE_JWT_SECRET = "service" + GOOD
    settings.RECEIPT_SIGNING_KEY = "of-the-tests-where-it-is-no-secret-at-all4Q"
    settings.TRUSTED_PROXY_NETWORKS = ["10.0.3.0/28", "fd00:7::/64"]
    settings.TRUSTED_PROXY_SECRET = "proxy" + GOOD
    settings.CLERK_ISSUER = tokens.ISSUER
    settings.CLERK_AUTHORIZED_PARTIES = [tokens.PARTY]
    settings.CLERK_JWT_KEY = tokens.PEM
    settings.CLERK_JWKS_URL = f"{tokens.ISSUER}/.well-known/jwks.json"
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    settings.DATABASE_POOL_SIZE = 10
    settings.DATABASE_BEHIND_PGBOUNCER = False
    settings.OPENROUTER_API_KEY = "sk-or-v1-of-the-operator"
    settings.OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["prepaid.test"]
    settings.PUBLIC_URL = "https://prepaid.test"
    return settings


def ids(*, deploy: bool = True) -> list[str]:
    found = run_checks(include_deployment_checks=deploy)
    assert all(message.hint for message in found if str(message.id).startswith("prepaid."))
    return sorted(str(message.id) for message in found if str(message.id).startswith("prepaid."))


def test_right_settings_of_production_pass(production: Settings) -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": "short"}, ["prepaid.E001"]),
        ({"RECEIPT_SIGNING_KEY": ""}, ["prepaid.W031"]),
        ({"RECEIPT_SIGNING_KEY": "short"}, ["prepaid.E030"]),
        ({"RECEIPT_PUBLIC_KEYS": ["short"]}, ["prepaid.E030"]),
        ({"SECRET_KEY": "django-insecure-" + GOOD}, ["prepaid.E001"]),
        ({"API_KEY_PEPPER": "a" * 64}, ["prepaid.E002"]),
        ({"API_KEY_PEPPER": "change-me" + GOOD}, ["prepaid.E002"]),
        ({"API_KEY_PEPPER": ""}, ["prepaid.E002"]),
        ({"SERVICE_JWT_SECRET": "secret"}, ["prepaid.E003"]),
        ({"MODERATOR": "openai", "MODERATION_API_KEY": "sk-of-ours"}, []),
        ({"CACHED_ANSWER_PERCENT": 100}, []),
        ({"CACHED_ANSWER_PERCENT": 101}, ["prepaid.E033"]),
        ({"CACHED_ANSWER_PERCENT": -1}, ["prepaid.E033"]),
        ({"MODERATOR": "openai"}, ["prepaid.E032"]),
        ({"MODERATOR": "nobody"}, ["prepaid.E031"]),
        ({"MODERATOR": "nowhere.Nobody"}, ["prepaid.E031"]),
        ({"MODERATOR": "tests.config.test_checks.GOOD"}, ["prepaid.E031"]),
        ({"SERVICE_JWT_SECRET": ""}, []),
        ({"API_KEY_PEPPER": "secret" + GOOD}, ["prepaid.E004"]),
        ({"SERVICE_JWT_SECRET": "pepper" + GOOD}, ["prepaid.E004"]),
        ({"TRUSTED_PROXY_SECRET": ""}, ["prepaid.E005"]),
        ({"TRUSTED_PROXY_NETWORKS": []}, ["prepaid.E005"]),
        ({"TRUSTED_PROXY_NETWORKS": [], "TRUSTED_PROXY_SECRET": ""}, []),
        ({"TRUSTED_PROXY_SECRET": "secret"}, ["prepaid.E006"]),
        ({"TRUSTED_PROXY_NETWORKS": ["0.0.0.0/0"]}, ["prepaid.E007"]),
        ({"TRUSTED_PROXY_NETWORKS": ["::/0", "proxy.test"]}, ["prepaid.E007"] * 2),
        ({"TRUSTED_PROXY_NETWORKS": ["10.0.3.1/28"]}, ["prepaid.E007"]),
        ({"CLERK_ISSUER": ""}, ["prepaid.E008"]),
        ({"CLERK_AUTHORIZED_PARTIES": []}, ["prepaid.E008"]),
        ({"CLERK_JWT_KEY": "", "CLERK_JWKS_URL": ""}, ["prepaid.E008"]),
        ({"CLERK_JWT_KEY": ""}, []),
        ({"CLERK_JWKS_URL": ""}, []),
        ({"CLERK_ISSUER": "", "CLERK_AUTHORIZED_PARTIES": [], "CLERK_JWT_KEY": "", "CLERK_JWKS_URL": ""}, []),
        ({"CLERK_JWT_KEY": "nonsense"}, ["prepaid.E009"]),
        ({"CLERK_JWKS_URL": "http://clerk.prepaid.test/jwks"}, ["prepaid.E010"]),
        ({"CLERK_JWKS_URL": "http://127.0.0.1:9000/jwks"}, []),
        ({"DATABASE_POOL_SIZE": -1}, ["prepaid.E012"]),
        ({"DATABASE_BEHIND_PGBOUNCER": True}, ["prepaid.E012"]),
        ({"DATABASE_BEHIND_PGBOUNCER": True, "DATABASE_POOL_SIZE": 0}, []),
        ({"DATABASE_POOL_SIZE": 1}, ["prepaid.W013"]),
        ({"OPENROUTER_BASE_URL": "http://openrouter.ai/api/v1"}, ["prepaid.E014"]),
        ({"OPENROUTER_BASE_URL": "http://127.0.0.1:8001/api/v1", "OPENROUTER_API_KEY": ""}, []),
        ({"DEBUG": True}, ["prepaid.E015"]),
        ({"ALLOWED_HOSTS": ["*"]}, ["prepaid.E016"]),
        ({"PUBLIC_URL": "http://prepaid.test"}, ["prepaid.W017"]),
        ({"OPENROUTER_API_KEY": ""}, ["prepaid.W019"]),
    ],
)
def test_an_unsafe_setting_is_told(production: Settings, changes: dict[str, Any], expected: list[str]) -> None:
    for name, value in changes.items():
        setattr(production, name, value)

    assert ids() == expected


def test_sqlite_in_production_is_told(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(production.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")

    assert (ids(), ids(deploy=False)) == (["prepaid.W018"], [])


def test_an_old_sqlite_is_told(production: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(production.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))

    assert ids(deploy=False) == ["prepaid.E011"]


def test_a_developer_is_not_told_about_production(production: Settings) -> None:
    production.DEBUG = True
    production.PUBLIC_URL = "http://127.0.0.1:8000"
    production.ALLOWED_HOSTS = ["*"]
    production.OPENROUTER_API_KEY = ""

    assert ids(deploy=False) == []


def check_deploy(**changes: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PREPAID_ENV_FILE": os.devnull,
        "SECRET_KEY": "secret-" + GOOD + GOOD,
        "API_KEY_PEPPER": "pepper-" + GOOD,
        "RECEIPT_SIGNING_KEY": "of-the-tests-where-it-is-no-secret-at-all4Q",
        "DATABASE_URL": "postgresql://prepaid@127.0.0.1:9/prepaid",
        "PUBLIC_URL": "https://prepaid.test",
        "ALLOWED_HOSTS": "prepaid.test",
        "OPENROUTER_API_KEY": "sk-or-v1-of-the-operator",
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(command, cwd=ROOT, env=environment | changes, capture_output=True, text=True, check=False)


def test_the_deployment_check_passes_for_production_and_fails_for_a_placeholder() -> None:
    passes, fails = check_deploy(), check_deploy(API_KEY_PEPPER="change-me")

    assert (passes.returncode, passes.stdout) == (0, "System check identified no issues (0 silenced).\n"), passes.stderr
    assert (fails.returncode, "prepaid.E002" in fails.stderr) == (1, True)
