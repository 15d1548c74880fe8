"""A canary in every slot that takes a secret or something private: none is found where it does not belong."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.apps import apps
from django.conf import settings
from django.db import connection, models

from accounts.models import IdempotentRequest, Invitation, User
from billing.models import UsageRecord
from credits.models import Hold
from tests import factories
from tests.accounts import tokens
from tests.accounts.people import person
from tests.ai.prepaid import MODEL, until
from tests.server import NOWHERE, prepaid_process
from tests.simulator import RunningSimulator, running_simulator
from tests.walls.world import LATER

pytestmark = pytest.mark.usefixtures("one_database")

PROVIDER_KEY = "sk-or-v1-canary0provider0key0canary"
WEBHOOK_SECRET = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
CLERK_KEY = "sk_test_canary0clerk0api0canary"
STRIPE_SECRET = "whsec_canaryOfStripeCanaryOfStripe"
PASSWORD = "canary of a password"
PROXY_SECRET = "canary-of-the-trusted-proxy-long-enough"
PROMPT, IMAGE_PROMPT, NOTE = "canary-in-a-prompt", "canary-in-a-picture", "canary-of-an-end-user"
ADDRESS, MAIL, GUEST = "203.0.113.77", "canary@person.example", "guest-canary@guest.example"
IDEMPOTENCY_KEY = "canary-idempotency-key"
PATIENCE_SECONDS = 20

#: What belongs somewhere, and only there.
KEPT: dict[str, set[tuple[type[models.Model], str]]] = {
    MAIL: {(User, "email")},
    GUEST: {(Invitation, "email")},
    IDEMPOTENCY_KEY: {(IdempotentRequest, "key")},
    # Whom a call was for is its customer's own record, as long as the details of calls are kept.
    NOTE: {(UsageRecord, "end_user"), (UsageRecord, "notes"), (Hold, "context")},
}


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator() as simulator:
        yield simulator


def columns() -> Iterator[tuple[type[models.Model], str, str]]:
    """All texts in the database, each with its column."""
    for model in apps.get_models():
        names = [
            field.name
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField | models.JSONField | models.GenericIPAddressField)
        ]
        for row in model._default_manager.values(*names) if names else ():
            for name in names:
                yield model, name, row[name] if isinstance(row[name], str) else json.dumps(row[name], default=str)


class Caller:
    """Whoever asks keeps all that is answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[str] = []

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"x-forwarded-for": ADDRESS}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent["content-type"] = "application/json"
        answer = requests.request(method, self.url + path, data=data, headers=sent, timeout=PATIENCE_SECONDS)
        self.answers.append(f"{answer.headers} {answer.text}")
        return answer.status_code


def drive(caller: Caller, simulator: RunningSimulator, key: str, token: str, team: int) -> list[int]:
    """Everything that a secret can be given to, as it should be and as it should not."""
    signed, session = {"authorization": f"Bearer {key}"}, {"authorization": f"Bearer {token}"}
    chat = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "user": NOTE, "metadata": {"who": NOTE}}
    ask, statuses = caller.ask, []
    for stream in (False, True):
        statuses.append(ask("POST", "/v1/chat/completions", {**chat, "stream": stream}, **signed))
    statuses.append(ask("POST", "/api/ai/image", {"prompt": IMAGE_PROMPT}, **signed))
    for status in (400, 401, 402, 500):
        simulator.faults(times=1, status=status, message=f"{PROVIDER_KEY} is not good enough")
        statuses.append(ask("POST", "/v1/chat/completions", chat, **signed))
    statuses += [
        ask("POST", "/v1/chat/completions", {**chat, "n": PROMPT}, **signed),
        ask("POST", "/v1/chat/completions", b'{"model": "' + PROMPT.encode(), **signed),
        ask("POST", "/api/credits/holds", {"amount": "1"}, idempotency_key=IDEMPOTENCY_KEY, **signed),
        ask("POST", "/api/credits/holds", {"amount": "2"}, idempotency_key=IDEMPOTENCY_KEY, **signed),
        ask("GET", "/api/credits/me", **session),
        ask("GET", "/api/credits/me", authorization=f"Bearer {token}x"),
        ask("GET", "/api/credits/me", x_api_key=f"{key[:-1]}-"),
        ask("GET", f"/api/credits/me?api_key={key}", **signed),
        ask("GET", f"/api/nowhere/{key}", **signed),
        ask("GET", "/api/credits/me", x_user_id="anna", x_proxy_secret=PROXY_SECRET + "x"),
        ask("POST", f"/api/customers/{team}/invitations", {"email": GUEST}, **session),
        ask("POST", f"/api/customers/{team}/invitations", {"email": GUEST}, **session),
        ask("POST", "/api/webhooks/clerk", {"data": {"email": MAIL}}, svix_id="msg_1", svix_signature="v1,canary"),
        ask("POST", "/api/webhooks/stripe", {"data": {"email": MAIL}}, stripe_signature="t=1,v1=canary"),
        ask("POST", "/api/me", {"name": MAIL}, **session),
        ask("POST", "/api/admin/users/sync", {}, **session),
        ask("GET", "/api/credits/me", authorization=f"Basic {key}"),
    ]
    # A bug that speaks of all that it knows: under both applications, with every kind of credential.
    statuses += [
        ask("GET", "/api/credits/me", x_customer_id="404", **signed),
        ask("GET", "/api/credits/me", x_customer_id="404", **session),
        ask("GET", "/api/credits/me", x_customer_id="404", x_api_key=key),
        ask("POST", "/v1/chat/completions", chat, x_customer_id="404", **signed),
        ask("GET", "/v1/models", x_customer_id="404", **session),
    ]
    return statuses


def guess_password(url: str) -> int:
    """Try to sign in to the admin, as a browser does."""
    with requests.Session() as browser:
        page = browser.get(f"{url}/admin/login/", timeout=PATIENCE_SECONDS).text
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found
        form = {"username": MAIL, "password": PASSWORD, "csrfmiddlewaretoken": found[1]}
        return browser.post(f"{url}/admin/login/", form, timeout=PATIENCE_SECONDS).status_code


def dump() -> str:
    """The whole database as SQL, tables that no model knows included."""
    connection.ensure_connection()
    return "\n".join(connection.connection.iterdump())


def test_no_canary_is_found_where_it_does_not_belong(
    database_url: str, simulator: RunningSimulator, capfd: pytest.CaptureFixture[str]
) -> None:
    owner = person(email=MAIL, is_staff=True)
    team = factories.TeamFactory.create()
    team.memberships.create(user=owner, role="OWNER")
    account = factories.account(team, "100")
    key = factories.api_key(team, created_by=owner)
    token = tokens.service_token(sub=owner.external_id, exp=LATER)
    secrets = {
        "LOG_LEVEL": "DEBUG",
        "SERVICE_JWT_SECRET": tokens.SERVICE_SECRET,
        "OPENROUTER_API_KEY": PROVIDER_KEY,
        "CLERK_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "CLERK_SECRET_KEY": CLERK_KEY,
        "CLERK_API_URL": NOWHERE,
        "STRIPE_WEBHOOK_SECRETS": STRIPE_SECRET,
        "TRUSTED_PROXY_NETWORKS": "127.0.0.0/8",
        "TRUSTED_PROXY_SECRET": PROXY_SECRET,
        "TRUSTED_HOPS": "127.0.0.0/8",
        "EMAIL_URL": "dummymail://",
    }
    served = {
        "database_url": database_url,
        "provider_url": simulator.url,
        "application": "tests.walls.failing:application",
    }
    with prepaid_process(**served, **secrets) as url:
        caller = Caller(url)
        statuses = drive(caller, simulator, key, token, team.pk)
        assert guess_password(url) == 200
        until(lambda: not account.holds.filter(status="PENDING", key=None).exists())
    logs = "".join(capfd.readouterr())

    assert statuses[:3] == [200, 200, 200]
    assert set(statuses[3:-5]) == {200, 201, 400, 401, 404, 405, 409, 422, 502, 503}
    assert statuses[-5:] == [500] * 5
    unheard = [key, token, PROVIDER_KEY, WEBHOOK_SECRET, STRIPE_SECRET, CLERK_KEY, PROXY_SECRET, PASSWORD]
    unheard += [tokens.SERVICE_SECRET, settings.SECRET_KEY, settings.API_KEY_PEPPER, ADDRESS, IMAGE_PROMPT, NOTE]
    [invitation] = re.findall(r'"token": ?"([^"]+)"', "".join(caller.answers))
    # The simulated model repeats what it was asked: the text of its answer is a canary too.
    assert any(f"You asked: “{PROMPT}”" in answer for answer in caller.answers)
    unseen = [*unheard, PROMPT, invitation, IDEMPOTENCY_KEY, MAIL, GUEST]
    assert "request_id" in logs
    # Once each, and by the server too where the gateway hands it on.
    assert logs.count("RuntimeError: {") == 6
    assert [canary for canary in unseen if canary in logs] == []
    assert [canary for canary in unheard for answer in caller.answers if canary in answer] == []
    found = {(canary, model, name) for model, name, text in columns() for canary in unseen if canary in text}
    assert found == {(canary, *column) for canary, places in KEPT.items() for column in places}
    text = dump()
    assert "accounts_apikey" in text
    assert [canary for canary in unseen if canary in text and canary not in KEPT] == []
