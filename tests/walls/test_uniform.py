"""A credential that is no good is told nothing of those that are: one answer, and the same work for it."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts import keys, throttling
from accounts.errors import InvalidApiKey
from accounts.models import ApiKey, User
from billing import batch
from billing.catalogue import Feature
from billing.operations import Admit
from credits.models import Account
from credits.services import new_hold_id
from tests import factories
from tests.accounts import tokens
from tests.walls.test_walls import learned
from tests.walls.world import LATER, REQUEST_ID, switch_sign_in_on

URL = "/api/credits/me"


@pytest.fixture(params=["unthrottled", "throttled"])
def throttle(request: pytest.FixtureRequest, settings: Settings) -> Iterator[None]:
    if request.param == "throttled":
        settings.FAILED_SIGN_INS_BY_ACCOUNT = settings.FAILED_SIGN_INS_BY_ADDRESS = 1_000
    throttling.memory.clear()
    yield
    throttling.memory.clear()


def asking(text: str) -> Any:
    return Client().get(URL, headers={"authorization": f"Bearer {text}", "x-request-id": REQUEST_ID})


def bad_keys(settings: Settings) -> dict[str, str]:
    """Keys that are no good, each for a reason of its own."""
    customer, other = (factories.account(balance="5").customer for _ in range(2))
    good = factories.api_key(customer)
    nearly = good[: -keys.CHECKSUM_LENGTH - 4] + "0000"
    texts = {"unknown": factories.UNKNOWN_KEY, "nearly right": nearly + keys.checksum(nearly)}
    for owner, whose in ((customer, "ours"), (other, "another's")):
        for end in ({"revoked_at": timezone.now(), "revoked_by": "system"}, {"expires_at": timezone.now()}):
            text = texts[f"{whose}, {min(end)}"] = factories.api_key(owner)
            ended = ApiKey.objects.filter(digest=keys.digest(text, pepper=settings.API_KEY_PEPPER))
            ended.update(created_at=timezone.now() - timedelta(days=1), last_used_at=None, **end)
    return texts


@pytest.mark.django_db
def test_a_key_that_is_no_good_is_refused_by_rest_as_if_it_were_unknown(throttle: None, settings: Settings) -> None:
    texts = {**bad_keys(settings), "once more": factories.UNKNOWN_KEY}
    answers = {name: learned(partial(asking, text)) for name, text in texts.items()}
    answers.pop("unknown")  # once a minute the throttle tidies up

    assert answers == dict.fromkeys(answers, answers["nearly right"])
    assert answers["nearly right"][0] == 401


@pytest.mark.django_db
def test_a_key_that_is_no_good_is_refused_by_the_gateway_as_if_it_were_unknown(
    account: Account, settings: Settings, now: datetime
) -> None:
    def told(text: str) -> tuple[type, str, int]:
        admission = Admit(
            hold_id=new_hold_id(),
            key_digest=keys.digest(text, pepper=settings.API_KEY_PEPPER),
            external_id="",
            impersonated=False,
            request_id="",
            feature=Feature.AI_TEXT_CHAT,
            quantity=1,
            provider="openrouter",
            model="openai/gpt-4o-mini",
            streamed=False,
            lifetime=timedelta(minutes=20),
        )
        with CaptureQueriesContext(connection) as asked:
            [refusal] = batch.commit([admission], again=False, now=timezone.now())
        return type(refusal), str(refusal), len(asked)

    answers = {name: told(text) for name, text in bad_keys(settings).items()}

    assert answers == dict.fromkeys(answers, answers["unknown"])
    assert answers["unknown"][0] is InvalidApiKey
    assert not ApiKey.objects.exclude(last_used_at=None).exists()


@pytest.mark.django_db
def test_a_token_that_is_no_good_is_told_neither_why_nor_whom_it_names(throttle: None, settings: Settings) -> None:
    switch_sign_in_on(settings)
    known = factories.UserFactory.create(external_id="user_2knownKNOWN1234").external_id
    nobody = "user_2nobodyNOBODY123"

    def clerk(sub: str, **more: Any) -> str:
        return tokens.clerk_token(sub=sub, exp=LATER, **more)

    def damaged(token: str) -> str:
        return token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")

    forged = "another secret, also long enough"
    texts = {
        "signed by another, of somebody": tokens.service_token(forged, sub=known, exp=LATER),
        "signed by another, of nobody": tokens.service_token(forged, sub=nobody, exp=LATER),
        "damaged, of somebody": damaged(clerk(known)),
        "damaged, of nobody": damaged(clerk(nobody)),
        "another issuer's": clerk(known, iss="https://elsewhere.example"),
        "another party's": clerk(known, azp="https://elsewhere.example"),
        "no user's": clerk("org_2abcdefghijk"),
        "an old one, damaged": damaged(tokens.clerk_token(sub=known, exp=int(time.time()) - 3600)),
    }
    asking(texts["damaged, of nobody"])  # once a minute the throttle tidies up

    answers = {name: learned(partial(asking, text)) for name, text in texts.items()}

    assert answers == dict.fromkeys(answers, answers["damaged, of nobody"])
    assert answers["damaged, of nobody"][0] == 401
    assert not User.objects.filter(external_id=nobody).exists()


@pytest.mark.django_db
def test_a_password_that_is_no_good_is_told_neither_why_nor_whose_it_is_not(settings: Settings) -> None:
    """A wrong one, that of somebody who is no staff, of one who is not active, of one without, of nobody."""
    boss = factories.UserFactory.create(is_staff=True).email
    member = factories.UserFactory.create().email
    former = factories.UserFactory.create(is_staff=True, is_active=False).email
    without = factories.UserFactory.create(is_staff=True, password=None).email
    tries = {
        "wrong": (boss, "wrong"),
        "no staff": (member, factories.PASSWORD),
        "not active": (former, factories.PASSWORD),
        "has none": (without, "wrong"),
        "nobody": ("nobody@example.com", "wrong"),
    }

    def told(name: str, password: str) -> Any:
        with (
            mock.patch.object(
                MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode
            ) as hashed,
            CaptureQueriesContext(connection) as asked,
        ):
            answer = Client().post("/admin/login/", {"username": name, "password": password})
        errors = [str(error) for error in answer.context["form"].non_field_errors()]
        return answer.status_code, errors, len(asked), hashed.call_count

    answers = {name: told(*tried) for name, tried in tries.items()}

    assert answers == dict.fromkeys(answers, answers["nobody"])
    assert answers["nobody"][3] == 1
