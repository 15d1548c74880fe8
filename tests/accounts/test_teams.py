"""The team that a token names: it appears, its members act for it, and who has left does nothing for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.directory import end_membership, end_team, keep_membership, keep_team
from accounts.errors import CustomerNotFound, Suspended
from accounts.identities import Identity
from accounts.models import Customer, Membership, User
from accounts.principals import principal_of_person
from accounts.tokens import verify
from billing import batch
from billing.batch import UnknownPerson
from billing.calls import Call
from billing.operations import Admit
from credits.services import new_hold_id
from tests import factories
from tests.accounts import tokens
from tests.racing import at_once

TEAM = "org_2abcDEF3456789"
URL = "/api/credits/me"

pytestmark = pytest.mark.django_db


def identity(role: str = "member", *, at: datetime | None = None, **fields: Any) -> Identity:
    return Identity(tokens.CLERK_USER, TEAM, role, told_at=at or timezone.now(), **fields)


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens.clerk_token(**claims)}"}


def members() -> list[tuple[str, str | None, str]]:
    return list(
        Membership.objects.filter(customer__kind="TEAM").values_list(
            "customer__external_id", "user__external_id", "role"
        )
    )


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"v": 2, "o": {"id": TEAM, "rol": "admin", "slg": "acme"}}, "ADMIN"),
        ({"v": 2, "o": {"id": TEAM, "rol": "member"}}, "MEMBER"),
        ({"v": 2, "o": {"id": TEAM}}, "MEMBER"),
        ({"v": 2, "o": {"id": TEAM, "rol": "accountant"}}, "READ_ONLY"),
        ({"org_id": TEAM, "org_role": "org:admin"}, "ADMIN"),
        ({"org_id": TEAM, "org_role": "org:member"}, "MEMBER"),
    ],
)
def test_a_session_with_an_organization_acts_for_the_team_that_appears_with_it(
    anonymous: APIClient, clerk: None, claims: dict[str, Any], role: str
) -> None:
    assert [anonymous.get(URL, headers=bearer(**claims)).status_code for _ in range(2)] == [200, 200]

    assert members() == [(TEAM, tokens.CLERK_USER, role)]


def test_a_session_without_an_organization_acts_for_the_person(clerk: None, anonymous: APIClient) -> None:
    factories.account(principal_of_person(identity()).customer, "40")

    assert anonymous.get(URL, headers=bearer()).json()["creditsRemaining"] == 0
    assert anonymous.get(URL, headers=bearer(o={"id": TEAM, "rol": "member"})).json()["creditsRemaining"] == 40


def test_words_for_roles_mean_what_the_settings_say(settings: Settings) -> None:
    settings.ORGANIZATION_ROLES = {"accountant": "BILLING"}

    assert principal_of_person(identity("accountant")).role == "BILLING"
    assert principal_of_person(identity("admin")).role == "READ_ONLY"


def test_a_newer_word_for_the_role_counts_and_an_older_one_does_not(now: datetime) -> None:
    assert principal_of_person(identity("member", at=now)).role == "MEMBER"
    assert principal_of_person(identity("admin", at=now + timedelta(seconds=60))).role == "ADMIN"
    assert principal_of_person(identity("member", at=now + timedelta(seconds=30))).role == "ADMIN"


def test_a_role_that_was_given_here_stays_until_the_provider_says_another_word(now: datetime) -> None:
    principal_of_person(identity("member", at=now))
    Membership.objects.filter(customer__external_id=TEAM).update(role="BILLING")

    assert principal_of_person(identity("member", at=now + timedelta(seconds=60))).role == "BILLING"
    assert principal_of_person(identity("admin", at=now + timedelta(seconds=90))).role == "ADMIN"


def test_who_was_removed_does_nothing_for_the_team_with_a_token_from_before(now: datetime) -> None:
    principal_of_person(identity(at=now))
    end_membership(TEAM, tokens.CLERK_USER, ended_at=now + timedelta(seconds=5))

    with pytest.raises(CustomerNotFound):
        principal_of_person(identity(at=now))
    assert members() == []
    assert principal_of_person(identity(at=now + timedelta(seconds=6))).role == "MEMBER"


def test_a_team_that_is_closed_is_closed_for_members_keys_and_late_news_and_keeps_its_books(
    anonymous: APIClient, now: datetime
) -> None:
    team = principal_of_person(identity(at=now)).customer
    account = factories.account(team, "40")
    key = factories.api_key(team)

    end_team(TEAM, now=now)
    keep_team(TEAM, name="Acme", updated_at=now + timedelta(days=1))
    keep_membership(TEAM, tokens.CLERK_USER, word="admin", told_at=now + timedelta(days=1))

    with pytest.raises(CustomerNotFound):
        principal_of_person(identity(at=now + timedelta(days=2)))
    assert anonymous.get(URL, headers={"x-api-key": key}).status_code == 401
    assert (members(), account.entries.count()) == ([], 1)


def test_a_deleted_user_joins_no_team(now: datetime) -> None:
    principal_of_person(identity(at=now))
    User.objects.filter(external_id=tokens.CLERK_USER).update(is_active=False, deleted_at=now)
    Membership.objects.filter(customer__external_id=TEAM).delete()

    with pytest.raises(Suspended):
        principal_of_person(identity(at=now + timedelta(days=1)))
    assert members() == []


def test_an_impersonator_may_only_read_and_is_named(now: datetime) -> None:
    principal = principal_of_person(identity("admin", impersonator="user_2operatorOPERATOR"))

    assert (principal.role, principal.scopes) == ("READ_ONLY", frozenset({"read"}))
    assert principal.actor == f"user:{User.objects.get().pk} by user_2operatorOPERATOR"


@pytest.mark.django_db(transaction=True)
def test_a_token_used_at_once_from_everywhere_makes_one_team_and_one_member() -> None:
    outcomes = at_once(*[lambda: principal_of_person(identity("admin")).role] * 8)

    assert outcomes == ["ADMIN"] * 8
    assert (members(), Customer.objects.count()) == ([(TEAM, tokens.CLERK_USER, "ADMIN")], 2)


# The gateway


Admitter = Callable[..., Any]


@pytest.fixture
def admit(now: datetime) -> Admitter:
    """Commits one ``Admit`` of a chat by a person whose token names the team."""

    def commit(**fields: Any) -> Any:
        admission = Admit(
            **{
                "hold_id": new_hold_id(),
                "key_digest": "",
                "external_id": tokens.CLERK_USER,
                "impersonated": False,
                "request_id": "req-1",
                "feature": "ai_text_chat",
                "quantity": 1,
                "provider": "openrouter",
                "model": "openai/gpt-4o-mini",
                "streamed": True,
                "lifetime": timedelta(hours=1),
                "team_id": TEAM,
                "team_role": "member",
                **fields,
            }
        )
        return batch.commit([admission], again=False, now=now)[0]

    return commit


def test_a_call_with_an_organization_is_paid_by_the_team(admit: Admitter) -> None:
    person = principal_of_person(identity())
    factories.account(person.customer, "40")
    factories.account(person.user.personal_customer, "100")

    call = admit()

    assert isinstance(call, Call)
    assert (call.customer_id, call.actor) == (person.customer.pk, f"user:{person.user.pk}")


def test_whoever_or_whatever_is_new_to_the_batch_is_introduced_first(admit: Admitter, now: datetime) -> None:
    assert isinstance(admit(), UnknownPerson)
    principal_of_person(Identity(tokens.CLERK_USER))
    assert isinstance(admit(), UnknownPerson)
    factories.account(principal_of_person(identity("member", at=now)).customer, "40")
    assert isinstance(admit(team_role="admin"), UnknownPerson)

    assert isinstance(admit(team_role="admin", introduced=True), Call)
    assert isinstance(admit(team_role=""), Call)


@pytest.mark.parametrize("role", ["BILLING", "READ_ONLY"])
def test_the_role_in_the_team_decides_whether_the_call_may_be_made(admit: Admitter, role: str) -> None:
    factories.account(principal_of_person(identity()).customer, "40")
    Membership.objects.filter(customer__external_id=TEAM).update(role=role)

    assert admit().code == "forbidden"


def test_no_team_pays_for_who_is_not_in_it_and_neither_do_they_themselves(admit: Admitter, now: datetime) -> None:
    person = principal_of_person(identity(at=now - timedelta(minutes=1)))
    factories.account(person.customer, "40")
    factories.account(person.user.personal_customer, "100")
    end_membership(TEAM, tokens.CLERK_USER, ended_at=now)

    assert isinstance(admit(introduced=True), CustomerNotFound)


def test_a_choice_by_header_beats_the_team_of_the_token(admit: Admitter) -> None:
    own = principal_of_person(identity()).user.personal_customer
    factories.account(own, "100")

    assert admit(customer_id=own.pk).customer_id == own.pk


def test_instants_of_tokens_are_whole_seconds_in_utc(clerk: None, now: datetime) -> None:
    second = int(now.timestamp())

    found = verify(tokens.clerk_token(iat=second, o={"id": TEAM, "rol": "admin"}), now=now)

    assert (found.team_id, found.team_role, found.told_at) == (TEAM, "admin", datetime.fromtimestamp(second, UTC))
