"""``make run``: the demo data, and the server that it starts."""

import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from django.conf import settings

from accounts.models import ApiKey, User
from config import demo
from credits.models import LedgerEntry
from tests.postgres import free_port

URL = "http://127.0.0.1:8000"
PATIENCE_SECONDS = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "demo.env"


def test_demo_has_a_customer_with_credits_and_a_key_for_everything(db, path, now):
    prepared = demo.prepare(path=path, url=URL, now=now)

    key = ApiKey.objects.get()
    assert key.customer.user.email == demo.USER_EMAIL
    assert set(key.scopes.split()) == set(ApiKey.Scope.values)
    assert prepared.api_key.endswith(key.last_four)
    assert LedgerEntry.objects.get().balance_after == 1000 * 10**7


def test_demo_again_changes_nothing(db, path, now):
    prepared = demo.prepare(path=path, url=URL, now=now)

    again = demo.prepare(path=path, url=URL, now=now)

    assert again == prepared
    assert (User.objects.count(), ApiKey.objects.count(), LedgerEntry.objects.count()) == (2, 1, 1)


def test_credentials_are_for_their_owner_alone(db, path, now):
    prepared = demo.prepare(path=path, url=URL, now=now)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [
        f"PREPAID_URL={URL}",
        f"PREPAID_API_KEY={prepared.api_key}",
        f"PREPAID_ADMIN_EMAIL={prepared.admin_email}",
        f"PREPAID_ADMIN_PASSWORD={prepared.admin_password}",
    ]


def test_lost_credentials_are_made_again_and_the_old_key_is_revoked(db, path, now):
    lost = demo.prepare(path=path, url=URL, now=now)
    path.unlink()

    found = demo.prepare(path=path, url=URL, now=now)

    admin = User.objects.get(email=demo.ADMIN_EMAIL)
    assert admin.check_password(found.admin_password)
    assert not admin.check_password(lost.admin_password)
    assert ApiKey.objects.get(revoked_at=None).last_four == found.api_key[-4:]
    assert ApiKey.objects.get(revoked_at=now).last_four == lost.api_key[-4:]


@contextmanager
def running(directory: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """``manage.py run`` with nothing but its secrets and its own directory in the environment."""
    environment = {
        "PREPAID_ENV_FILE": "/dev/null",
        "SECRET_KEY": settings.SECRET_KEY,
        "API_KEY_PEPPER": settings.API_KEY_PEPPER,
        "DATA_DIR": str(directory),
        "PORT": str(port),
    }
    command = [sys.executable, "manage.py", "run"]
    with subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def welcome(process: subprocess.Popen[str]) -> str:
    """What it prints until it is ready."""
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("These credentials are kept in"):
            return printed
    pytest.fail(f"The server did not start: {printed}")


def paste(printed: str) -> requests.Response:
    """Do what the first ``curl`` in ``printed`` does."""
    command = printed[printed.index("curl -N") :].split("\n\n")[0].replace("\\\n", "")
    _, _, url, *options = shlex.split(command)
    pairs = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in pairs if option == "-H")
    return requests.post(url, data=dict(pairs)["-d"], headers=headers, timeout=PATIENCE_SECONDS)


def test_printed_command_works_when_pasted_and_costs_one_credit(tmp_path):
    port = free_port()
    with running(tmp_path, port) as process:
        printed = welcome(process)

        answer = paste(printed)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_SECONDS)

    assert "data: [DONE]\n\n: credits charged=1 " in answer.text
    assert process.returncode == 0
    kept = demo.read(tmp_path / "demo.env")
    assert kept["PREPAID_URL"] == f"http://127.0.0.1:{port}"
    assert [value for value in kept.values() if value not in printed] == []

    with running(tmp_path, port) as process:
        welcome(process)
        headers = {"Authorization": f"Bearer {kept['PREPAID_API_KEY']}"}
        balance = requests.get(f"{kept['PREPAID_URL']}/api/credits/me", headers=headers, timeout=PATIENCE_SECONDS)

    assert balance.json()["creditsRemaining"] == 999
    assert demo.read(tmp_path / "demo.env") == kept


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, port) as process:
            printed, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use. Try PORT={port + 1} make run" in printed
    assert list(tmp_path.iterdir()) == []
